"""Values by trial: the history of a study, and the Pareto front of several directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmark.analysis.figures import style
from benchmark.hpo.report.export import best_of
from benchmark.hpo.report.figures.trials import Trials, many

TRIAL, BEST, OTHER = style.PALETTE[4], style.PALETTE[0], style.QUIET


def history(trials: Trials) -> Figure:
    """A panel for each direction; trials without a value are marks on the bottom line."""
    names = list(trials.directions)
    figure = style.sheet(
        "History",
        f"{len(trials.records)} trials, {len(trials.good)} with a value; hollow: violates a "
        "constraint; crosses: failed or pruned; dashed: the first trial",
        *(9.2, 1.1 + 2.9 * len(names)),
    )
    panels = figure.subplots(len(names), 1, squeeze=False)[:, 0]
    for place, (axes, name) in enumerate(zip(panels, names, strict=True)):
        style.heading(axes, name, trials.directions[name])
        if not trials.good:
            style.nothing(axes, "No trial has succeeded yet")
            continue
        _panel(axes, trials, place)
    return style.laid_out(figure)


def _panel(axes: Axes, trials: Trials, place: int) -> None:
    numbers, values, kept = trials.numbers(), trials.values(place), trials.feasible
    look: dict[str, Any] = {"s": 26, "rasterized": many(trials)}
    axes.scatter(numbers[kept], values[kept], color=TRIAL, zorder=3, **look)
    broken = look | {"facecolors": "none", "edgecolors": OTHER, "zorder": 2}
    axes.scatter(numbers[~kept], values[~kept], **broken)
    sign = trials.definition.signs[place]
    best = sign * np.minimum.accumulate(np.where(kept, sign * values, np.inf))
    known = np.isfinite(best)
    axes.step(numbers[known], best[known], where="post", color=BEST, linewidth=1.8, zorder=4)
    axes.axhline(values[0], color=style.QUIET, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    without = [int(r.task) for r in trials.records if r.status != "success"]
    axes.plot(
        without,
        [0.02] * len(without),
        "x",
        color=style.ALARM,
        markersize=5,
        transform=axes.get_xaxis_transform(),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial", fontsize=9, color=style.QUIET)
    style.quiet(axes)


def pareto_front(trials: Trials) -> Figure:
    """The first two directions' values, the trials of the front joined and numbered."""
    names = list(trials.directions)
    more = f"; of {len(names)} directions the first two" if len(names) > 2 else ""
    front = best_of(trials.records, trials.definition)
    figure = style.sheet(
        "Pareto front",
        f"{len(front)} of {len(trials.good)} trials are on the front; hollow: violates a constraint"
        + more,
        *(8.2, 5.2),
    )
    axes = figure.subplots()
    if not trials.good:
        style.nothing(axes, "No trial has succeeded yet")
        return style.laid_out(figure)
    x, y, kept = trials.values(0), trials.values(1), trials.feasible
    axes.scatter(x[kept], y[kept], s=26, color=style.PALETTE[4], zorder=2)
    axes.scatter(x[~kept], y[~kept], s=26, facecolors="none", edgecolors=style.QUIET, zorder=2)
    if front:
        places = np.array([record.labels["values"][:2] for record in front], dtype=float)
        order = np.argsort(places[:, 0])
        axes.plot(*places[order].T, color=style.PALETTE[1], marker="o", linewidth=1.4, zorder=3)
        for record, (across, up) in zip(front, places, strict=True):
            axes.annotate(
                record.task,
                (across, up),
                textcoords="offset points",
                xytext=(6, 5),
                fontsize=8.5,
                color=style.QUIET,
            )
    labels = [f"{name} ({trials.directions[name]})" for name in names[:2]]
    axes.set_xlabel(labels[0], fontsize=9, color=style.QUIET, parse_math=False)
    axes.set_ylabel(labels[1], fontsize=9, color=style.QUIET, parse_math=False)
    style.quiet(axes)
    return style.laid_out(figure)
