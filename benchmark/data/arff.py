"""Reads ARFF, dense and sparse, into an Arrow table with the types that the header declares.

table = read_arff(Path("iris.arff"))

Nominal attributes become dictionary columns with the declared levels in their order, also those
that do not occur; dates become timestamps. Plain dense files go through Arrow's CSV reader, which
takes hundreds of megabytes a second; quotes, escapes and sparse rows go through liac-arff.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from benchmark.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

_NUMBERS = ("NUMERIC", "REAL")
_KIND = rb"(?i)^(\s*@attribute\s+(?:'[^']*'|\"[^\"]*\"|\S+)\s+)%s\b.*$"
_DATE, _INTEGER = re.compile(_KIND % b"date"), re.compile(_KIND % b"integer")
_MOST_CELLS = 2_000_000_000


def read_arff(path: Path) -> pa.Table:
    """The table of an ARFF file.

    Raises:
        DataError: it is no ARFF, or breaks off, or its values contradict its header.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    start = re.search(rb"(?im)^[ \t]*@data[^\n]*(?:\n|\Z)", content)
    if start is None:
        raise DataError(f"{path.name} has no @data line, so it is no whole ARFF file.")
    declared, body = content[: start.end()], content[start.end() :]
    header = _readable(declared)
    attributes = _attributes(header, path)
    try:
        columns = _fast(body, attributes) if _is_plain(body) else _slow(header, body, attributes)
    except (pa.ArrowException, ValueError, IndexError, KeyError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} is no valid ARFF: {reason}.") from None
    for place in _places(_DATE, declared):
        columns[place] = _as_date(columns[place], path.name, attributes[place][0])
    for place in _places(_INTEGER, declared):
        columns[place] = _whole(columns[place])
    return pa.Table.from_arrays(columns, names=[name for name, _ in attributes])


def _readable(header: bytes) -> bytes:
    """As liac-arff can read it: it knows no dates, and cuts 1.5 in an INTEGER down to 1."""
    lines = (line.rstrip(b"\r\n") for line in header.splitlines(keepends=True))
    lines = (_INTEGER.sub(rb"\1REAL", _DATE.sub(rb"\1STRING", line)) for line in lines)
    return b"".join(line + b"\n" for line in lines)


def _places(kind: re.Pattern[bytes], header: bytes) -> set[int]:
    """Which attributes the header declares as this kind."""
    lines = [line for line in header.splitlines() if line.strip().lower().startswith(b"@attribute")]
    return {place for place, line in enumerate(lines) if kind.match(line)}


def _attributes(header: bytes, path: Path) -> list[tuple[str, Any]]:
    import arff

    try:
        # The generator form reads the header and no row.
        attributes: list[tuple[str, Any]] = arff.ArffDecoder().decode(
            header.decode("utf-8"), return_type=arff.DENSE_GEN
        )["attributes"]
    except (arff.ArffException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path.name} has no valid ARFF header: {reason}") from None
    if not attributes:
        raise DataError(f"{path.name} declares no @attribute.")
    return attributes


def _is_plain(body: bytes) -> bool:
    return not re.search(rb"['\"\\{}%\t]", body)


def _fast(body: bytes, attributes: list[tuple[str, Any]]) -> list[pa.Array]:
    names = [str(place) for place in range(len(attributes))]
    body = re.sub(rb"[ ]*(,|\r?\n|\Z)[ ]*", rb"\1", body).lstrip(b" ") if b" " in body else body
    if not body.strip():
        raise ValueError("it has no rows")
    table = pc_csv.read_csv(
        io.BytesIO(body),
        read_options=pc_csv.ReadOptions(column_names=names, block_size=1 << 24),
        parse_options=pc_csv.ParseOptions(quote_char=False, ignore_empty_lines=True),
        convert_options=pc_csv.ConvertOptions(
            column_types={
                name: pa.float64() if kind in _NUMBERS else pa.string()
                for name, (_, kind) in zip(names, attributes, strict=True)
            },
            null_values=["?"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return [
        _typed(column.combine_chunks(), kind, name)
        for column, (name, kind) in zip(table.columns, attributes, strict=True)
    ]


def _typed(column: pa.Array, kind: Any, name: str) -> pa.Array:
    if not isinstance(kind, list):
        return column
    levels = pa.array([str(level) for level in kind], pa.string())
    text = pc.utf8_trim_whitespace(column)
    codes = pc.index_in(text, levels)
    stranger = pc.and_(text.is_valid(), codes.is_null())
    if pc.any(stranger).as_py():
        value = text.filter(stranger)[0].as_py()
        raise ValueError(f'"{value}" is no level of the attribute "{name}"')
    return pa.DictionaryArray.from_arrays(codes, levels)


def _whole(column: pa.Array) -> pa.Array:
    """As int64 where every value is a whole number; some files write 1.5 in an INTEGER."""
    same = pc.all(pc.equal(column, pc.floor(column))).as_py()
    return column.cast(pa.int64()) if same is not False else column


def _slow(header: bytes, body: bytes, attributes: list[tuple[str, Any]]) -> list[pa.Array]:
    import arff

    sparse = body.lstrip().startswith(b"{")
    text = (header + body).decode("utf-8")
    try:
        data = arff.ArffDecoder().decode(
            text, encode_nominal=True, return_type=arff.COO if sparse else arff.DENSE
        )["data"]
    except arff.ArffException as error:
        raise ValueError(str(error)) from None
    if sparse:
        return _sparse(data, body, attributes)
    rows = zip(*data, strict=True)
    columns = list(rows)
    if not columns:
        raise ValueError("it has no rows")
    return [_coded(list(v), kind) for v, (_, kind) in zip(columns, attributes, strict=True)]


def _coded(values: list[Any], kind: Any) -> pa.Array:
    if isinstance(kind, list):
        levels = pa.array([str(level) for level in kind], pa.string())
        return pa.DictionaryArray.from_arrays(pa.array(values, pa.int32()), levels)
    if kind in _NUMBERS:
        return pa.array(values, pa.float64(), from_pandas=True)
    return pa.array(values, pa.string())


def _sparse(data: Any, body: bytes, attributes: list[tuple[str, Any]]) -> list[pa.Array]:
    """What a sparse row leaves out is 0, and of a nominal attribute the first level."""
    lines = (line.strip() for line in body.splitlines())
    rows = sum(1 for line in lines if line and not line.startswith(b"%"))
    if rows * len(attributes) > _MOST_CELLS:
        raise ValueError(f"it would have {rows} x {len(attributes)} cells")
    values, row_of, column_of = data
    row_places, column_places = np.asarray(row_of, np.int64), np.asarray(column_of, np.int64)
    order = np.argsort(column_places, kind="stable")
    ends = np.searchsorted(column_places[order], np.arange(len(attributes) + 1))
    columns = []
    for place, (_, kind) in enumerate(attributes):
        mine = order[ends[place] : ends[place + 1]]
        cells: list[Any] = [0 if kind != "STRING" else ""] * rows
        for cell in mine:
            cells[row_places[cell]] = values[cell]
        columns.append(_coded(cells, kind))
    return columns


def _as_date(column: pa.Array, file: str, name: str) -> pa.Array:
    try:
        return column.cast(pa.timestamp("us"))
    except pa.ArrowException:
        raise DataError(
            f'The date attribute "{name}" of {file} is not in the form 2026-01-31 12:00:00.'
        ) from None
