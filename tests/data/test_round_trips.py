"""A table of any of Arrow's types reads back equal from CSV, ARFF and parquet, or is refused."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import DataError
from tests.support.data_files import arff, column, dataset, write

# Arrow's types; of text neither the empty one, which is missing in a CSV, nor control characters.
TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=6)
TEXT = TEXT.filter(lambda word: word.strip() == word and word != "?")
WHOLE = {
    kind: st.integers(np.iinfo(kind).min, np.iinfo(kind).max)
    for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
}
KINDS: dict[str, Any] = {kind: (getattr(pa, kind)(), values) for kind, values in WHOLE.items()}
KINDS |= {
    "float32": (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "float64": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "string": (pa.string(), TEXT),
    "category": (pa.dictionary(pa.int32(), pa.string()), TEXT),
    "bool": (pa.bool_(), st.booleans()),
    "date32": (pa.date32(), st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1))),
    "timestamp": (
        pa.timestamp("us"),
        st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1)),
    ),
    "decimal": (pa.decimal128(25, 0), st.integers(-(10**25) + 1, 10**25 - 1)),
    "price": (
        pa.decimal128(20, 2),
        st.integers(-(10**20) + 1, 10**20 - 1).map(lambda n: Decimal(n).scaleb(-2)),
    ),
}
DECLARED = {"string": "category", "category": "category", "bool": "category", "date32": "date"}
DECLARED |= {"timestamp": "date"}


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.Table, dict[str, str]]:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4))
    rows = draw(st.integers(2, 6))
    columns = {"y": pa.array([float(n) for n in range(rows)])}
    declared = {}
    for number, kind in enumerate(kinds):
        of_arrow, values = KINDS[kind]
        cells = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
        columns[f"c{number}"] = pa.array(cells, of_arrow)
        if kind in DECLARED:
            declared[f"c{number}"] = DECLARED[kind]
    return pa.table(columns), declared


def cell(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else repr(value) if isinstance(value, float) else str(value)


def as_csv(table: pa.Table) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    writer.writerows(zip(*([cell(v) for v in c.to_pylist()] for c in table.columns), strict=True))
    return text.getvalue().encode()


def as_arff(table: pa.Table) -> bytes:
    def quoted(value: str | None) -> str:
        return "?" if value is None else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"

    types = [field.type for field in table.schema]
    numeric = [
        pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t) for t in types
    ]
    heads = {
        n: "numeric" if m else "string" for n, m in zip(table.column_names, numeric, strict=True)
    }
    rows = [
        ",".join(
            (cell(v) or "?") if m else quoted(cell(v)) for v, m in zip(row, numeric, strict=True)
        )
        for row in zip(*(c.to_pylist() for c in table.columns), strict=True)
    ]
    return arff(heads, rows).encode()


def as_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def same(found: Any, wanted: Any, kind: pa.DataType) -> bool:
    if found is None or wanted is None:
        return found is wanted
    if pa.types.is_date32(kind):
        return bool(found == (wanted - datetime.date(1970, 1, 1)).days * 86_400.0)
    if pa.types.is_timestamp(kind):
        gone = wanted - datetime.datetime(1970, 1, 1)
        return bool(found == (gone // datetime.timedelta(microseconds=1)) / 1e6)
    if pa.types.is_float32(kind):
        return bool(np.float32(found) == np.float32(wanted))
    if pa.types.is_decimal(kind):
        return bool(found == wanted or (found == float(wanted) and wanted % 1))
    return bool(found == (cell(wanted) if pa.types.is_boolean(kind) else wanted))


@pytest.mark.parametrize(
    ("ending", "written"), [("csv", as_csv), ("arff", as_arff), ("parquet", as_parquet)]
)
@settings(max_examples=40)
@given(drawn=tables())
def test_any_table_reads_back_equal_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    ending: str,
    written: Callable[[pa.Table], bytes],
    drawn: tuple[pa.Table, dict[str, str]],
) -> None:
    table, declared = drawn
    path = write(tmp_path_factory.getbasetemp(), f"any.{ending}", written(table))
    try:
        data = dataset(path, type="regression", columns=declared)
    except DataError as error:
        assert "which loses digits as a floating-point number" in str(error)
        return
    for name in table.column_names:
        kind = table.schema.field(name).type
        wanted = table.column(name).to_pylist()
        found = column(data, name)
        pairs = zip(found, wanted, strict=True)
        assert all(same(one, other, kind) for one, other in pairs), (name, kind, found, wanted)
