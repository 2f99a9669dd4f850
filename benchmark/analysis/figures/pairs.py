"""Framework against framework: the classic grid of scatters, and the matrix of wins.

The grid is one axes in which every pair has a square of its own: the three hundred axes that 25
frameworks would need take matplotlib fifteen times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as MplPath
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from benchmark.analysis.figures import style
from benchmark.analysis.results.metrics import direction, shown
from benchmark.analysis.statistics import ranking
from benchmark.analysis.statistics.comparable import Comparison
from benchmark.analysis.type_statistics import Statistics

GAP = 0.1
NAMES_FROM = 0.42  # Inches left of the squares: the ticks are between.
MOST_NAMED_IN_FULL = 9
MOST_COUNTED = 16
MOST_SCATTERED = 30
MOST_PERCENTS = 40
WIDEST_LINEAR = 30.0


def dataset_means(comparison: Comparison, looks: Mapping[str, style.Look]) -> Figure:
    """The classic grid: per pair of frameworks a scatter of mean scores, a point a data set.

    A data set on which one of the two has no score is not in their square. On the diagonal line
    both are equal; the numbers in a square count the data sets on which the row's and the column's
    framework is better. Of many frameworks the best by mean rank are shown.
    """
    metric = comparison.metrics[0] if comparison.metrics else ""
    means = ranking.seed_means(comparison.gains)
    means = means.loc[:, means.notna().any()] * (direction(metric) if metric else 1)
    count = len(means.columns)
    if count > MOST_SCATTERED:
        best = ranking.ranks(comparison.means[means.columns]).mean().nsmallest(MOST_SCATTERED)
        means = means.loc[:, means.columns.isin(best.index)]
    names = [str(name) for name in means.columns]
    squares = max(len(names) - 1, 1)
    unit = float(np.clip(12.0 / squares, 0.52, 2.4))
    left = NAMES_FROM + (
        0.35 if _few(names) else 0.07 * max(style.width(style.short(name)) for name in names)
    )
    right = 0.35 if _few(names) else 1.3
    width, height = left + unit * squares + right, 1.15 + unit * squares + 0.3
    figure = style.sheet(
        f"{comparison.type.capitalize()}: mean {shown([metric])} by pair",
        comparison.size
        + ("; numbers: data sets won by row, by column" if len(names) <= MOST_COUNTED else "")
        + (f"; the {len(names)} best of {count} by mean rank" if len(names) < count else ""),
        *(max(width, 6.4), height),
    )
    axes = figure.add_axes((0.0, 0.0, 1.0, 1 - 0.68 / height))
    axes.set_axis_off()
    if len(names) < 2:
        style.nothing(axes, "A comparison needs at least two frameworks with scores")
        return figure
    scale = _Scale.of(means.to_numpy(float))
    _squares(axes, means, scale, looks, direction(metric))
    _names(axes, names, -NAMES_FROM / unit)
    _ticks(axes, scale, len(names))
    axes.set_xlim(-left / unit, (max(width, 6.4) - left) / unit)
    axes.set_ylim(-squares - 0.3 / unit, (height - 0.68 - 0.3) / unit - squares)
    return figure


def _few(names: list[str]) -> bool:
    return len(names) <= MOST_NAMED_IN_FULL


@dataclass(frozen=True)
class _Scale:
    """Scores into 0…1 of a square; logarithmic where they span more than a few powers of ten."""

    low: float
    high: float
    logarithmic: bool

    @staticmethod
    def of(values: NDArray[np.floating[Any]]) -> _Scale:
        finite = values[np.isfinite(values)]
        if not finite.size:
            return _Scale(0.0, 1.0, False)
        low, high = float(finite.min()), float(finite.max())
        if low > 0 and high / low > WIDEST_LINEAR:
            return _Scale(np.log10(low), np.log10(high), True)
        if high == low:
            return _Scale(low - 0.5, high + 0.5, False)
        return _Scale(low, high, False)

    def place(self, values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Positions in a square with a margin; infinite values at its border."""
        with np.errstate(divide="ignore", invalid="ignore"):
            raw = np.log10(values) if self.logarithmic else values
        shares = (np.clip(raw, self.low, self.high) - self.low) / (self.high - self.low)
        placed: NDArray[np.floating[Any]] = GAP / 2 + (1 - GAP) * (0.05 + 0.9 * shares)
        return placed

    def ticks(self) -> list[tuple[float, str]]:
        """Positions in a square and the labels there."""
        if self.logarithmic:
            first, last = int(np.ceil(self.low)), int(np.floor(self.high))
            step = max((last - first) // 2, 1)
            values = 10.0 ** np.arange(first, last + 1, step)
            texts = [f"$10^{{{exponent}}}$" for exponent in range(first, last + 1, step)]
        else:
            values = np.array([self.low, (self.low + self.high) / 2, self.high])
            texts = [f"{value:.3g}" for value in values]
        return list(zip(self.place(values), texts, strict=True))


def _squares(
    axes: Axes,
    means: pd.DataFrame,
    scale: _Scale,
    looks: Mapping[str, style.Look],
    better: int,
) -> None:
    """Row i, column j < i: framework j across, framework i up."""
    values = means.to_numpy(float)
    placed = scale.place(values)
    count = len(means.columns)
    frames, diagonals = [], []
    for row in range(1, count):
        colour = looks[str(means.columns[row])].colour
        across, up = [], []
        for column in range(row):
            both = ~np.isnan(values[:, row]) & ~np.isnan(values[:, column])
            across.append(column + placed[both, column])
            up.append(-row + placed[both, row])
            frames.append(_frame(column, -row))
            diagonals.append([frames[-1][0], frames[-1][2]])
            first, second = values[both, row] * better, values[both, column] * better
            counts = (int((first > second).sum()), int((first < second).sum()))
            _count(axes, column, row, counts, count)
        axes.plot(
            np.concatenate(across),
            np.concatenate(up),
            looks[str(means.columns[row])].mark,
            color=colour,
            markersize=float(np.clip(24 / count, 1.8, 4)),
            alpha=0.7,
            markeredgewidth=0,
            rasterized=True,
            zorder=3,
        )
    axes.add_collection(LineCollection(frames, colors=style.GRID, linewidths=0.8, zorder=1))
    lines = LineCollection(diagonals, colors=style.QUIET, linewidths=0.7, zorder=2, linestyles=":")
    axes.add_collection(lines)


def _frame(column: int, row: int) -> list[tuple[float, float]]:
    left, low, right, high = (
        *(column + GAP / 2, row + GAP / 2),
        *(column + 1 - GAP / 2, row + 1 - GAP / 2),
    )
    return [(left, low), (right, low), (right, high), (left, high), (left, low)]


def _count(axes: Axes, column: int, row: int, counts: tuple[int, int], frameworks: int) -> None:
    if frameworks > MOST_COUNTED:
        return
    won, lost = counts
    size = float(np.clip(44 / frameworks, 4.5, 8))
    style_: dict[str, Any] = {"fontsize": size, "color": style.QUIET, "zorder": 4}
    axes.text(column + 0.08, -row + 0.92, f"{won}", ha="left", va="top", **style_)
    axes.text(column + 0.92, -row + 0.08, f"{lost}", ha="right", va="bottom", **style_)


def _names(axes: Axes, names: list[str], right: float) -> None:
    """Row names that end at `right`, column names above the diagonal's steps."""
    size = 9 if _few(names) else 8
    common: dict[str, Any] = {"fontsize": size, "color": style.INK, "parse_math": False}
    for place, name in enumerate(names):
        if place:
            text, middle = (
                style.short(name, 18 if _few(names) else style.LONGEST_NAME),
                -place + 0.5,
            )
            if _few(names):
                axes.text(right, middle, text, rotation=90, ha="right", va="center", **common)
            else:
                axes.text(right, middle, text, ha="right", va="center", **common)
        if place < len(names) - 1:
            text = style.short(name, 18)
            if _few(names):
                axes.text(place + 0.5, -place, text, ha="center", va="bottom", **common)
            else:
                turned = {"rotation": 25, "rotation_mode": "anchor", **common}
                axes.text(place + 0.4, -place, text, ha="left", va="bottom", **turned)


def _ticks(axes: Axes, scale: _Scale, count: int) -> None:
    """Numbers at the left of the first column and below the last row."""
    common: dict[str, Any] = {"fontsize": 7.5 if count <= 9 else 6, "color": style.QUIET}
    for position, text in scale.ticks()[:: 1 if count <= 9 else 2]:
        for row in range(1, count):
            axes.text(0.02, -row + position, text, ha="right", va="center", **common)
        # The numbers of neighbours would touch.
        for column in range(0, count - 1, 1 if count <= 9 else 2):
            axes.text(column + position, -count + 1.02, text, ha="center", va="top", **common)


def win_matrix(found: Statistics) -> Figure:
    """Shares of data sets on which the row's framework beats the column's; ties count half."""
    order = [str(name) for name in found.mean_ranks.dropna().sort_values(kind="stable").index]
    table = found.win_matrix.loc[order, order].to_numpy(float)
    count = len(order)
    numbered = count <= MOST_PERCENTS
    side = float(np.clip(0.62 * count, 2.6, max(11, 0.12 * count)))
    figure = style.sheet(
        f"{found.type.capitalize()}: pairwise wins",
        "Percent of data sets on which the row beats the column; ties count half"
        + ("" if numbered else "; orange: more than 50, violet: fewer"),
        *(side + 3.2, side + 2.3),
    )
    axes = figure.subplots()
    if count < 2:
        style.nothing(axes, "A comparison needs at least two frameworks")
        return style.laid_out(figure)
    # As colours: of numbers it would colour every dot of the figure.
    colours = mpl.colormaps["PuOr_r"]((table + 0.15) / 1.3, bytes=True)
    axes.imshow(colours, interpolation="nearest")
    if numbered:
        _percents(figure, axes, table, float(np.clip(150 / count, 5.5, 9)))
    names = [style.short(name) for name in order]
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(count), names, **(turned if numbered else {"rotation": 90}))
    axes.set_yticks(range(count), names)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    size = 9 if count <= 14 else 7.5 if numbered else 6.5
    axes.tick_params(length=0, labelsize=size, labelcolor=style.INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return style.laid_out(figure)


def _percents(figure: Figure, axes: Axes, table: NDArray[np.floating[Any]], size: float) -> None:
    """The numbers of the matrix as one collection of shapes: as texts, 600 of them take seconds."""
    cells = np.argwhere(~np.isnan(table))
    values = table[cells[:, 0], cells[:, 1]]
    numbers = [round(100 * value) for value in values]
    shapes = {number: _centred(f"{number}", size) for number in set(numbers)}
    collection = PathCollection(
        [shapes[number] for number in numbers],
        offsets=cells[:, ::-1],
        offset_transform=axes.transData,
        facecolors=["white" if abs(value - 0.5) > 0.4 else style.INK for value in values],
        linewidths=0,
    )
    # Points to dots, at any resolution of the figure.
    collection.set_transform(Affine2D().scale(1 / 72) + figure.dpi_scale_trans)
    axes.add_collection(collection, autolim=False)


def _centred(text: str, size: float) -> MplPath:
    shape = TextPath((0, 0), text, size=size)
    box = shape.get_extents()
    middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    return MplPath(shape.vertices - middle, shape.codes)
