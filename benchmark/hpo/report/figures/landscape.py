"""Values over tunables: one by one, all side by side, and two as a map."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from benchmark.analysis.figures import style
from benchmark.files.numbers import plain_number
from benchmark.hpo.report.figures.trials import Axis, Trials, many

MOST_SLICES, MOST_LINES_OVER = 12, 14
COLUMNS = 4
# Neither white nor black, so that every trial is visible in print.
LIGHTEST, DARKEST = 0.15, 0.92


def slices(trials: Trials, order: list[Axis]) -> Figure:
    """The first direction's value against each tunable, the most important first."""
    shown = order[:MOST_SLICES]
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    name = next(iter(trials.directions))
    figure = style.sheet(
        "Slices",
        f"{style.short(name)} ({trials.directions[name]}) against each tunable; later trials "
        "have stronger colours"
        + (f"; the {len(shown)} most important" if len(shown) < len(order) else ""),
        *(max(4.6, 2.55 * columns + 0.6), 1.0 + 2.5 * lines),
    )
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    numbers = trials.numbers().astype(float)
    shades = _shade((numbers - numbers.min()) / (np.ptp(numbers) or 1.0))
    for axes, axis in zip(panels, shown, strict=False):
        places = trials.param(axis)
        look: dict[str, Any] = {"s": 20, "c": shades, "edgecolors": "none", "zorder": 3}
        axes.scatter(places, trials.values(), rasterized=many(trials), **look)
        style.heading(axes, style.short(axis.name, 22))
        style.quiet(axes)
        axis.label(axes, "x")
        if axis.log:
            style.plain_powers(axes)
        if axis.choices:
            axes.tick_params(axis="x", rotation=30 if len(axis.choices) > 3 else 0)
            axes.set_xlim(-0.5, len(axis.choices) - 0.5)
        _mark_best(axes, trials, places)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    return style.laid_out(figure)


def parallel_coordinates(trials: Trials, order: list[Axis]) -> Figure:
    """A line for each trial; each tunable's axis covers the tried range."""
    shown = order[:MOST_LINES_OVER]
    name = next(iter(trials.directions))
    figure = style.sheet(
        "Parallel coordinates",
        f"Strong colour: good {style.short(name)} ({trials.directions[name]}); orange: the best",
        *(max(6.4, 1.25 * len(shown) + 1.6), 4.6),
    )
    axes = figure.subplots()
    placed = np.column_stack([_unit(trials.param(axis), axis) for axis in shown])
    goodness = _goodness(trials)
    best = trials.best()
    # One object for all lines: thousands of their own take minutes to draw.
    order_of = np.argsort(goodness)
    columns = np.arange(len(shown), dtype=float)
    paths = [np.column_stack([columns, placed[line]]) for line in order_of]
    colors = _shade(goodness[order_of])
    axes.add_collection(
        LineCollection(
            paths, colors=colors, linewidths=0.9, alpha=0.8, zorder=2, rasterized=many(trials)
        ),
        autolim=False,
    )
    dots = np.concatenate(paths)
    shades = np.repeat(colors, len(shown), axis=0)
    look: dict[str, Any] = {"s": 6, "c": shades, "alpha": 0.8, "edgecolors": "none", "zorder": 2}
    axes.scatter(dots[:, 0], dots[:, 1], rasterized=many(trials), **look)
    if best is not None:
        look = {"color": style.PALETTE[1], "linewidth": 2.4, "zorder": 4}
        axes.plot(columns, placed[best], marker="o", markersize=2.5, **look)
    for column, axis in enumerate(shown):
        axes.axvline(column, color=style.GRID, linewidth=1.0, zorder=1)
        for height, text in _ends(trials.param(axis), axis):
            axes.text(column + 0.03, height, text, zorder=5, **style.small())
    axes.set_xticks(range(len(shown)), [style.short(axis.name, 14) for axis in shown])
    axes.set_ylim(-0.06, 1.08)
    axes.set_xlim(-0.2, len(shown) - 0.4)
    style.quiet(axes, "x")
    axes.set_yticks([])
    if len(shown) > 6:
        axes.tick_params(axis="x", rotation=20)
    return style.laid_out(figure)


def contour(trials: Trials, across: Axis, up: Axis) -> Figure:
    """The first direction's value over two tunables, interpolated between the trials."""
    name = next(iter(trials.directions))
    figure = style.sheet(
        "Contour",
        f"{style.short(name)} ({trials.directions[name]}) over {style.short(across.name)} and "
        f"{style.short(up.name)}; orange: the best",
        *(8.2, 5.4),
    )
    axes = figure.subplots()
    known = ~(np.isnan(trials.param(across)) | np.isnan(trials.param(up)))
    x, y, values = trials.param(across)[known], trials.param(up)[known], trials.values()[known]
    across.label(axes, "x")
    up.label(axes, "y")
    # No interpolation between two choices.
    drawn = None
    if not across.choices and not up.choices:
        drawn = _filled(
            axes, np.log(x) if across.log else x, np.log(y) if up.log else y, x, y, values
        )
    look: dict[str, Any] = {"cmap": "viridis", "edgecolors": "white", "linewidths": 0.7}
    dots = axes.scatter(x, y, s=22, c=values, rasterized=many(trials), **look)
    if across.log:
        style.plain_powers(axes)
    if up.log:
        style.plain_powers(axes, "y")
    bar = figure.colorbar(drawn or dots, ax=axes, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=9, labelcolor=style.QUIET, length=0)
    axes.set_xlabel(across.name, fontsize=9, color=style.QUIET, parse_math=False)
    axes.set_ylabel(up.name, fontsize=9, color=style.QUIET, parse_math=False)
    style.quiet(axes)
    best = trials.best()
    if best is not None and known[best]:
        place = trials.param(across)[best], trials.param(up)[best]
        axes.scatter(*place, s=90, facecolors="none", edgecolors=style.PALETTE[1], linewidths=2.2)
    return style.laid_out(figure)


def _filled(axes: Axes, *points: NDArray[np.float64]) -> Any:
    """Filled contours over a triangulation in the axes' scales; None if there is none."""
    by_x, by_y, x, y, values = points
    places = np.column_stack([by_x, by_y])
    _, first = np.unique(places, axis=0, return_index=True)
    spread = places[first] - places[first].mean(axis=0)
    if len(first) < 4 or np.linalg.matrix_rank(spread) < 2 or values.min() == values.max():
        return None
    # The mean of repeated points: a triangulation needs distinct points.
    _, group = np.unique(places, axis=0, return_inverse=True)
    means = np.bincount(group.ravel(), values) / np.bincount(group.ravel())
    scaled = spread / np.where(np.ptp(spread, axis=0) > 0, np.ptp(spread, axis=0), 1)
    triangles = Triangulation(scaled[:, 0], scaled[:, 1]).triangles
    mesh = Triangulation(x[first], y[first], triangles)
    return axes.tricontourf(mesh, means, levels=12, cmap="viridis", alpha=0.75)


def _mark_best(axes: Axes, trials: Trials, places: NDArray[np.float64]) -> None:
    best = trials.best()
    if best is not None and not np.isnan(places[best]):
        ring: dict[str, Any] = {
            "facecolors": "none",
            "edgecolors": style.PALETTE[1],
            "linewidths": 1.8,
        }
        axes.scatter(places[best], trials.values()[best], s=70, zorder=4, **ring)


def _goodness(trials: Trials) -> NDArray[np.float64]:
    """0 to 1 by rank: one very bad trial must not make all others look the same."""
    values = trials.values()
    ranks = np.argsort(np.argsort(values)).astype(float) / max(len(values) - 1, 1)
    return ranks if trials.definition.signs[0] < 0 else 1 - ranks


def _unit(places: NDArray[np.float64], axis: Axis) -> NDArray[np.float64]:
    found = np.log(places) if axis.log else places
    low, high = np.nanmin(found), np.nanmax(found)
    unit: NDArray[np.float64] = (found - low) / (high - low)
    return unit


def _ends(places: NDArray[np.float64], axis: Axis) -> list[tuple[float, str]]:
    low, high = np.nanmin(places), np.nanmax(places)
    if axis.choices:
        reach = (high - low) or 1.0
        tried = sorted({int(place) for place in places if not np.isnan(place)})
        return [((place - low) / reach, axis.choices[place][:12]) for place in tried]
    return [(0.0, plain_number(low)), (1.0, plain_number(high))]


def _shade(shares: NDArray[np.float64]) -> Any:
    return matplotlib.colormaps["Blues"](LIGHTEST + shares * (DARKEST - LIGHTEST))
