"""Reads a CSV file's cells as text: by Arrow, in a sixth of pandas' time.

What Arrow refuses, or would read as something else, is left to pandas, whose messages users know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

_BLOCK = 2**24
_MARK = b"\xef\xbb\xbf"


def texts(path: Path) -> pd.DataFrame:
    """All cells, "" where one is empty; the header is the first row, so that no name is changed.

    Raises:
        OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError: it cannot be
            read as CSV.
    """
    from pyarrow import ArrowInvalid

    if path.suffix == ".csv" and _is_plain(path):
        try:
            found = _by_arrow(path)
        except ArrowInvalid:
            pass  # Rows of unequal length, or bytes that are not UTF-8.
        else:
            frame: pd.DataFrame = found.to_pandas(
                types_mapper=lambda _: pd.StringDtype(na_value=np.nan), self_destruct=True
            )
            return frame.set_axis(range(frame.shape[1]), axis=1)
    read = _by_pandas(path)
    _refuse_short(path, read.shape[1])
    return read


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
    return pd.read_csv(
        path,
        dtype=str,
        keep_default_na=False,
        encoding="utf-8-sig",
        header=None,
        nrows=rows,
    )


def _by_arrow(path: Path) -> pa.Table:
    from pyarrow import csv, large_string

    names = [str(number) for number in range(_by_pandas(path, rows=1).shape[1])]
    return csv.read_csv(
        path,
        csv.ReadOptions(column_names=names),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, large_string()), strings_can_be_null=False
        ),
    )


def _is_plain(path: Path) -> bool:
    """Whether quotes come in pairs, which Arrow does not see, and one mark of UTF-8 at most."""
    quotes = 0
    with path.open("rb") as file:
        if file.read(2 * len(_MARK)) == 2 * _MARK:
            return False
        file.seek(0)
        while block := file.read(_BLOCK):
            quotes += block.count(b'"')
    return quotes % 2 == 0
