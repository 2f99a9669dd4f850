"""Describe a data set, and find what is suspicious in it.

findings(load("titanic"))                 # ['column "name" … looks like an id']

The tables study_classification_info.csv and study_regression_info.csv have a row for each data set.
Their first five columns are the classic analysis' own; DATASET_ID is the name in the results.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from benchmark.data.cache import write_whole
from benchmark.data.datasets import Dataset
from benchmark.data.splits import CV_FOLDS, split
from benchmark.errors import BenchmarkError
from benchmark.files.safe_text import guarded_cell

_ID_SHARE = 0.95
_MOST_NAMED = 5
_MEANS_MISSING = ("?", "NA", "N/A", "NaN", "nan", "None", "null", "NULL", "-", "unknown", "missing")


def findings(dataset: Dataset, mode: str = "holdout", seed: int = 0) -> list[str]:
    """Findings, the worst first; `mode` and `seed` are those of the run's split."""
    codes = {name: _codes(dataset.table.column(name)) for name in dataset.table.column_names}
    found = [*dataset.description.get("notes", ()), *_copies(dataset, codes)]
    found += _common_rows(dataset, codes, mode, seed)
    found += _classes(dataset)
    empty = [n for n in dataset.features if dataset.table.column(n).null_count == _rows(dataset)]
    found += _named("has no value at all", empty)
    constant = [n for n in dataset.features if n not in empty and codes[n].max() == codes[n].min()]
    found += _named("has the same value in every row", constant)
    found += _named(
        "has another value in (nearly) every row and looks like an id",
        [n for n in dataset.features if n not in empty and _is_id(dataset, n, codes[n])],
    )
    found += _words(dataset)
    return found


def shape(dataset: Dataset) -> dict[str, Any]:
    """Rows, columns by kind, missing share, class balance and width after one-hot encoding."""
    table = dataset.table
    cells = max(1, table.num_rows * len(dataset.features))
    categories = [table.column(name).combine_chunks() for name in dataset.categorical]
    levels = [int(pc.count_distinct(column.indices).as_py()) for column in categories]
    counts = _class_counts(dataset)
    return {
        "rows": table.num_rows,
        "features": len(dataset.features),
        "categories": len(dataset.categorical),
        "classes": len(dataset.classes) if dataset.classes else None,
        "missing_share": sum(table.column(n).null_count for n in dataset.features) / cells,
        "smallest_class": min(counts.values()) / table.num_rows if counts else None,
        "class_balance": _balance(counts) if counts else None,
        "one_hot": len(dataset.features) - len(levels) + sum(levels),
    }


def _rows(dataset: Dataset) -> int:
    return int(dataset.table.num_rows)


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each value, equal for equal values; missing is a separate value."""
    array = column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes: NDArray[np.int64] = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int64)


def _copies(dataset: Dataset, codes: dict[str, NDArray[np.int64]]) -> list[str]:
    """Features that are the target by another name, or in other units."""
    target = codes[dataset.target]
    distinct = len(np.unique(target))
    copies = []
    for name in dataset.features:
        if len(np.unique(codes[name])) == distinct:
            pairs = codes[name] * (distinct + 2) + target
            if len(np.unique(pairs)) == distinct:
                copies.append(name)
                continue
        if dataset.type == "regression" and _is_line(dataset, name):
            copies.append(name)
    if dataset.type == "regression" and distinct == _rows(dataset):
        # If every row has a different target, every id maps one-to-one to it.
        copies = [name for name in copies if _is_line(dataset, name)]
    return _named("is equivalent to the target", copies)


def _is_line(dataset: Dataset, name: str) -> bool:
    column = dataset.table.column(name)
    if pa.types.is_dictionary(column.type) or column.null_count or _rows(dataset) < 3:
        return False
    x, y = column.to_numpy().astype(float), dataset.table.column(dataset.target).to_numpy()
    if not np.isfinite(x).all():
        return False  # An infinite value is a separate finding.
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return norm > 0 and np.isfinite(norm) and abs(float(x @ y)) / norm > 1 - 1e-9


def _common_rows(
    dataset: Dataset, codes: dict[str, NDArray[np.int64]], mode: str, seed: int
) -> list[str]:
    part = split(dataset, mode, seed)
    generator = np.random.RandomState(0)
    key = np.zeros(_rows(dataset), dtype=np.uint64)
    for name in dataset.features:
        factor = np.uint64(generator.randint(1, 2**31) * 2 + 1)
        column = (codes[name] + 2).astype(np.uint64)
        key = (key ^ (column * factor)) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    shared = int(np.isin(key[part.test], key[part.train]).sum())
    if not shared:
        return []
    share = shared / len(part.test)
    return [
        f"{shared} of {len(part.test)} test rows ({share:.1%}) have the same features as a "
        f"training row (split {mode}, seed {seed})"
    ]


def _classes(dataset: Dataset) -> list[str]:
    counts = _class_counts(dataset)
    alone = sorted(name for name, number in counts.items() if number == 1)
    few = sorted(name for name, number in counts.items() if 1 < number < CV_FOLDS)
    found = []
    if alone:
        found.append(f"{_list('class', alone)} has one member, so no split can train and test it")
    if few:
        found.append(f"{_list('class', few)} has fewer than {CV_FOLDS} members")
    return found


def _class_counts(dataset: Dataset) -> dict[str, int]:
    if dataset.type == "regression":
        return {}
    labels = dataset.table.column(dataset.target).combine_chunks()
    counts = Counter(labels.indices.to_pylist())
    names = labels.dictionary.to_pylist()
    return {names[code]: number for code, number in counts.items()}


def _balance(counts: dict[str, int]) -> float:
    """The entropy of the classes divided by its maximum: 1 if all are equally frequent."""
    shares = np.array(list(counts.values()), dtype=float)
    shares /= shares.sum()
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares))) if len(shares) > 1 else 0.0


def _is_id(dataset: Dataset, name: str, codes: NDArray[np.int64]) -> bool:
    kind = dataset.table.schema.field(name).type
    whole = pa.types.is_integer(kind) or pa.types.is_dictionary(kind)
    return whole and len(codes) > 20 and len(np.unique(codes)) >= _ID_SHARE * len(codes)


def _words(dataset: Dataset) -> list[str]:
    found = []
    for name in dataset.categorical:
        levels = set(dataset.table.column(name).combine_chunks().dictionary.to_pylist())
        words = [word for word in _MEANS_MISSING if word in levels]
        if words:
            which = " and ".join(f'"{word}"' for word in words)
            found.append(f'column "{name}" has the value {which}, which may mean missing')
    return found[:_MOST_NAMED]


def _named(fault: str, columns: list[str]) -> list[str]:
    return [f"{_list('column', columns)} {fault}"] if columns else []


def _list(noun: str, names: list[str]) -> str:
    """'column "a"', or 'each of the 7 columns "a", "b" …'."""
    if len(names) == 1:
        return f'{noun} "{names[0]}"'
    quoted = ", ".join(f'"{name}"' for name in names[:_MOST_NAMED])
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"each of the {len(names)} {plural} {quoted}{' …' if len(names) > _MOST_NAMED else ''}"


CLASSIC = ("DATASET_ID", "DATASET_NAME", "ROWS", "FEATURES", "CLASSES")
COLUMNS = (
    *CLASSIC,
    *("MISSING_SHARE", "CATEGORIES", "SMALLEST_CLASS", "CLASS_BALANCE", "ONE_HOT_FEATURES"),
    *("FOLDS", "HASH"),
)


def info_row(description: dict[str, Any], shape: dict[str, Any]) -> dict[str, Any]:
    """A row of the information tables, from a data set's description and its `shape`."""
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


def write_info(folder: Path, rows: Iterable[dict[str, Any]]) -> list[Path]:
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
