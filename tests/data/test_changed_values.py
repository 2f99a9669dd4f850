"""Values that a type, a unit, a word or a sign would change silently are read right, or refused."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.errors import DataError
from tests.support.data_files import arff, column, dataset, write

BIG = 2**53 + 1
DAY = datetime.datetime(1900, 1, 1)
OTHER = datetime.datetime(2020, 1, 1)


def parquet(folder: Path, array: pa.Array) -> Path:
    path = folder / "d.parquet"
    pq.write_table(pa.table({"a": array, "y": [float(n) for n in range(len(array))]}), path)
    return path


def refusal(path: Path, **keys: Any) -> str:
    with pytest.raises(DataError) as caught:
        dataset(path, **({"type": "regression"} | keys))
    return str(caught.value)


@pytest.mark.parametrize("declared", [{}, {"a": "number"}])
def test_decimals_become_the_nearest_floats(tmp_path: Path, declared: dict[str, str]) -> None:
    random.seed(0)
    prices = [Decimal(random.randrange(10**6)).scaleb(-2) for _ in range(500)]
    path = parquet(tmp_path, pa.array(prices, pa.decimal128(38, 2)))
    data = dataset(path, type="regression", columns=declared)
    assert column(data, "a") == [float(price) for price in prices]
    pq.write_table(pa.table({"a": list(range(500)), "y": prices}), path)
    assert column(dataset(path, type="regression"), "y") == [float(price) for price in prices]


@pytest.mark.parametrize(
    ("array", "word"),
    [
        (pa.array([Decimal("1.50"), Decimal("-999.00")]), "-999"),
        (pa.array([5, -999]), "-999.0"),
        (pa.array([5, -999], pa.int16()), "-9.99e2"),
        (pa.array([5, -999]).dictionary_encode(), "-999.0"),
        (pa.array([Decimal("1.5"), Decimal("-999")]).dictionary_encode(), "-999"),
        (pa.array([OTHER, DAY], pa.date32()), "1900-01-01"),
        (pa.array([OTHER, DAY], pa.timestamp("ms")), "1900-01-01"),
        (pa.array([OTHER, DAY], pa.timestamp("us", "UTC")), "1900-01-01T00:00:00"),
        (pa.array([True, False]), "FALSE"),
    ],
)
def test_a_missing_word_matches_its_value_in_every_type(
    tmp_path: Path, array: pa.Array, word: str
) -> None:
    data = dataset(parquet(tmp_path, array), type="regression", missing=(word, "word", "1_0"))
    first, second = column(data, "a")
    assert first is not None
    assert second is None


@pytest.mark.parametrize("word", ["-999.0", "-999", "-9.99e2"])
@pytest.mark.parametrize("name", ["a", "y"])
def test_a_missing_number_is_compared_as_a_number(tmp_path: Path, word: str, name: str) -> None:
    rows = {"a": "-999,1\n2,2\n3,3\n", "y": "1,-999\n2,2\n3,3\n"}[name]
    path = write(tmp_path, "d.csv", "a,y\n" + rows)
    data = dataset(path, type="regression", missing=(word,))
    assert column(data, "a") == ([None, 2, 3] if name == "a" else [2, 3])


@pytest.mark.parametrize(
    ("rows", "keys", "value"),
    [
        ("1;1.234\n2;2,5\n", {}, "1.234"),
        ("1;1.234\n2;2.345\n", {"type": None}, "1.234"),
        ("1;1.234.567,5\n2;2\n", {"type": None}, "1.234.567,5"),
        ("1.234;1\n2,5;2\n", {"columns": {"a": "number"}}, "1.234"),
        ("1.000;1\n2;2\n", {"columns": {"a": "integer"}}, "1.000"),
    ],
)
def test_a_point_beside_decimal_commas_is_no_decimal_point(
    tmp_path: Path, rows: str, keys: dict[str, Any], value: str
) -> None:
    path = write(tmp_path, "d.csv", "a;y\n" + rows)
    said = refusal(path, separator=";", decimal=",", **keys)
    assert f"holds {value}, and" in said
    assert "remove the points between thousands" in said


def test_labels_and_dates_with_points_stay_beside_decimal_commas(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", "a;y\n2020-01-01T00:00:00.5;1.10\n2020-01-01T00:00:00.0;1,5\n")
    keys = {"columns": {"a": "date"}, "separator": ";", "decimal": ","}
    data = dataset(path, type="classification", **keys)
    assert column(data, "a") == [1577836800.5, 1577836800.0]
    assert column(data, "y") == ["1.10", "1,5"]


@pytest.mark.parametrize("ending", ["csv", "arff"])
@pytest.mark.parametrize("rows", [[f"{BIG}", ""], [f"{BIG}.0", "2"], [f"{BIG}.0", "2.5"]])
def test_whole_numbers_that_frameworks_would_get_changed(
    tmp_path: Path, ending: str, rows: list[str]
) -> None:
    lines = [f"{cell},{n}" for n, cell in enumerate(rows)]
    head = arff({"a": "numeric", "y": "numeric"}, lines)
    path = write(tmp_path, f"d.{ending}", head if ending == "arff" else "\n".join(["a,y", *lines]))
    assert f"{BIG}" in refusal(path)
    assert column(dataset(path, type="regression", columns={"a": "number"}), "a")[0] == BIG - 1


@pytest.mark.parametrize("kind", [pa.timestamp("ms"), pa.duration("ms"), pa.time32("ms")])
@pytest.mark.parametrize("declared", ["integer", "number"])
def test_a_time_is_no_number_without_its_unit(
    tmp_path: Path, kind: pa.DataType, declared: str
) -> None:
    path = parquet(tmp_path, pa.array([1, 2], kind))
    assert "no certain unit" in refusal(path, columns={"a": declared})


def test_broken_metadata_of_pandas_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    table = pa.table({"a": [1, 2], "y": [1.0, 2.0]}).replace_schema_metadata({"pandas": "{"})
    pq.write_table(table, path)
    assert "cannot be read as parquet" in refusal(path)


@pytest.mark.parametrize(
    ("attribute", "row", "said"),
    [
        ("numeric", "{0 1,0 3,1 2}", "has the attribute 0 twice"),
        ("string", "{0 a 1 2}", 'has no "attribute value" there'),
        ("numeric", "0x10,'2'", 'holds "0x10"'),
        ("date dd-MM-yyyy", "31-02-2020,2", "cannot be read together"),
        ("date dd-MM-yyyy", "29-2-2021,2", "cannot be read together"),
        ("date dd-MM-yy", "01-02-50,2", "cannot be read together"),
    ],
)
def test_arff_that_would_be_read_as_something_else(
    tmp_path: Path, attribute: str, row: str, said: str
) -> None:
    rows = [row, "{1 3}" if row.startswith("{") else "?,3"]
    path = write(tmp_path, "d.arff", arff({"a": attribute, "y": "numeric"}, rows))
    assert said in refusal(path)


@pytest.mark.parametrize(
    ("form", "cell", "seconds"),
    [
        ("dd-MM-yyyy", "1-2-2020", 1580515200.0),
        ("yyyyMMdd", "20200229", 1582934400.0),
        ("yyyy", "0999", -30641760000.0),
        ("HH:mm", "01:30", 5400.0),
        ("MM/dd", "2/1", 31 * 86_400.0),
        ("'dd.MM.yyyy HH:mm:ss'", "'01.01.1970 00:00:09'", 9.0),
    ],
)
def test_dates_of_arff_in_a_declared_format(
    tmp_path: Path, form: str, cell: str, seconds: float
) -> None:
    rows = [f"{cell},1", "?,2"]
    path = write(tmp_path, "d.arff", arff({"a": f"date {form}", "y": "numeric"}, rows))
    assert column(dataset(path, type="regression"), "a") == [seconds, None]


@pytest.mark.parametrize("ending", ["csv", "arff"])
def test_a_file_in_utf_8_is_not_read_in_another_encoding(tmp_path: Path, ending: str) -> None:
    text = "a,y\né,1\nb,2\n" if ending == "csv" else arff({"a": "string"}, ["é"])
    path = write(tmp_path, f"d.{ending}", b"\xef\xbb\xbf" + text.encode())
    assert 'mark of UTF-8, and "encoding" is "cp1252"' in refusal(path, encoding="cp1252")


def test_two_byte_order_marks_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", b"\xef\xbb\xbf" * 2 + b"a,y\n1,2\n2,3\n")
    assert "starts with two byte order marks; write it again without them" in refusal(path)


def test_booleans_are_not_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", "a,y\ntrue,1\nfalse,2\n,3\n")
    said = refusal(path, columns={"a": "number"})
    assert "cannot be read as number: it holds true and false; declare" in said
    path = parquet(tmp_path, pa.array([True, False, None]))
    for kind in ("number", "integer"):
        said = refusal(path, columns={"a": kind})
        assert f"cannot be read as {kind}: it holds true and false; declare" in said
    assert column(dataset(path, type="regression", columns={"a": "boolean"}), "a")


def test_a_target_that_is_too_small_for_a_float_is_noted(tmp_path: Path) -> None:
    path = write(tmp_path, "d.csv", "a,y\n1,1e-400\n2,1e-100\n")
    data = dataset(path, type="regression")
    assert data.description["notes"] == ["the target loses digits: 1e-400 is read as 0.0"]
