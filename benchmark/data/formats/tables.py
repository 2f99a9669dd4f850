"""Read users' table files: CSV, parquet and ARFF, with the declared types.

table = read_table(Path("sales.csv"), Reading(columns={"zip": "category"}))

Types are inferred as in Arrow: "NA" and "NaN" are missing values in a column of numbers. In a
column of text only an empty field is missing: "NA" and "None" stay text unless `missing` lists
them. Parquet's own metadata count: an index stored by pandas is not a column, a category is one,
also of numbers.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import stat
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from benchmark.data import exact
from benchmark.data.formats.arff import read_arff
from benchmark.data.formats.parquet import read_parquet
from benchmark.data.kinds import Reading, plain_numbers, retyped, without_levels, without_missing
from benchmark.errors import DataError

FORMATS = ("csv", "parquet", "arff")
_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet"}
_SUFFIXES |= {".pq": "parquet", ".arff": "arff"}
# The keys on a file's syntax, and the formats to which they apply.
_KEYS = {"separator": ("csv",), "decimal": ("csv",), "encoding": ("csv", "arff")}
_ARCHIVES = {
    b"PK\x03\x04": "a zip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
}
_BLOCK = 1 << 26
_CODE = r"^\s*[+-]?0[\dxX]"
_CODES = re.compile(rf"[^\w.]0[\dxX]|{exact.TINY}")
_LONGEST_CODE = 400
# For ARFF, whose header declares the other kinds.
_AS_WRITTEN = ("category", "text", "number", "ignore")
_AS_TEXT = ("category", "text", "integer", "boolean", "date")


def format_of(path: Path, reading: Reading) -> str | None:
    """The declared format, or that of the file's suffix."""
    name = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    implied = "csv" if name != path and not name.suffix else _SUFFIXES.get(name.suffix.lower())
    return reading.format or implied


def read_table(path: Path, reading: Reading) -> pa.Table:
    """The table of a file; in CSV the target is text, for `with_target`.

    Raises:
        DataError: it is missing, empty, an archive, not of its format, or it changed meanwhile;
            or a key of the declaration does not apply to its format.
    """
    before = _looked_at(path)
    kind = format_of(path, reading)
    if kind is None:
        raise DataError(
            f"{path} has the ending '{path.suffix}', which is not a known format; add \"format\" "
            "with one "
            f"of {', '.join(FORMATS)}."
        )
    for key, formats in _KEYS.items():
        if getattr(reading, key) is not None and kind not in formats:
            raise DataError(
                f'{path} is {kind}, to which "{key}" does not apply (it is for '
                f"{' and '.join(formats)}); remove it."
            )
    try:
        _check_mark(path, reading.encoding)
        table = _read(path, kind, reading)
    except (pa.ArrowException, ValueError, OSError, EOFError, LookupError) as error:
        if _signature(path) != before:
            raise _changed(path) from None
        if kind == "csv":
            raise _csv_fault(path, reading, error) from None
        raise DataError(f"{path} cannot be read as {kind}: {_reason(error)}.") from None
    if _signature(path) != before:
        raise _changed(path)
    if kind == "parquet" and reading.missing:
        table = without_missing(table, reading)
    # The readers compare texts: to them "-999" and "-999.0" are different.
    return without_missing(retyped(table, reading, str(path)), reading)


def _read(path: Path, kind: str, reading: Reading) -> pa.Table:
    if kind == "csv":
        return _read_csv(path, reading)
    if kind == "parquet":
        return read_parquet(path, {*reading.named, *reading.columns})
    text = {name for name, kind in reading.columns.items() if kind in _AS_WRITTEN}
    text |= {reading.target} if reading.type == "classification" and reading.target else set()
    table = read_arff(path, reading.encoding, reading.missing or (), text)
    return without_levels(table, reading)


def _looked_at(path: Path) -> tuple[int, ...]:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise DataError(f"{path} is {kind}; name a file.")
        signature = _signature(path)
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not start:
        raise DataError(f"{path} is empty (0 bytes); write a table into it.")
    if start in _ARCHIVES:
        raise DataError(f"{path} is {_ARCHIVES[start]}; unpack it and name the table.")
    return signature


def _check_mark(path: Path, encoding: str | None) -> None:
    """Refuse a file that is UTF-8 by its byte order mark under another encoding, or has two.

    Raises:
        DataError: it is one.
    """
    other = encoding is not None and codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig")
    with pa.input_stream(str(path), compression="detect") as file:
        start = file.read(2 * len(codecs.BOM_UTF8))
    if start == 2 * codecs.BOM_UTF8:
        raise DataError(f"{path} starts with two byte order marks; write it again without them.")
    if other and start.startswith(codecs.BOM_UTF8):
        raise DataError(
            f'{path} starts with the byte order mark of UTF-8, and "encoding" is '
            f'"{encoding}"; remove "encoding".'
        )


def _signature(path: Path) -> tuple[int, ...]:
    """Values that change when a file is written: its identity, length and time."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: Path) -> DataError:
    return DataError(f"{path} changed while it was read; try again when it is complete.")


def _reason(error: Exception) -> str:
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    return words[:200].rstrip(".")


def _read_csv(path: Path, reading: Reading) -> pa.Table:
    as_text = {name for name, kind in reading.columns.items() if kind in _AS_TEXT}
    as_text |= {reading.target} if reading.target else set()
    table = _parsed(path, reading, as_text)
    _refuse_open_quote(path, reading)
    for place, name in enumerate(table.column_names):
        if pa.types.is_binary(table.column(place).type):
            raise DataError(
                f'The column "{name}" of {path} is not {reading.encoding or "utf-8"}; add '
                '"encoding", such as "latin-1".'
            )
    if len(set(table.column_names)) == table.num_columns:
        table = _exact(path, reading, table)
    for place, name in enumerate(table.column_names):
        column = table.column(place)
        if pa.types.is_string(column.type):
            table = table.set_column(place, name, exact.without_words(column, [""]))
    return table


def _parsed(path: Path, reading: Reading, as_text: Collection[str], only: Any = None) -> pa.Table:
    usual = list(exact.MISSING_NUMBERS)
    return pc_csv.read_csv(
        pa.input_stream(str(path), compression="detect"),
        read_options=pc_csv.ReadOptions(
            block_size=_BLOCK, encoding=reading.encoding or _encoding(path)
        ),
        parse_options=pc_csv.ParseOptions(
            delimiter=_separator(path, reading), newlines_in_values=True
        ),
        convert_options=pc_csv.ConvertOptions(
            null_values=usual if reading.missing is None else [*reading.missing, ""],
            strings_can_be_null=reading.missing is not None,
            decimal_point=reading.decimal or ".",
            # Not "1" and "0": next to "true" they are other text.
            true_values=["true", "True", "TRUE"],
            false_values=["false", "False", "FALSE"],
            column_types={name: pa.string() for name in as_text},
            include_columns=only,
        ),
    )


def changed_numbers(path: Path, reading: Reading, table: pa.Table) -> list[str]:
    """A note for each column of a CSV whose numbers were codes: `007` and `7` are one number.

    Also hexadecimal numbers, and those too near to 0, such as 1e-400; a declared column is what its
    declaration says.
    """
    numeric = [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    ]
    wanted = [name for name in numeric if name not in reading.columns]
    is_named_once = len(set(table.column_names)) == table.num_columns
    if not wanted or not is_named_once or not _has_codes(path, reading):
        return []
    texts = _parsed(path, reading, wanted, wanted)
    notes = []
    for name in wanted:
        text = exact.combined(texts.column(name))
        found = text.filter(pc.match_substring_regex(text, _CODE))
        tiny = exact.lost_tiny(plain_numbers(text, reading)) if name != reading.target else None
        if tiny is not None:
            notes.append(
                f'column "{name}" has {tiny}, which is read as {float(tiny)!r}; "category" in '
                '"columns" keeps it as it is written'
            )
        if len(found):
            kind = "type: classification" if name == reading.target else "category"
            key = f'"{kind}"' if name == reading.target else f'"{kind}" in "columns"'
            notes.append(
                f'column "{name}" has {found[0]}, which is read as a number; {key} keeps it as '
                "it is written"
            )
    return notes


def _has_codes(path: Path, reading: Reading) -> bool:
    """Whether a number such as 007, 0x1F or 1e-400 may occur, without parsing."""
    before = "\n"
    with _text(path, reading) as file:
        for block in iter(partial(file.read, _BLOCK), ""):
            if _CODES.search(before + block):
                return True
            before = block[-_LONGEST_CODE:]
    return False


def _separator(path: Path, reading: Reading) -> str:
    named = path.with_suffix("") if path.suffix.lower() == ".gz" else path
    return reading.separator or ("\t" if named.suffix.lower() == ".tsv" else ",")


def _refuse_open_quote(path: Path, reading: Reading) -> None:
    """Refuse a quote that is never closed: the reader takes the rest of the file as one value.

    Raises:
        DataError: there is such a quote.
    """
    with _text(path, reading) as file:
        quotes = sum(block.count('"') for block in iter(partial(file.read, _BLOCK), ""))
    if quotes % 2 and _faulty_row(path, reading)[1]:
        raise _csv_fault(path, reading)


def _csv_fault(path: Path, reading: Reading, error: Exception | None = None) -> DataError:
    line, is_open = _faulty_row(path, reading)
    if is_open:
        return DataError(f"{path} is not CSV: the quote that opens in line {line} is never closed.")
    where = f"line {line}: " if line else ""
    return DataError(
        f"{path} cannot be read as csv: {where}{_reason(error or ValueError())}. If it has "
        'another separator than "," or another encoding than UTF-8, name them as "separator" and '
        '"encoding".'
    )


def _faulty_row(path: Path, reading: Reading) -> tuple[int, bool]:
    """The first line of the first row without the header's width, or 0; and if a quote is open.

    Read by Python's csv, which is slow and knows the lines; the end has a row of its own.
    """
    first, width, end = 1, 0, "\0the end"
    limit = csv.field_size_limit((1 << 31) - 1)
    try:
        with _text(path, reading) as file:
            rows = csv.reader(itertools.chain(file, [end]), delimiter=_separator(path, reading))
            for row in rows:
                if row and row != [end]:
                    width = width or len(row)
                    if row[-1].endswith(end) or len(row) != width:
                        return first, row[-1].endswith(end)
                first = rows.line_num + 1
    except (csv.Error, UnicodeError, LookupError, OSError, pa.ArrowException):
        pass  # Only the reader's own message is available.
    finally:
        csv.field_size_limit(limit)
    return 0, False


def _text(path: Path, reading: Reading) -> io.TextIOWrapper:
    """The text of a CSV; bytes outside its encoding are refused elsewhere."""
    encoding = reading.encoding or _encoding(path)
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    file = pa.input_stream(str(path), compression="detect")
    return io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")


def _encoding(path: Path) -> str:
    """UTF-16 if the file starts with its byte order mark, such as Excel's "Unicode text"."""
    with pa.input_stream(str(path), compression="detect") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8"


def _exact(path: Path, reading: Reading, table: pa.Table) -> pa.Table:
    """Restore whole numbers beyond 2^53 exactly where the reader has converted them to floats.

    Raises:
        DataError: no type holds them, and the column is not declared a "number".
    """
    large = [
        name
        for name in table.column_names
        if pa.types.is_floating(table.schema.field(name).type)
        and reading.columns.get(name) not in ("number", "ignore")
        and pc.any(pc.greater_equal(pc.abs(table.column(name)), exact.EXACT_FLOAT)).as_py()
    ]
    if not large:
        return table
    again = _parsed(path, reading, large, large)
    for name in large:
        text = plain_numbers(again.column(name).combine_chunks(), reading)
        found = exact.numbers(text, f'column "{name}" of {path.name}')
        table = table.set_column(table.column_names.index(name), name, found)
    return table
