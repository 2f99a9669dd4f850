"""The report's two large tables: all scores of every framework, and all records.

A cell of the scores leads to its records. The records are JSON in the page, drawn and searched by
its script.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from benchmark.analysis.figures.style import DASH, INFINITE
from benchmark.analysis.report.html import PARTS, long_name
from benchmark.analysis.results.metrics import shown
from benchmark.analysis.statistics.comparable import ALL
from benchmark.analysis.statistics.ranking import seed_means
from benchmark.analysis.type_statistics import Statistics
from benchmark.templates import macros

MOST_CELLS = 50_000


def score_grid(found: Statistics) -> Markup | str:
    """A row per data set and a column per framework, the best first, as they scored.

    A cell has the mean and the standard deviation over seeds, and how many seeds have a score if
    not all have. The script shows a cell's records.
    """
    comparison = found.comparison
    if comparison.type == ALL:
        return ""  # It is in the tables of the task types.
    ranked = [str(name) for name in found.board["framework"] if name in comparison.gains]
    scores = comparison.gains[ranked].groupby(level=0)
    means, spreads, counts = seed_means(comparison.gains[ranked]), scores.std(), scores.count()
    if means.empty:
        return ""
    sizes = scores.size()
    rows = means.index[: max(MOST_CELLS // len(ranked), 1)]
    heads = [("name", "Data set"), ("short", "Metric"), *(("number", name) for name in ranked)]
    body = []
    for name in rows:
        metric = comparison.metric_of[name]
        # A mean over fewer seeds is not the best: it leaves out the failures.
        whole = means.loc[name][counts.loc[name] == sizes[name]]
        best = whole.max()
        cells = [
            _cell(
                mean * comparison.sign_of[name],
                spread,
                count,
                sizes[name],
                is_best=count == sizes[name] and mean == best,
            )
            for mean, spread, count in zip(
                *(table.loc[name].to_numpy() for table in (means, spreads, counts)), strict=True
            )
        ]
        body.append(("", [(long_name(name), name), ("short", shown([metric])), *cells]))
    identity = f"grid-{found.type}"
    return macros("report/sections.html").score_grid(
        identity,
        len(means),
        len(ranked),
        len(means) - len(rows),
        macros(PARTS).table(heads, body, identity, grid=True),
    )


def _cell(mean: float, spread: float, count: int, size: int, *, is_best: bool) -> tuple[str, str]:
    text = DASH
    if count:
        text = f"{mean:.4g}" + ("" if np.isnan(spread) else f" \u00b1 {spread:.2g}")
        text += "" if count == size else f" ({count} of {size})"
    return "number best" if is_best else "number", text


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
    return macros("report/sections.html").records(len(frame), MOST_ROWS, filters, data)


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
