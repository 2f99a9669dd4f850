"""The table of all records: its data as JSON in the page, drawn and searched by the script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.analysis.figures.style import INFINITE
from benchmark.templates import macros

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_ROWS = 100_000
MOST_WORDS = 2_000
# Long lists, unreadable in a cell, that a figure shows.
LEFT_OUT = ("TRAJECTORY",)
FILTERED = {
    **{"MODEL": "framework", "DATASET_ID": "data set", "TYPE": "type"},
    **{"STATUS": "status", "CAUSE": "cause"},
}


def records(frame: pd.DataFrame) -> Markup:
    """The section with search, filters and pages; empty columns are left out."""
    shown = frame.iloc[:MOST_ROWS]
    columns = [
        _column(shown[name])
        for name in shown
        if name not in LEFT_OUT and not _is_empty(shown[name])
    ]
    names = [column["name"] for column in columns]
    filters = {
        names.index(name): word
        for name, word in FILTERED.items()
        if name in names and "codes" in columns[names.index(name)]
    }
    data = {"rows": len(shown), "columns": columns}
    section: Markup = macros("report/sections.html").records(len(frame), MOST_ROWS, filters, data)
    return section


def _column(values: pd.Series[Any]) -> dict[str, Any]:
    """A column's values, repeated texts by code."""
    name = str(values.name)
    if pd.api.types.is_numeric_dtype(values):
        return {"name": name, "kind": "number", "values": _numbers(values)}
    codes, words = pd.factorize(values.fillna("").astype(str))
    kind = {"MESSAGE": "message", "MODEL": "name"}.get(name, "")
    if len(words) <= MOST_WORDS:
        texts = [str(word) for word in words]
        return {"name": name, "kind": kind, "words": texts, "codes": codes.tolist()}
    return {"name": name, "kind": kind, "values": [str(value) for value in values.fillna("")]}


def _numbers(values: pd.Series[Any]) -> list[float | int | str | None]:
    """Six digits; JSON has no infinity, so that is a text."""
    if values.dtype.kind in "iu":
        whole: list[float | int | str | None] = values.tolist()
        return whole
    numbers = values.to_numpy(float)
    return [
        (float(f"{value:.6g}") if np.isfinite(value) else _not_finite(value)) for value in numbers
    ]


def _not_finite(value: float) -> str | None:
    return None if np.isnan(value) else INFINITE if value > 0 else f"-{INFINITE}"


def _is_empty(values: pd.Series[Any]) -> bool:
    if pd.api.types.is_numeric_dtype(values):
        return bool(values.isna().all())
    return bool((values.fillna("") == "").all())
