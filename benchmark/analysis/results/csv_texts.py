"""Reads a CSV file's cells by Arrow, in a sixth of pandas' time: as text, or numbers as floats.

What Arrow refuses, or would read as something else, is left to pandas, whose messages users know.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.files.numbers import NOT_ZERO

if TYPE_CHECKING:
    import pyarrow as pa

_BLOCK = 2**24
_ZEROS = b"0" * 300
# Patterns that start with a literal, which are searched five times as fast.
_SMALL = (rb"e-0*\d{3}", rb"E-0*\d{3}", _ZEROS)


def texts(path: Path) -> pd.DataFrame:
    """All cells, "" where one is empty; the header is the first row, so that no name is changed.

    Raises:
        OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError: it cannot be
            read as CSV.
    """
    frame = _by_arrow(path, {}) if path.suffix == ".csv" else None
    if frame is not None:
        return frame.set_axis(range(frame.shape[1]), axis=1)
    read = _by_pandas(path)
    _refuse_short(path, read.shape[1])
    return read


def typed(
    path: Path, numbers: Callable[[list[str]], Iterable[str]], unique: Collection[str]
) -> pd.DataFrame | None:
    """The rows under their header; None unless every cell of the number columns is one or empty.

    Numbers are floats, NaN where a cell is empty, columns of names and other repeated text are
    categories: of a million rows both take a fifth of the memory and time of their text.

    Args:
        path: the file.
        numbers: gives the columns of a header that become floats.
        unique: the columns that stay text.

    Raises:
        OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError: it cannot be
            read as CSV.
    """
    if path.suffix != ".csv":
        return None
    header = [str(cell) for cell in _by_pandas(path, rows=1).iloc[0]]
    chosen = set(numbers(header))
    types = {
        place: "number" if name in chosen else "text" if name in unique else "category"
        for place, name in enumerate(header)
    }
    frame = _by_arrow(path, types) if chosen else None
    return None if frame is None else frame.set_axis(header, axis=1)


def _refuse_short(path: Path, columns: int) -> None:
    """Refuse a row with fewer cells than the header, such as the last one of a file that was cut.

    Raises:
        pd.errors.ParserError: names the row.
    """
    # Only pandas' slower engine distinguishes cells that are not there from empty ones.
    absent = pd.read_csv(
        path,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        header=None,
        engine="python",
    ).isna()
    if absent.to_numpy().any():
        row = int(absent.any(axis=1).to_numpy().argmax())
        found = columns - int(absent.iloc[row].sum())
        raise pd.errors.ParserError(
            f"row {row} has {found} of the header's {columns} columns, as in a file that was cut"
        )


def _by_pandas(path: Path, rows: int | None = None) -> pd.DataFrame:
    _refuse_second_mark(path)
    return pd.read_csv(
        path,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        header=None,
        nrows=rows,
    )


def _refuse_second_mark(path: Path) -> None:
    """Refuse a file with two byte order marks, of which pandas skips both, and Arrow one.

    Raises:
        pd.errors.ParserError: it is one.
    """
    import pyarrow as pa

    with pa.input_stream(str(path), compression="detect") as file:
        if file.read(2 * len(BOM_UTF8)) == 2 * BOM_UTF8:
            raise pd.errors.ParserError("it starts with two byte order marks")


def texts_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text in place of categories."""
    found = {
        str(name): column.cat.categories.array.take(column.cat.codes.to_numpy())
        for name, column in frame.items()
        if isinstance(column.dtype, pd.CategoricalDtype)
    }
    return frame.assign(**found) if found else frame


def _by_arrow(path: Path, kinds: Mapping[int, str]) -> pd.DataFrame | None:
    """All rows as text, or without the first one as the `kinds` of columns say.

    None for rows of unequal length, bytes that are not UTF-8, text in place of a number, and
    quotes that Arrow takes for something else than pandas.
    """
    import pyarrow as pa
    from pyarrow import csv

    quotes = _quotes(path)
    if quotes % 2:  # Arrow does not see that a quote is never closed.
        return None
    names = [str(number) for number in range(_by_pandas(path, rows=1).shape[1])]
    kind = {"number": pa.float64(), "category": pa.dictionary(pa.int32(), pa.string())}
    types = {
        name: kind.get(kinds.get(place, ""), pa.large_string()) for place, name in enumerate(names)
    }

    def read(kinds_: Mapping[str, Any], only: Collection[str] | None = None) -> pa.Table:
        return csv.read_csv(
            path,
            csv.ReadOptions(
                use_threads=False,  # Threads add a third of the processor time.
                column_names=names,
                skip_rows_after_names=1 if kinds else 0,
            ),
            csv.ParseOptions(quote_char='"' if quotes else False, newlines_in_values=bool(quotes)),
            csv.ConvertOptions(
                column_types=kinds_,
                include_columns=only,
                null_values=[""],
                strings_can_be_null=False,
            ),
        )

    try:
        table = read(types)
    except pa.ArrowInvalid:
        return None
    suspects = _suspects(table, path)
    if suspects and _is_lossy(table, read(dict.fromkeys(suspects, pa.string()), suspects)):
        return None
    frame: pd.DataFrame = table.to_pandas(
        types_mapper={pa.large_string(): pd.StringDtype(na_value=np.nan)}.get,
        self_destruct=True,
    )
    del table
    pa.default_memory_pool().release_unused()
    return frame


def _suspects(table: pa.Table, path: Path) -> list[str]:
    """The columns of numbers that may have lost one, such as 1e400 and 1e-400; few files have any.

    A file without anything like a small number in its bytes has none that became 0.
    """
    import pyarrow as pa
    from pyarrow import compute

    numbers = [one.name for one in table.schema if pa.types.is_floating(one.type)]
    infinite = [one for one in numbers if compute.any(compute.is_inf(table[one])).as_py()]
    zero = [one for one in numbers if compute.any(compute.equal(table[one], 0.0)).as_py()]
    if zero and not _has_small(path):
        zero = []
    return list(dict.fromkeys([*infinite, *zero]))


def _has_small(path: Path) -> bool:
    with path.open("rb") as file:
        rest = b""
        while block := file.read(_BLOCK):
            if any(re.search(small, rest + block) for small in _SMALL):
                return True
            rest = block[-len(_ZEROS) :]
    return False


def _is_lossy(table: pa.Table, written: pa.Table) -> bool:
    """Whether a number was read as infinite or 0 that is not, by the `written` text of columns."""
    from pyarrow import compute

    for name in written.column_names:
        numbers = table[name]
        extreme = compute.or_(compute.is_inf(numbers), compute.equal(numbers, 0.0))
        texts = written[name].filter(compute.fill_null(extreme, fill_value=False))
        if compute.any(compute.match_substring_regex(texts, NOT_ZERO)).as_py():
            return True
    return False


def _quotes(path: Path) -> int:
    """How many quotes there are."""
    quotes = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            quotes += block.count(b'"')
    return quotes
