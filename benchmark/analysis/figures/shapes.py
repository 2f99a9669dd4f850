"""The sizes of data sets, and the frameworks' scores by size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.analysis.figures import style
from benchmark.analysis.type_statistics import Statistics

SIDES = {"rows": "rows", "features": "columns without the target"}
FEWEST_BINS, MOST_BINS = 5, 8
MOST_COLOURED = 8
TYPE_COLOURS = {"classification": "#0072B2", "regression": "#E69F00"}


def dataset_shapes(shapes: pd.DataFrame) -> Figure:
    """Histograms of rows and of columns, stacked by task type.

    Args:
        shapes: a row per data set with `rows`, `features` and `type`.
    """
    count = f"{len(shapes)} data set" + "s" * (len(shapes) != 1)
    figure = style.sheet("Data sets", f"{count} by their size", 9.6, 4.0)
    panels = figure.subplots(1, 2)
    kinds = [kind for kind in TYPE_COLOURS if (shapes["type"] == kind).any()]
    for axes, (side, text) in zip(panels, SIDES.items(), strict=True):
        values = shapes[side].astype(float)
        edges = _edges(values.to_numpy(float))
        axes.hist(
            [values[shapes["type"] == kind] for kind in kinds],
            bins=edges,
            stacked=True,
            color=[style.tint(TYPE_COLOURS[kind], 0.6) for kind in kinds],
            edgecolor=style.INK,
            linewidth=0.6,
            hatch=["" if kind == "classification" else "////" for kind in kinds],
            label=kinds,
        )
        axes.set_xscale("log")
        style.plain_powers(axes)
        axes.set_xlabel(text, fontsize=9, color=style.QUIET)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        style.quiet(axes, "y")
    panels[0].set_ylabel("data sets", fontsize=9, color=style.QUIET)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="upper right", frameon=False, fontsize=9, labelcolor=style.INK)
    return style.laid_out(figure)


def dataset_performance(
    studies: Mapping[str, Statistics], shapes: pd.DataFrame, looks: Mapping[str, style.Look]
) -> Figure:
    """Median scaled scores of data sets of similar size, against rows and against columns."""
    names = _best(studies)
    lines = (len(names) + 3) // 4
    below = 0.3 + 0.2 * lines
    height = 0.9 + 3.1 * max(len(studies), 1) + below
    many = any(found.scores.shape[1] > MOST_COLOURED for found in studies.values())
    figure = style.sheet(
        "Score by size of the data",
        "Median scaled score of data sets of similar size"
        + (f"; the {MOST_COLOURED} best of each task type in colour" if many else ""),
        *(9.6, height),
    )
    panels = figure.subplots(max(len(studies), 1), 2, squeeze=False)
    for line, (type, found) in zip(panels, studies.items(), strict=False):
        for axes, (side, text) in zip(line, SIDES.items(), strict=True):
            sizes = shapes[side].reindex(found.scores.index).astype(float)
            _by_size(axes, found.scores, sizes, {name: looks[name] for name in names})
            axes.set_xlabel(text, fontsize=9, color=style.QUIET)
        line[0].set_ylabel(f"{type}: scaled score", fontsize=9, color=style.QUIET)
    style.legend(figure, {name: looks[name] for name in names}, 4, 0.0)
    return style.laid_out(figure, below)


def _by_size(
    axes: Axes, scores: pd.DataFrame, sizes: pd.Series[float], looks: Mapping[str, style.Look]
) -> None:
    known = sizes.dropna()
    known = known[known > 0]
    if known.empty or scores.shape[1] < 2:
        style.nothing(axes, "No data set has a known size and two scores")
        return
    bins = int(np.clip(len(known) // 3, min(len(known), FEWEST_BINS), MOST_BINS))
    place = pd.qcut(known.rank(method="first"), bins, labels=False)
    centres = known.groupby(place).median()
    finite = scores.loc[known.index].replace([np.inf, -np.inf], np.nan)
    medians = finite.groupby(place).median()
    for name in medians.columns:
        look = looks.get(str(name))
        line: dict[str, Any] = {"color": style.GRID, "linewidth": 1.0, "zorder": 1}
        if look:
            line = {"color": look.colour, "marker": look.mark, "markersize": 5, "linewidth": 1.3}
        axes.plot(centres, medians[name].clip(lower=-1), **line)
    axes.set_xscale("log")
    style.plain_powers(axes)
    style.quiet(axes)


def _best(studies: Mapping[str, Statistics]) -> list[str]:
    """The frameworks with a colour: all, or the best of each type if there are many."""
    chosen: dict[str, None] = {}
    for found in studies.values():
        ranked = found.mean_ranks.dropna().sort_values(kind="stable").index
        chosen |= dict.fromkeys(str(name) for name in ranked[:MOST_COLOURED])
    return sorted(chosen)


def _edges(values: np.ndarray) -> np.ndarray:
    known = values[np.isfinite(values) & (values > 0)]
    low, high = (known.min(), known.max()) if known.size else (1.0, 10.0)
    if low == high:
        low, high = low / 2, high * 2
    edges: np.ndarray = np.logspace(np.log10(low), np.log10(high), 15)
    # The powers are rounded, and a bin that starts above the smallest value would omit it.
    edges[[0, -1]] = low, high
    return edges
