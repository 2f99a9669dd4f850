"""The Pareto front of a study with several directions."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchmark.analysis.figures import style
from benchmark.hpo.report.export import best_of
from benchmark.hpo.report.figures.trials import Trials


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
