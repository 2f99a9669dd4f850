"""Values that are rounded, or read as text against their look, have a note; or they are refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import Catalogue, Dataset, exact
from benchmark.data.formats import tables
from benchmark.data.formats.arff import read_arff
from benchmark.errors import DataError
from tests.support.data_files import arff, column, write

FINE = 1_577_836_800_123_456_789


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))


def read(folder: Path, text: str = "file: d.csv\n", **files: Any) -> tuple[Dataset, list[str]]:
    """The data set and all its notes; or the refusal is raised."""
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        if isinstance(content, str):
            path.write_text(content)
        else:
            pq.write_table(content, path)
    place = write(folder, "d.yaml", f"target: y\n{text}")
    catalogue = Catalogue([], [str(place)])
    entries = catalogue.ready(catalogue.names())
    if catalogue.faults:
        raise DataError(catalogue.faults["d"])
    data = entries["d"].load()
    return data, [*data.description["notes"], *catalogue.notes]


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["9999-12-31 00:00:00.5", "2020-01-01 00:00:00"], "although its values are dates, such"),
        (["1500-01-01T00:00:00.25", "2020-01-01T00:00:00"], "although its values are dates, such"),
        (["2020-01-01T00:00:00Z", "2020-01-01T00:00:00"], "although its values are dates, such"),
        ([*["2020-01-01", "2020-01-02"] * 6, "unknown", "NA"], ""),
        (
            [*[f"2020-01-{day}" for day in range(10, 32)], "unknown"],
            'because of "unknown" in 1 row; list such words in "missing" and declare "date"',
        ),
        (["5%", "12.5 %", "100%"], 'of column "a" are text because of their form, as in "5%"'),
        (['"1,234.5"', "12", "1"], 'text because of their form, as in "1,234.5"'),
        (["$5", "$12.50", "7"], 'text because of their form, as in "$5"'),
        (["\N{MINUS SIGN}5", "5", "6"], "text because of their form"),
        (["1\N{NO-BREAK SPACE}234", "12\N{NO-BREAK SPACE}345"], "text because of their form"),
        (["1e-400", "1"], 'column "a" has 1e-400, which is read as 0.0; "category"'),
        (["1e-1000", "1"], 'column "a" has 1e-1000, which is read as 0.0; "category"'),
        (["0." + "0" * 330 + "7", "1"], "which is read as 0.0"),
        (["1e-308", "2.5e-300", "0e-999"], ""),
        (["12:30", "x"], ""),
        (["1.2.3", "1.2.4"], ""),
        (["2020-W01", "2020-W02"], ""),
        (["red", "5%"], ""),
    ],
)
def test_a_column_that_is_not_what_it_looks_like_is_noted(
    tmp_path: Path, values: list[str], note: str
) -> None:
    rows = "".join(f"{value},{n}.5\n" for n, value in enumerate(values))
    _, notes = read(tmp_path, d__csv=f"a,y\n{rows}")
    assert len(notes) == bool(note), notes
    assert note in "".join(notes)


def test_what_the_notes_advise_reads_the_dates(tmp_path: Path) -> None:
    text = "a,y\n9999-12-31 00:00:00.5,1\nunknown,2\n1970-01-01 00:00:01,3\n"
    data, notes = read(
        tmp_path, "file: d.csv\ncolumns: {a: date}\nmissing: [unknown]\n", d__csv=text
    )
    assert column(data, "a") == [253402214400.5, None, 1.0]
    assert not notes


def test_a_target_of_percents_is_noted(tmp_path: Path) -> None:
    data, notes = read(tmp_path, d__csv="a,y\n1,5%\n2,5%\n3,7%\n4,7%\n")
    assert data.type == "classification"
    assert notes[0].startswith('the numbers of column "y" are text because of their form')


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_finer_than_their_seconds_are_rounded_correctly_and_noted(
    tmp_path: Path, zone: str | None
) -> None:
    ticks = [FINE, FINE + 1, 1, None, -FINE, 253_402_214]
    times = pa.array(ticks, pa.timestamp("ns", zone))
    table = pa.table({"a": times, "y": [float(n) for n in range(6)]})
    data, notes = read(tmp_path, "file: d.parquet\n", d__parquet=table)
    nearest = [None if tick is None else float(Fraction(tick, 10**9)) for tick in ticks]
    assert column(data, "a") == nearest
    assert len(notes) == 1
    assert 'the times of column "a", such as 2020-01-01 00:00:00.123456789' in notes[0]


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_the_times_of_this_century_are_exact_to_the_microsecond(tmp_path: Path, unit: str) -> None:
    per_second = {"s": 1, "ms": 10**3, "us": 10**6}[unit]
    ticks = [1_700_000_000 * per_second + n for n in range(1000)]
    times = pa.array(ticks, pa.timestamp(unit))
    table = pa.table({"a": times, "y": [float(n) for n in range(1000)]})
    data, notes = read(tmp_path, "file: d.parquet\n", d__parquet=table)
    assert column(data, "a") == [tick / per_second for tick in ticks]
    assert not notes


def test_milliseconds_are_one_number_in_every_unit() -> None:
    milliseconds = [1_577_836_800_001 + 7 * n for n in range(1000)]
    found = {
        unit: exact.seconds(pa.array([one * factor for one in milliseconds], pa.timestamp(unit)))
        for unit, factor in (("ms", 1), ("us", 10**3), ("ns", 10**6))
    }
    assert found["ms"].equals(found["us"])
    assert found["ms"].equals(found["ns"])


def test_a_number_across_two_blocks_of_a_file_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_BLOCK", len("a,y\n1e-4"))
    _, notes = read(tmp_path, d__csv="a,y\n1e-400,1.5\n1,2.5\n")
    assert len(notes) == 1, notes


@pytest.mark.parametrize("quote", ["", "'"])
@pytest.mark.parametrize("tiny", ["1e-400", "1e-1000", "1e-0012345"])
def test_arff_refuses_numbers_that_become_zero(tmp_path: Path, quote: str, tiny: str) -> None:
    rows = [f"{tiny},a", f"2,{quote}b{quote}"]
    path = write(tmp_path, "d.arff", arff({"x": "numeric", "y": "{a,b}"}, rows))
    with pytest.raises(DataError, match=f"holds {tiny}, which a floating-point"):
        read_arff(path)
    rows[0] = "1e-300,a"
    path = write(tmp_path, "d.arff", arff({"x": "numeric", "y": "{a,b}"}, rows))
    assert read_arff(path).column("x").to_pylist() == [1e-300, 2.0]


def test_ordered_categories_of_numbers_lose_their_order_with_a_note(tmp_path: Path) -> None:
    levels = pd.Categorical([30, 10, 20], categories=[30, 10, 20], ordered=True)
    words = pd.Categorical(["c", "a", "b"], categories=["c", "a", "b"], ordered=True)
    frame = pd.DataFrame({"a": levels, "b": words, "y": [0.5, 1.5, 2.5]})
    table = pa.Table.from_pandas(frame)
    for one in (table, table.replace_schema_metadata(None)):
        data, notes = read(tmp_path, "file: d.parquet\n", d__parquet=one)
        assert data.table.schema.field("b").type.ordered
        assert not data.table.schema.field("a").type.ordered
        assert notes == [
            'the order of the categories of column "a" is not in the file, so they have none'
        ]


@pytest.mark.parametrize(
    ("train", "test", "why"),
    [
        ("a,y\n1,1\n2,2\n", "a,y,g\n1,1,7\n", 'only the test file has "g"; add it to the train'),
        ("a,g,y\n1,7,1\n2,7,2\n", "a,y\n1,1\n", 'only the train file has "g"; add it to the test'),
        ("a,y\n1,1\n2,2\n", "A,y\n1,1\n", 'only the train file has "a"'),
        ("a,y\n1,1\n2,2\n", "a,a,y\n1,2,1\n", 'The test file of data set d has two columns "a"'),
        ("a,a,y\n1,1,1\n2,2,2\n", "a,y\n1,2\n", "The train file of data set d has two columns"),
    ],
)
def test_train_and_test_have_the_same_columns(
    tmp_path: Path, train: str, test: str, why: str
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, "train: a.csv\ntest: b.csv\n", a__csv=train, b__csv=test)
    assert why in str(caught.value)


def test_decimals_of_train_keep_their_digits_beside_floats_of_test(tmp_path: Path) -> None:
    def table(values: list[Any]) -> pa.Table:
        return pa.table({"a": values, "y": [1.0, 2.0]})

    text = "train: a.parquet\ntest: b.parquet\n"
    small, large = [Decimal("1.10"), Decimal("2.25")], [Decimal("9007199254740993.0"), Decimal(1)]
    data, _ = read(tmp_path, text, a__parquet=table(small), b__parquet=table([0.5, 1.5]))
    assert column(data, "a") == [1.1, 2.25, 0.5, 1.5]
    with pytest.raises(DataError, match="which loses digits"):
        read(tmp_path, text, a__parquet=table([0.5, 1.5]), b__parquet=table(large))
