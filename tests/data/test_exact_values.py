"""Values are read as the file has them, or refused: integers, labels, dates, gaps."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import Dataset
from benchmark.data.formats.arff import read_arff
from benchmark.data.formats.parquet import read_parquet
from benchmark.data.formats.tables import read_table
from benchmark.data.kinds import Reading
from benchmark.errors import DataError
from tests.support.data_files import arff, column, dataset, write

BIG = 2**53 + 1
LABELS = ["01", "1", "1.0", "1e0", "1e5", "100000", "0x10", "-0", "0", str(2**64 + 1), str(2**64)]
EPOCH = 1_711_845_000


@pytest.mark.parametrize("ending", ["csv", "tsv", "numeric.arff", "quoted.arff", "nominal.arff"])
def test_labels_are_text_as_written(tmp_path: Path, ending: str) -> None:
    separator = "\t" if ending == "tsv" else ","
    rows = [f"{n}{separator}{label}" for n, label in enumerate(LABELS)]
    if ending.endswith("arff"):
        kind = f"{{{','.join(LABELS)}}}" if ending.startswith("nominal") else "numeric"
        rows[0] = "0,'01'" if ending.startswith("quoted") else rows[0]
        text = arff({"a": "numeric", "y": kind}, rows)
    else:
        text = "\n".join([f"a{separator}y", *rows])
    data = dataset(write(tmp_path, f"d.{ending}", text), type="classification")
    assert column(data, "y") == LABELS
    assert data.classes == sorted(LABELS)


@pytest.mark.parametrize(
    ("array", "labels"),
    [
        (pa.array([BIG, BIG - 1, BIG + 1]), [str(BIG), str(BIG - 1), str(BIG + 1)]),
        (pa.array([2**64 - 1, 2**64 - 2], pa.uint64()), [str(2**64 - 1), str(2**64 - 2)]),
        (pa.array([1e20, 2e20, 1e300, 1.5]), ["1e+20", "2e+20", "1e+300", "1.5"]),
        (pa.array([1.0, 2.0, None]), ["1", "2"]),
        (pa.array(["01", "1", "1.0"]), ["01", "1", "1.0"]),
        (pa.array([True, False]), ["true", "false"]),
        (
            pa.array([datetime.date(2026, 1, 31), datetime.date(2026, 2, 1)]),
            ["2026-01-31", "2026-02-01"],
        ),
    ],
)
def test_labels_of_typed_columns_never_meet(tmp_path: Path, array: pa.Array, labels: list) -> None:
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"a": list(range(len(array))), "y": array}), path)
    assert column(dataset(path, type="classification"), "y") == labels


def test_words_for_missing_numbers_are_missing_among_labels_that_are_numbers(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "d.csv", "a,y\n1,0\n2,NA\n3,01\n4,\n")
    data = dataset(path, type="classification")
    assert column(data, "y") == ["0", "01"]
    assert data.description["notes"][0].startswith("2 rows without a target")
    words = write(tmp_path, "w.csv", "a,y\n1,u\n2,NA\n3,None\n")
    assert column(dataset(words, type="classification"), "y") == ["u", "NA", "None"]


@pytest.mark.parametrize("kind", ["integer", "numeric", "INTEGER", "real"])
@pytest.mark.parametrize("extra", ["", ",'q'"])
def test_whole_numbers_of_arff_are_exact(tmp_path: Path, kind: str, extra: str) -> None:
    attributes = {"n": kind} | ({"t": "string"} if extra else {})
    rows = [f"{value}{extra}" for value in (BIG, -BIG, 2**63 - 1, "?")]
    table = read_arff(write(tmp_path, "d.arff", arff(attributes, rows)))
    assert table.column("n").to_pylist() == [BIG, -BIG, 2**63 - 1, None]


@pytest.mark.parametrize("ending", ["csv", "arff"])
def test_whole_numbers_beyond_a_float_are_exact_or_refused(tmp_path: Path, ending: str) -> None:
    def read(values: list[Any], **keys: Any) -> pa.Table:
        if ending == "csv":
            text = "x,y\n" + "".join(f"{value},1\n" for value in values)
        else:
            text = arff({"x": "numeric", "y": "numeric"}, [f"{value},1" for value in values])
        return read_table(write(tmp_path, f"d.{ending}", text), Reading(**keys))

    assert read([2**64 - 1, 5]).column("x").to_pylist() == [2**64 - 1, 5]
    assert read(["1e20", 5]).column("x").to_pylist() == [1e20, 5.0]
    assert read(["123456789012345680000", "1.5"]).column("x").to_pylist()[1] == 1.5
    for values in ([2**64 + 1, 5], [BIG, "1.5"], [-(2**63) - 1, 0]):
        with pytest.raises(
            DataError, match=f"holds {values[0]}, which loses digits as a floating-point number"
        ):
            read(values)
    if ending == "csv":
        text = read([2**64 + 1, 5], columns={"x": "category"}).column("x").to_pylist()
        assert text == [str(2**64 + 1), "5"]
        assert read([BIG, "1.5"], columns={"x": "number"}).column("x").to_pylist()[1] == 1.5


@pytest.mark.parametrize("value", [BIG, 2**64 + 1, "0.12345678901234567891"])
def test_a_regression_target_that_loses_digits_is_noted(tmp_path: Path, value: object) -> None:
    path = write(tmp_path, "d.csv", f"a,y\n1,{value}\n2,3\n")
    (note,) = dataset(path, type="regression").description["notes"]
    assert note == f"the target loses digits: {value} is read as {float(str(value))!r}"
    exact = write(tmp_path, "e.csv", "a,y\n1,0.30000000000000004\n2,3\n")
    assert dataset(exact, type="regression").description["notes"] == []


def test_what_pandas_says_of_its_columns_counts(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "number": pd.Categorical([3, 1, 2, 3]),
            "float": pd.Categorical([1.5, 2.0, None, 1.5]),
            "flag": pd.Categorical([True, False, True, True]),
            "day": pd.Categorical(pd.to_datetime(["2026-01-31"] * 4)),
            "word": pd.Categorical(["x", "y", "x", "x"], categories=["y", "x"], ordered=True),
            "plain": [1, 2, 3, 4],
        }
    )
    indexes: dict[str, Any] = {
        "range": pd.RangeIndex(4),
        "numbers": pd.Index([4, 2, 1, 3]),
        "named": pd.Index(list("uvwx"), name="key"),
        "two": pd.MultiIndex.from_arrays([list("uvwx"), [4, 3, 2, 1]], names=["key", None]),
        "dates": pd.to_datetime(["2026-01-01", "2026-01-03", "2026-01-02", "2026-01-04"]),
    }
    for name, index in indexes.items():
        path = tmp_path / f"{name}.parquet"
        frame.set_axis(index, axis=0).to_parquet(path)
        table = read_parquet(path)
        assert table.column_names == list(frame.columns)
        levels = {
            c: table.column(c).combine_chunks().dictionary.to_pylist() for c in frame.columns[:3]
        }
        assert levels == {"number": [1, 2, 3], "float": [1.5, 2.0], "flag": [False, True]}
    assert "key" in read_parquet(tmp_path / "named.parquet", {"key"}).column_names
    data = Dataset.of("d", "classification", "number", read_parquet(path))
    assert data.classes == ["1", "2", "3"]
    assert data.categorical == ["float", "flag", "day", "word"]
    word = data.table.column("word").combine_chunks()
    assert (word.dictionary.to_pylist(), word.type.ordered) == (["y", "x"], True)


def test_a_category_that_arrow_wrote_and_a_folder_with_an_equals_sign(tmp_path: Path) -> None:
    folder = tmp_path / "year=2026"
    folder.mkdir()
    path = folder / "d.parquet"
    pq.write_table(
        pa.table({"a": pa.array([7, 5, None]).dictionary_encode(), "y": [1, 2, 3]}), path
    )
    table = read_parquet(path)
    assert table.column_names == ["a", "y"]
    assert pa.types.is_dictionary(table.schema.field("a").type)


DATES = {
    "day": ("20240101", 1704067200.0),
    "year": ("1980", 315532800.0),
    "epoch": (str(EPOCH), float(EPOCH)),
    "early epoch": ("999999999", 999999999.0),
    "iso": ("2024-01-01", 1704067200.0),
    "time": ("2024-01-01 12:30", 1704112200.0),
    "zone": ("2024-01-01T02:00:00+02:00", 1704067200.0),
    "fraction": ("2024-01-01T00:00:00.500", 1704067200.5),
}


@pytest.mark.parametrize("case", DATES)
def test_a_date_is_seconds_since_1970_however_it_is_written(tmp_path: Path, case: str) -> None:
    text, seconds = DATES[case]
    path = write(tmp_path, "d.csv", f"d,y\n{text},1\n,2\n")
    data = dataset(path, type="regression", columns={"d": "date"})
    assert column(data, "d") == [seconds, None]
    typed = tmp_path / "d.parquet"
    for value in [text, *([int(text), float(text)] if text.isdigit() else [])]:
        pq.write_table(pa.table({"d": [value, None], "y": [1, 2]}), typed)
        assert column(dataset(typed, type="regression", columns={"d": "date"}), "d")[0] == seconds


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_dates_of_any_unit_are_seconds(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "d.parquet"
    for zone in (None, "Europe/Berlin"):
        moments = pa.array([EPOCH, None]).cast(pa.timestamp("s")).cast(pa.timestamp(unit, zone))
        pq.write_table(pa.table({"d": moments, "y": [1, 2]}), path)
        assert column(dataset(path, type="regression"), "d") == [float(EPOCH), None]


@pytest.mark.parametrize(
    "value",
    ["17", "202401", f"{EPOCH}000", "20241301", "1.5", "-20240101", "12:30:00", "yesterday"],
)
def test_what_is_no_date_is_refused(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, "d.csv", f"d,y\n{value},1\n{value},2\n")
    with pytest.raises(DataError, match=r'column "d" of .* cannot be read as date') as caught:
        dataset(path, type="regression", columns={"d": "date"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("boolean", "2", "only 0 and 1"),
        ("integer", "1.5", "cannot be read as integer"),
        ("integer", "1e20", "may have lost digits"),
        ("number", "one", "cannot be read as number"),
    ],
)
def test_a_kind_takes_no_other_value(tmp_path: Path, kind: str, value: str, words: str) -> None:
    number = pa.array([float(value)]) if value != "one" else pa.array([value])
    pq.write_table(pa.table({"a": number, "y": [1]}), tmp_path / "d.parquet")
    paths = [write(tmp_path, "d.csv", f"a,y\n{value},1\n")]
    if kind != "integer" or value == "1.5":
        paths.append(tmp_path / "d.parquet")
    for path in paths:
        with pytest.raises(DataError) as caught:
            read_table(path, Reading(columns={"a": kind}))
        assert words in str(caught.value) or "cannot be read as" in str(caught.value)


MARKED = {"c": ["unknown", "a", "b"], "n": [-9, 1, 2], "y": ["u", "v", "u"]}


@pytest.mark.parametrize("ending", ["csv", "parquet", "categories.parquet", "arff", "quoted.arff"])
def test_missing_counts_in_every_format(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"d.{ending}"
    rows = [f"{c},{n},{y}" for c, n, y in zip(*MARKED.values(), strict=True)]
    if ending == "csv":
        path.write_text("c,n,y\n" + "\n".join(rows))
    elif ending.endswith("parquet"):
        table = pa.table(MARKED)
        coded = table.column("c").dictionary_encode()
        pq.write_table(table.set_column(0, "c", coded) if "categ" in ending else table, path)
    else:
        rows[1] = "'a',1,v" if "quoted" in ending else rows[1]
        path.write_text(arff({"c": "{unknown,a,b}", "n": "numeric", "y": "{u,v}"}, rows))
    data = dataset(path, type="classification", missing=("unknown", "-9"))
    assert column(data, "c") == [None, "a", "b"]
    assert data.table.column("c").combine_chunks().dictionary.to_pylist() == ["a", "b"]
    assert column(data, "n") == [None, 1, 2]


@pytest.mark.parametrize("ending", ["csv", "arff", "decimal.csv"])
@pytest.mark.parametrize("columns", [{}, {"n": "number"}])
def test_a_number_means_missing_however_it_is_written(
    tmp_path: Path, ending: str, columns: dict[str, str]
) -> None:
    rows = ["-999.0,3.5", "-999,-999.00", "-0.50,1", "-9990,-9.99", "1.25,2"]
    options: dict[str, Any] = {"missing": ("-999", "-0.5"), "columns": columns}
    if ending.startswith("decimal"):
        rows = [row.replace(",", ";").replace(".", ",") for row in ["n,y", *rows]]
        options = {**options, "separator": ";", "decimal": ",", "missing": ("-999", "-0,5")}
        path = write(tmp_path, "d.csv", "\n".join(rows))
    elif ending == "csv":
        path = write(tmp_path, "d.csv", "\n".join(["n,y", *rows]))
    else:
        path = write(tmp_path, "d.arff", arff({"n": "numeric", "y": "numeric"}, rows))
    data = dataset(path, type="regression", **options)
    assert column(data, "n") == [None, None, -9990, 1.25]
    assert column(data, "y") == [3.5, 1, -9.99, 2]


def test_labels_that_mean_missing_are_left_out_however_they_are_written(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", "n,y\n1,-999.0\n2,1\n3,0\n4,-999\n")
    data = dataset(path, type="classification", missing=("-999",))
    assert column(data, "y") == ["1", "0"]


@pytest.mark.parametrize(
    ("ending", "key", "value"),
    [
        *(("parquet", key, ",") for key in ("separator", "decimal")),
        ("parquet", "encoding", "latin-1"),
        *(("arff", key, ",") for key in ("separator", "decimal")),
    ],
)
def test_a_key_that_means_nothing_for_a_format_is_refused(
    tmp_path: Path, ending: str, key: str, value: str
) -> None:
    with pytest.raises(DataError, match=f'is {ending}, to which "{key}" does not apply'):
        read_table(write(tmp_path, f"d.{ending}", b"PAR1"), Reading(**{key: value}))


WEKA = {
    "tabs": "@relation\tr\n@attribute\ta\tnumeric\n\t@attribute b {x,\ty}\n@data\n1.5,\tx\n?\ty\n",
    "mark": "\ufeff@relation r\n@attribute a real\n@attribute b {x,y}\n@data\n1.5,x\n?,y\n",
    "old mac": "@relation r\r@attribute a real\r@attribute b{x,y}\r@data\r1.5,x\r?,y\r",
    "windows": "@relation r\r\n@attribute a real\r\n@attribute b {x,y}\r\n"
    "@data\r\n1.5,'x'\r\n?,y\r\n",
    "remarks": "@relation r % r\n@attribute a real % a\n@attribute b {x,y} % b\n@data % d\n"
    "1.5,x % one\n% two\n?,y\n",
    "quotes": "@relation 'a b'\n@attribute 'a' real\n@attribute \"b\" {'x',\"y\"}\n"
    "@data\n1.5,x\n?,'y'\n",
    "sparse": "@relation r\n@attribute a real\n@attribute b {x,y}\n@data\n{0 1.5}\n{0 ?,1 y}\n",
}


@pytest.mark.parametrize("case", WEKA)
@pytest.mark.parametrize("encoding", [None, "utf-16", "cp1252"])
def test_an_arff_that_weka_accepts(tmp_path: Path, case: str, encoding: str | None) -> None:
    text = WEKA[case] if encoding is None else WEKA[case].removeprefix("\ufeff")
    path = write(tmp_path, "d.arff", text.encode(encoding or "utf-8"))
    # A byte order mark says UTF-16 by itself.
    table = read_arff(path, None if encoding == "utf-16" else encoding)
    assert table.to_pydict() == {"a": [1.5, None], "b": ["x", "y"]}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_csv_with_any_line_end_and_mark(tmp_path: Path, ends: str, encoding: str) -> None:
    path = write(tmp_path, "d.csv", ends.join(["ä,y", "1,ü", "2,v", ""]).encode(encoding))
    table = read_table(path, Reading())
    assert table.to_pydict() == {"ä": [1, 2], "y": ["ü", "v"]}


NOTED: dict[str, tuple[dict[str, Any], str, str]] = {
    "dropped": (
        {"a": [1, 2, 3], "y": ["u", None, "v"]},
        "classification",
        "1 row without a target",
    ),
    "infinite": (
        {"a": [1.0, float("inf"), float("-inf")], "y": ["u", "v", "u"]},
        "classification",
        '2 infinite values among the features, in "a"',
    ),
    "stray": (
        {"a": list(range(30)), "y": [*map(str, range(29)), "n.a."]},
        "classification",
        'a number in all rows but 1, which have "n.a."',
    ),
    "one each": (
        {"a": [1, 2, 3], "y": ["u", "v", "w"]},
        "classification",
        "each of the 3 rows has a class of its own",
    ),
    "alike": (
        {"a": [1, 2, 3, 4], "y": ["01", "1.0", "1", "2"]},
        "classification",
        '"01", "1", "1.0" are different classes',
    ),
    "alike, several": (
        {"a": [1, 2, 3, 4, 5, 6], "y": ["Yes", "1", "x", "yes", "1.0", "z"]},
        "classification",
        '"Yes", "yes"; "1", "1.0" are different classes',
    ),
    "blanks": (
        {"a": [1, 2, 3], "y": ["u", "u ", "v"]},
        "classification",
        '"u", "u " are different',
    ),
    "no row": (
        {"a": [1, 2], "y": pa.DictionaryArray.from_arrays([0, 2], ["u", "w", "v"])},
        "classification",
        '"w" declared as a class but in no row',
    ),
    "digits": ({"a": [1, 2], "y": [BIG, 1]}, "regression", f"{BIG} is read as 9007199254740992.0"),
}


@pytest.mark.parametrize("case", NOTED)
def test_what_is_odd_is_noted_and_found_by_the_check(case: str) -> None:
    from benchmark.data import checks

    columns, kind, words = NOTED[case]
    data = Dataset.of("d", kind, "y", pa.table(columns))
    assert any(words in note for note in data.description["notes"])
    assert any(words in finding for finding in checks.findings(data))
    again = Dataset.from_parquet(data.to_parquet(), data.description)
    assert again.description["notes"] == data.description["notes"]
