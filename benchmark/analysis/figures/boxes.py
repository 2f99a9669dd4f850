"""Notched boxes of scaled scores, a row per framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.analysis.figures import style
from benchmark.analysis.results.metrics import shown
from benchmark.analysis.statistics import scaling
from benchmark.analysis.statistics.comparable import Comparison
from benchmark.analysis.statistics.imputation import CONSTANT, baseline

LOWEST_SHOWN = -1.0
OUT_OF_VIEW = -1e6
POINTS_UP_TO = 60
FEWEST_BOXED = 5


def score_boxes(comparison: Comparison, looks: Mapping[str, style.Look]) -> Figure:
    """Notched boxes of each framework's scaled scores, one value per data set and seed."""
    failures = comparison.counts["failures"]
    scaled = scaling.scaled(comparison.filled)
    values = {str(name): scaled[name].to_numpy(float) for name in scaled.columns}
    medians = {name: scaling.median_notch(values[name])[0] for name in values}
    names = sorted(values, key=lambda name: (-medians[name], name))
    zero = "constant predictor" if baseline(names, CONSTANT) else "worst"
    figure = style.sheet(
        f"{comparison.type.capitalize()}: {shown(comparison.metrics)}, scaled",
        f"{comparison.size}; one value per data set and seed; 0 = {zero}, 1 = best",
        *(8.6, 1.75 + 0.36 * max(len(names), 3)),
    )
    axes = figure.subplots()
    if len(names) < 2 or not len(scaled):
        style.nothing(axes, "One framework alone has no scale" if names else style.NO_RESULT)
        return style.laid_out(figure)
    _view(axes, values, len(names))
    looks_of = [looks[name] for name in names]
    _boxes(axes, {place: values[name] for place, name in enumerate(names)}, looks_of)
    for place, name in enumerate(names):
        _points(axes, values[name], place, looks_of[place])
        _margin(axes, place, int(failures[name]), values[name])
    transform = axes.get_yaxis_transform()
    axes.text(1.02, -0.75, "failed", transform=transform, **style.small())
    style.rows(axes, names)
    return style.laid_out(figure)


def _boxes(
    axes: Axes, values: Mapping[int, NDArray[np.float64]], looks: Sequence[style.Look]
) -> None:
    """Boxes by place: quartiles, median with notch (pinched at the hinges), whiskers at 1.5 IQR.

    All in one call, as matplotlib reads all its settings in each.
    """
    boxed = [place for place, scores in values.items() if scores.size >= FEWEST_BOXED]
    drawn = axes.bxp(
        [_box(values[place]) for place in boxed],
        positions=boxed,
        orientation="horizontal",
        widths=0.62,
        shownotches=True,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"linewidth": 1.1},
        medianprops={"linewidth": 2.4, "solid_capstyle": "butt"},
        whiskerprops={"linewidth": 1.1},
        capprops={"linewidth": 1.1},
    )
    for kind, lines in drawn.items():
        for number, line in enumerate(lines if kind != "boxes" else ()):
            line.set_color(looks[boxed[number * len(boxed) // len(lines)]].colour)
    for place, patch in zip(boxed, drawn["boxes"], strict=True):
        look = looks[place]
        patch.set(facecolor=style.tint(look.colour), edgecolor=look.colour, hatch=look.hatch)
        patch.set_hatch_linewidth(0.5)


def _box(values: NDArray[np.float64]) -> dict[str, Any]:
    low, median, high = (float(value) for value in scaling.quartiles(values))
    _, notch_low, notch_high = scaling.median_notch(values)
    left, right = _whiskers(values)
    box = {
        **{"med": median, "q1": low, "q3": high},
        **{"cilo": max(notch_low, low), "cihi": min(notch_high, high)},
        **{"whislo": left, "whishi": right},
    }
    shown = {key: np.nan_to_num(value, neginf=OUT_OF_VIEW) for key, value in box.items()}
    return shown | {"fliers": []}


def _points(axes: Axes, values: NDArray[np.float64], place: int, look: style.Look) -> None:
    """All values if they are few, else those outside the whiskers; jittered to be visible.

    Those that are too few for a box have a line at their median.
    """
    few = values.size <= POINTS_UP_TO
    points = values
    if values.size < FEWEST_BOXED:
        median = scaling.median_notch(values)[0]
        axes.vlines(median, place - 0.31, place + 0.31, color=look.colour, linewidth=2.4)
    elif not few:
        left, right = _whiskers(values)
        points = values[(values < left) | (values > right)]
    points = points[np.isfinite(points)]
    axes.plot(
        points,
        place + np.random.default_rng(0).uniform(-0.17, 0.17, points.size),
        look.mark if few else "o",
        color=look.colour,
        markersize=3.6 if few else 2.4,
        alpha=0.7 if few else 0.4,
        markeredgewidth=0,
        rasterized=points.size > 200,
        zorder=4,
    )


def _whiskers(values: NDArray[np.float64]) -> tuple[float, float]:
    """The farthest values within 1.5 IQR of the box, and never inside of it."""
    low, _, high = (float(value) for value in scaling.quartiles(values))
    reach = 1.5 * (high - low) if high > low else 0.0
    inside = values[(values >= low - reach) & (values <= high + reach)]
    return min(float(inside.min()), low), max(float(inside.max()), high)


def _view(axes: Axes, values: Mapping[str, NDArray[np.float64]], rows: int) -> None:
    """Show all whiskers but nothing below -1: a few extreme values must not flatten the rest."""
    ends = np.array([_whiskers(column) for column in values.values()])
    lowest = max(float(ends.min(initial=0.0)), LOWEST_SHOWN)
    axes.set_xlim(lowest - 0.05, float(ends.max(initial=1.0)) + 0.05)
    axes.set_ylim(rows - 0.4, -0.6)
    for line in (0.0, 1.0):
        axes.axvline(line, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)


def _margin(axes: Axes, place: int, failures: int, values: NDArray[np.float64]) -> None:
    """Write the failures right of a row, and left of it the number of values out of view."""
    transform = axes.get_yaxis_transform()
    text = f"{failures:,}" if failures else style.DASH
    colour = style.ALARM if failures else style.QUIET
    axes.text(1.02, place, text, transform=transform, **style.small(colour))
    hidden = int((values < axes.get_xlim()[0]).sum())
    if hidden:
        label = axes.text(
            *(0.006, place - 0.02, f"◂ {hidden}"), transform=transform, **style.small()
        )
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85})
