"""Reads people's table files: CSV, parquet and ARFF, with the types that they ask for.

table = read_table(Path("sales.csv"), Reading(columns={"zip": "category"}))

Types are inferred as Arrow does: "NA" and "NaN" are gaps in a column that holds numbers otherwise.
In a column of text only an empty field is missing: "NA" and "None" stay what they are, unless
`missing` lists them.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from benchmark.data.arff import read_arff
from benchmark.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("csv", "parquet", "arff")
KINDS = ("number", "integer", "category", "boolean", "date", "text", "ignore")
_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".gz": "csv", ".parquet": "parquet"}
_SUFFIXES |= {".pq": "parquet", ".arff": "arff"}
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
}
_BLOCK = 1 << 26


@dataclass(frozen=True)
class Reading:
    """How a file is to be read; `columns` has kinds by name."""

    format: str | None = None
    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    missing: tuple[str, ...] | None = None
    columns: dict[str, str] = field(default_factory=dict)


def read_table(path: Path, reading: Reading) -> pa.Table:
    """The table of a file.

    Raises:
        DataError: it is not there, empty, an archive, not of its format, or it changed meanwhile.
    """
    before = _looked_at(path)
    kind = reading.format or _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            f"{path} has the ending '{path.suffix}', which says no format; add \"format\" with one "
            f"of {', '.join(FORMATS)}."
        )
    try:
        if kind == "csv":
            table = _read_csv(path, reading)
        elif kind == "parquet":
            table = pq.read_table(path).replace_schema_metadata(None)
        else:
            table = read_arff(path)
    except (pa.ArrowException, UnicodeDecodeError, OSError, LookupError) as error:
        if _signature(path) != before:
            raise _changed(path) from None
        hint = (
            ' Where it has another separator than "," or another encoding than UTF-8, name them '
            'as "separator" and "encoding".'
        )
        raise DataError(
            f"{path} cannot be read as {kind}: {_reason(error)}.{hint if kind == 'csv' else ''}"
        ) from None
    if _signature(path) != before:
        raise _changed(path)
    return retyped(table, reading, str(path))


def _looked_at(path: Path) -> tuple[int, ...]:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise DataError(f"{path} is {kind}; name a file.")
        signature = _signature(path)
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not start:
        raise DataError(f"{path} is empty (0 bytes); put a table into it.")
    if start in _ARCHIVES:
        raise DataError(f"{path} is {_ARCHIVES[start]}; unpack it and name the table.")
    return signature


def _signature(path: Path) -> tuple[int, ...]:
    """What changes when a file is written: its identity, length and time."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: Path) -> DataError:
    return DataError(f"{path} changed while it was read; try again when nobody writes to it.")


def _reason(error: Exception) -> str:
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    return words[:200].rstrip(".")


def _read_csv(path: Path, reading: Reading) -> pa.Table:
    separator = reading.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
    missing = list(reading.missing) if reading.missing is not None else None
    usual = pc_csv.ConvertOptions().null_values
    table = pc_csv.read_csv(
        pa.input_stream(str(path), compression="detect"),
        read_options=pc_csv.ReadOptions(block_size=_BLOCK, encoding=reading.encoding),
        parse_options=pc_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pc_csv.ConvertOptions(
            null_values=usual if missing is None else [*missing, ""],
            strings_can_be_null=missing is not None,
            decimal_point=reading.decimal,
            column_types={
                name: pa.string()
                for name, kind in reading.columns.items()
                if kind in ("category", "text")
            },
        ),
    )
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if pa.types.is_binary(column.type):
            raise DataError(
                f'The column "{name}" of {path} is not {reading.encoding}; add "encoding", such as '
                '"latin-1".'
            )
        if pa.types.is_string(column.type):
            empty = pc.equal(column, "")
            full = pc.if_else(empty, pa.scalar(None, pa.string()), column)
            table = table.set_column(place, name, full)
    return table


def retyped(table: pa.Table, reading: Reading, place: str) -> pa.Table:
    """The table with the kinds that are asked for; `place` is where it comes from.

    Raises:
        DataError: a column is not there, or holds what its kind cannot.
    """
    strangers = sorted(set(reading.columns) - set(table.column_names))
    if strangers:
        raise DataError(
            f'{place} has no column "{strangers[0]}", which "columns" names; it has '
            f"{', '.join(table.column_names[:10])}{' …' if table.num_columns > 10 else ''}."
        )
    for name, kind in reading.columns.items():
        number = table.column_names.index(name)
        if kind == "ignore":
            table = table.remove_column(number)
            continue
        try:
            table = table.set_column(number, name, _as_kind(table.column(number), kind))
        except pa.ArrowException as error:
            raise DataError(
                f'The column "{name}" of {place} cannot be read as {kind}: {_reason(error)}.'
            ) from None
    return table


def _as_kind(column: pa.ChunkedArray, kind: str) -> Any:
    if kind in ("category", "text"):
        dictionary = pa.types.is_dictionary(column.type)
        return column if dictionary else column.cast(pa.string()).dictionary_encode()
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    types = {
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.timestamp("us"),
    }
    return column.cast(types[kind])
