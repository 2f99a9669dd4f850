"""The tables study_classification_info.csv and study_regression_info.csv: a row for each data set.

Their first five columns are the classic analysis' own; DATASET_ID is the name in the results.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.data.cache import write_whole
from benchmark.errors import BenchmarkError
from benchmark.files.safe_text import guarded_cell

CLASSIC = ("DATASET_ID", "DATASET_NAME", "ROWS", "FEATURES", "CLASSES")
COLUMNS = (
    *CLASSIC,
    *("MISSING_SHARE", "CATEGORIES", "SMALLEST_CLASS", "CLASS_BALANCE", "ONE_HOT_FEATURES"),
    *("FOLDS", "HASH"),
)


def row_of(description: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """A row from a data set's description and `checks.shape`."""
    title = str(description.get("title") or description["name"])
    values = {
        "DATASET_ID": description["name"],
        "DATASET_NAME": title.partition(", version")[0],
        "ROWS": shape["rows"],
        "FEATURES": shape["features"],
        "CLASSES": shape["classes"],
        "MISSING_SHARE": _short(shape["missing_share"]),
        "CATEGORIES": shape["categories"],
        "SMALLEST_CLASS": _short(shape["smallest_class"]),
        "CLASS_BALANCE": _short(shape["class_balance"]),
        "ONE_HOT_FEATURES": shape["one_hot"],
        "FOLDS": description.get("folds"),
        "HASH": description["hash"],
    }
    return values | {"TYPE": description["type"]}


def write(folder: Path, rows: Iterable[dict[str, Any]]) -> list[Path]:
    """Write a file for each type that occurs, atomically.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    rows = list(rows)
    written = []
    for kind in ("classification", "regression"):
        mine = [row for row in rows if row["TYPE"] == kind]
        if not mine:
            continue
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: guarded_cell(value) for name, value in row.items()} for row in mine)
        path = folder / f"study_{kind}_info.csv"
        try:
            write_whole(path, text.getvalue().encode())
        except OSError as error:
            raise BenchmarkError(
                f"{path} cannot be written: {error.strerror}; name another folder with --info."
            ) from None
        written.append(path)
    return written


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
