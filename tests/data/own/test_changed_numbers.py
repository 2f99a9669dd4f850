"""Numbers of a CSV that were written as codes: what they are read as is printed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data.formats.tables import changed_numbers, read_table
from benchmark.data.kinds import Reading
from benchmark.data.sources import Catalogue
from tests.support.data_files import write

CHANGED = {
    "a,y\n007,1\n7,2\n": ['column "a" has 007, which is read as a number; "category" in '],
    "a,y\n0x1F,1\n2,2\n": ['column "a" has 0x1F, which'],
    'a,y\n"-00.5",1\n2,2\n': ['column "a" has -00.5, which'],
    "a,y\n1,01\n2,2\n": ['column "y" has 01, which is read as a number; "type: classification"'],
    "a,y\n0,1\n0.5,2\n": [],
    "a,y\n10:05,1\nx0x,2\n": [],
    "a,y\n2024-01-05,1\n2024-01-06,2\n": [],
}


@pytest.mark.parametrize("text", CHANGED)
def test_numbers_that_were_codes_are_noted(tmp_path: Path, text: str) -> None:
    write(tmp_path, "d.csv", text.encode())
    place = write(tmp_path, "d.yaml", b"name: d\nfile: d.csv\ntarget: y\n")
    catalogue = Catalogue([], [str(place)])
    assert catalogue.ready(catalogue.names())
    assert len(catalogue.notes) == len(CHANGED[text])
    for note, begin in zip(catalogue.notes, CHANGED[text], strict=True):
        assert note.startswith(f"d: {begin}")


def test_a_declared_column_is_what_it_is_declared(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", b"a,y\n007,1\n7,2\n")
    for kind in ("category", "number"):
        declared = Reading(target="y", columns={"a": kind})
        assert changed_numbers(path, declared, read_table(path, declared)) == []


def test_a_name_twice_is_refused_as_without_codes(tmp_path: Path) -> None:
    write(tmp_path, "d.csv", b"a,a,y\n007,1,1\n7,2,2\n")
    place = write(tmp_path, "d.yaml", b"name: d\nfile: d.csv\ntarget: y\n")
    catalogue = Catalogue([], [str(place)])
    assert catalogue.ready(catalogue.names()) == {}
    assert catalogue.faults == {"d": 'Data set d has two columns "a"; rename one of them.'}


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("boolean", "perhaps", 'write true or false, or declare "category".'),
        ("date", "31/12/2024", "write dates as 2026-01-31 or 2026-01-31T12:00:00, or declare"),
        ("number", "abc", 'add the word to "missing", or declare "category".'),
        ("integer", "1.5", 'correct the value, or declare "number" or "category".'),
    ],
)
def test_a_value_that_is_not_of_its_kind_is_refused_with_a_fix(
    tmp_path: Path, kind: str, value: str, said: str
) -> None:
    write(tmp_path, "d.csv", f"a,y\n{value},1\n{value},2\n".encode())
    text = f"name: d\nfile: d.csv\ntarget: y\ncolumns: {{a: {kind}}}\n"
    catalogue = Catalogue([], [str(write(tmp_path, "d.yaml", text.encode()))])
    assert catalogue.ready(catalogue.names()) == {}
    assert said in catalogue.faults["d"]


def test_a_target_that_differs_by_white_space_is_suggested(tmp_path: Path) -> None:
    write(tmp_path, "d.csv", b"a, y\n1,1\n2,2\n")
    place = write(tmp_path, "d.yaml", b"name: d\nfile: d.csv\ntarget: y\n")
    catalogue = Catalogue([], [str(place)])
    assert catalogue.ready(catalogue.names()) == {}
    assert catalogue.faults["d"].endswith('did you mean " y"?')


@pytest.mark.parametrize("kind", ["category", "text", "number"])
def test_lists_are_refused_with_a_fix(tmp_path: Path, kind: str) -> None:
    pq.write_table(pa.table({"a": [[1], [2]], "y": [1, 2]}), tmp_path / "d.parquet")
    text = f"name: d\nfile: d.parquet\ntarget: y\ncolumns: {{a: {kind}}}\n"
    catalogue = Catalogue([], [str(write(tmp_path, "d.yaml", text.encode()))])
    assert catalogue.ready(catalogue.names()) == {}
    assert (
        f'The column "a" of {tmp_path}/d.parquet cannot be read as {kind}' in catalogue.faults["d"]
    )
    assert "declare" in catalogue.faults["d"]


@pytest.mark.parametrize(
    ("header", "cell", "columns", "begins"),
    [
        ("a,b", "?", "{}", ['column "a" is a category because of "?" in 1 row; list such words']),
        ("a,b", " ", "{}", ['column "a" is a category because of " " in 1 row; list such words']),
        (",b", "7", "{}", ['column "" has no name, as an index that pandas or R wrote; "ignore"']),
        ("Unnamed: 0,b", "7", "{}", ['column "Unnamed: 0" has no name, as an index']),
        (",b", "7", "{'': ignore}", []),
        ("a,b", "?", "{a: category}", []),
        ("a,b", "1e3", "{}", []),
        (
            "a,b",
            '"1,5"',
            "{}",
            ['the numbers of column "a" are text because of the comma in "1,5"'],
        ),
    ],
)
def test_suspect_columns_are_noted(
    tmp_path: Path, header: str, cell: str, columns: str, begins: list[str]
) -> None:
    rows = [f"{n if n else cell},{n % 3},{n % 2}" for n in range(20)]
    write(tmp_path, "d.csv", "\n".join([f"{header},y", *rows]))
    declared = f"name: d\nfile: d.csv\ntarget: y\ncolumns: {columns}\n"
    place = write(tmp_path, "d.yaml", declared)
    catalogue = Catalogue([], [str(place)])
    (entry,) = catalogue.ready(catalogue.names()).values()
    notes = entry.description["notes"]
    assert len(notes) == len(begins)
    assert all(note.startswith(begin) for note, begin in zip(notes, begins, strict=True))
