"""ARFF, dense and sparse, plain and quoted, keeps what its header declares."""

import datetime
from pathlib import Path

import pyarrow as pa
import pytest

from benchmark.data.formats.arff import read_arff
from benchmark.errors import DataError

HEAD = "% a remark\n@RELATION r\n@ATTRIBUTE a NUMERIC\n@ATTRIBUTE b {x, y, z}\n"


def read(folder: Path, text: str) -> pa.Table:
    path = folder / "t.arff"
    path.write_text(text)
    return read_arff(path)


@pytest.mark.parametrize(
    "body",
    [
        "1.5,x\n?,z\n3,?\n",
        "1.5, x\n?, z\n\n3, ?\n",
        " 1.5 ,x \n ?, z  \r\n3, ? ",
        "1.5,'x'\n?,\"z\"\n% remark\n3,?\n",
        "{0 1.5}\n{0 ?, 1 z}\n{0 3, 1 ?}\n",
        "1.5,x\r\n?,z\r\n3,?\r\n",
    ],
    ids=["plain", "spaces", "blanks at the ends", "quoted", "sparse", "windows"],
)
def test_every_form_gives_the_same_table(tmp_path: Path, body: str) -> None:
    table = read(tmp_path, HEAD + "@DATA\n" + body)
    assert table.column("a").to_pylist() == [1.5, None, 3.0]
    assert table.column("b").to_pylist() == ["x", "z", None]
    assert table.column("b").combine_chunks().dictionary.to_pylist() == ["x", "y", "z"]


def test_dates_whole_numbers_text_and_odd_names(tmp_path: Path) -> None:
    table = read(
        tmp_path,
        "@relation r\n@attribute 'when it was' date 'yyyy-MM-dd'\n@attribute n integer\n"
        "@attribute m integer\n@attribute t string\n@data\n"
        "2026-01-31,300,1.5,'None'\n?,?,2,'it, is'\n",
    )
    assert table.column_names == ["when it was", "n", "m", "t"]
    assert table.column(0).to_pylist() == [datetime.datetime(2026, 1, 31), None]
    assert table.schema.field("n").type == pa.int64()
    assert table.column("n").to_pylist() == [300, None]
    assert table.column("m").to_pylist() == [1.5, 2.0]
    assert table.column("t").to_pylist() == ["None", "it, is"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no @data"),
        (HEAD, "no @data"),
        ("@relation r\n@data\n1\n", "no valid ARFF header"),
        ("@relation r\n@attribute a sometype\n@data\n1\n", "no valid ARFF header"),
        (HEAD + "@data\n", "no rows"),
        (HEAD + "@data\none,x\n", "invalid value 'one'"),
        (HEAD + "@data\n1,w\n", '"w" is not a level of the attribute "b"'),
        (HEAD + "@data\n1,'w'\n", "not valid ARFF"),
        (HEAD + "@data\n1,x\n1\n", "Expected 2 columns, got 1"),
        (HEAD + "@data\n{5 1}\n", "not valid ARFF"),
        ("@relation r\n@attribute d date\n@data\nyesterday\n", 'date attribute "d"'),
    ],
)
def test_what_is_no_arff_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(tmp_path, text)
    assert "t.arff" in str(caught.value)
    assert "\n" not in str(caught.value)
