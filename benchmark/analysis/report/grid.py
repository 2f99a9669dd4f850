"""Every framework on every data set: mean and spread; a cell leads to its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.analysis.figures.style import DASH
from benchmark.analysis.report.html import PARTS, long_name
from benchmark.analysis.results.metrics import shown
from benchmark.analysis.statistics.comparable import ALL
from benchmark.analysis.statistics.ranking import seed_means
from benchmark.analysis.type_statistics import Statistics
from benchmark.templates import macros

if TYPE_CHECKING:
    from markupsafe import Markup


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
    section: Markup = macros("report/sections.html").score_grid(
        identity,
        len(means),
        len(ranked),
        len(means) - len(rows),
        macros(PARTS).table(heads, body, identity, grid=True),
    )
    return section


def _cell(mean: float, spread: float, count: int, size: int, *, is_best: bool) -> tuple[str, str]:
    text = DASH
    if count:
        text = f"{mean:.4g}" + ("" if np.isnan(spread) else f" \u00b1 {spread:.2g}")
        text += "" if count == size else f" ({count} of {size})"
    return "number best" if is_best else "number", text
