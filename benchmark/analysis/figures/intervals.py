"""The intervals of a run that stops early, narrowing with each evaluated data set or split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from benchmark.analysis.early_stop.standing import Standing
from benchmark.analysis.figures import style

COLUMNS = 4
MOST = 24


def closing_intervals(standing: Standing, looks: Mapping[str, style.Look]) -> Figure:
    """One framework against each other one: the share of all data sets that it wins.

    It is NAME of `against:NAME`, else the one that wins most of the evaluated data sets.
    """
    names = standing.design.frameworks
    from matplotlib.ticker import MaxNLocator

    first = standing.reference
    others = [k for k in range(len(names)) if k != first][:MOST]
    columns = min(COLUMNS, len(others))
    lines = (len(others) + columns - 1) // columns
    question = standing.design.question
    figure = style.sheet(
        f"{standing.design.type.capitalize()}: until {question}",
        f"Share of all {standing.design.counted(len(standing.design.order))} that "
        f"{style.short(names[first])} wins; x axis: evaluated {standing.design.units}",
        *(9.2, 1.0 + 1.75 * lines),
    )
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for axes, k in zip(grid.flat, others, strict=False):
        low, high = standing.interval(first, k)
        look, seen = looks[names[k]], len(low) - 1
        places = np.arange(len(low))
        axes.fill_between(places, low, high, step="post", color=style.tint(look.colour))
        for ends in (low, high):
            axes.step(places, ends, where="post", color=look.colour, linewidth=1.4)
        axes.plot([seen], [(low[-1] + high[-1]) / 2], look.mark, color=look.colour, markersize=5)
        axes.axhline(0.5, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(0, len(standing.design.order))
        axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        style.quiet(axes)
        axes.set_title(
            style.short(names[k], 22), loc="left", fontsize=9.5, color=style.INK, parse_math=False
        )
    for axes in grid.flat[len(others) :]:
        axes.set_axis_off()
    return style.laid_out(figure)
