"""Score over time: how soon each framework's search reached its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.analysis.figures import style
from benchmark.analysis.figures.costs import limits_of
from benchmark.analysis.trajectories import reached

STEPS = 240
# Below it a logarithmic axis would show nothing but the start of a process.
SOONEST_S = 0.01


def score_over_time(
    frame: pd.DataFrame,
    searches: Mapping[str, list[NDArray[np.float64]]],
    looks: Mapping[str, style.Look],
) -> Figure:
    """Median share of each search's improvement over its own first model, against time.

    Args:
        frame: the results, for their budget.
        searches: trajectories by framework, see `read_trajectories`.
        looks: by framework.
    """
    tasks = sum(len(each) for each in searches.values())
    lines = (len(searches) + 3) // 4
    below = 0.3 + 0.2 * lines
    height = 4.9 + below
    figure = style.sheet(
        "Score over time",
        "Share of a search's improvement over its first model, by its own validation score; "
        "median of "
        f"{tasks:,} task{'' if tasks == 1 else 's'}",
        *(9.2, height),
    )
    axes = figure.subplots()
    if not searches:
        style.nothing(axes, "No framework reported its score over time")
        return style.laid_out(figure)
    times = _times(searches)
    table = reached(dict(searches), times)
    for place, name in enumerate(table.columns):
        look = looks[str(name)]
        axes.plot(
            *(times, table[name]),
            drawstyle="steps-post",
            color=look.colour,
            linewidth=1.6,
            marker=look.mark,
            markersize=6,
            # Marks at different places, so that overlapping lines can be distinguished.
            markevery=(10 + (7 * place) % 30, 48),
        )
    for budget in limits_of(frame, "RUNTIME")[:3]:
        axes.axvline(budget, color=style.ALARM, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.set_xscale("log")
    style.plain_powers(axes)
    axes.set_ylim(-0.03, 1.04)
    axes.set_xlabel("seconds since the start of the search; dashed: budget", **_quiet())
    axes.set_ylabel("share of the improvement", **_quiet())
    style.quiet(axes)
    style.legend(figure, {name: looks[name] for name in searches}, 4, 0.0)
    return style.laid_out(figure, below)


def _times(searches: Mapping[str, list[NDArray[np.float64]]]) -> NDArray[np.float64]:
    ends = [points[[0, -1], 0] for each in searches.values() for points in each]
    low = max(SOONEST_S, min(float(first) for first, _ in ends))
    high = max(float(last) for _, last in ends)
    times: NDArray[np.float64] = np.geomspace(low, max(high, 2 * low) * 1.05, STEPS)
    return times


def _quiet() -> dict[str, Any]:
    return {"fontsize": 9, "color": style.QUIET}
