"""Names beside the points of a figure, placed so that no two overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from numpy.typing import NDArray

from benchmark.analysis.figures import style

SIZE = 8.5
NEAR = 6.0
DISTANCES = (NEAR, 16.0, 28.0, 42.0, 60.0, 80.0, 105.0)
CLEAR = 0.5  # Half the width of a line, in typographic points.
MARK = 5.0  # Half the side of the square that a point covers, in typographic points.


def beside(
    figure: Figure,
    axes: Axes,
    labels: Sequence[tuple[float, float, str]],
    points: NDArray[np.float64],
    lines: NDArray[np.float64],
) -> None:
    """Write each label near its point, farther away with a line to it, or not at all.

    A label crosses one of the lines only where it has no other place. The lines to labels cross
    neither each other nor another label.

    Call it when the figure is laid out, since the places are in its dots.

    Args:
        figure: the figure of `axes`, with a canvas that renders.
        axes: with its final limits and scales.
        labels: x, y and text, the most important first.
        points: all points, a row each, which the labels do not cover.
        lines: horizontal and vertical lines, a row x, y, x, y each.
    """
    scale = 72 / figure.dpi
    dots = axes.transData.transform(points) * scale
    taken = np.hstack([dots - MARK, dots + MARK])
    ends = axes.transData.transform(lines.reshape(-1, 2)) * scale
    ends = np.sort(ends.reshape(-1, 2, 2), axis=1)
    crossed = np.hstack([ends[:, 0] - CLEAR, ends[:, 1] + CLEAR])
    area = np.asarray(axes.get_window_extent().extents) * scale
    font = FontProperties(size=SIZE)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    # A line is at least as high as a letter above and one below it.
    line = renderer.get_text_width_height_descent("lp", font, ismath=False)[1]
    written: list[Path] = []
    joined: list[Path] = []
    for x, y, text in labels:
        sizes = renderer.get_text_width_height_descent(text, font, ismath=False)
        width, height = sizes[0] * scale, max(sizes[1], line) * scale + 1
        at = axes.transData.transform((x, y)) * scale
        free = [
            (distance, across, up, box)
            for distance, across, up in _places(width, height)
            for box in [np.tile(at, 2) + np.array([across, up, across + width, up + height])]
            if (box[:2] >= area[:2]).all() and (box[2:] <= area[2:]).all()
            if not _meets(box, taken)
            if not _crosses(_outline(box), joined)
            if distance == NEAR or not _crosses(_joining(at, box), [*joined, *written])
        ]
        if not free:
            continue
        clear = (place for place in free if not _meets(place[3], crossed))
        distance, across, up, box = next(clear, free[0])
        axes.annotate(
            text,
            (x, y),
            xytext=(across, up),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=SIZE,
            color=style.INK,
            parse_math=False,
            arrowprops=None
            if distance == NEAR
            else {"arrowstyle": "-", "color": style.QUIET, "lw": 0.6, "shrinkB": 4},
        )
        taken = np.vstack([taken, box])
        written.append(_outline(box))
        if distance != NEAR:
            joined.append(_joining(at, box))


def _outline(box: NDArray[np.float64]) -> Path:
    left, lower, right, upper = box
    return Path([(left, lower), (right, lower), (right, upper), (left, upper), (left, lower)])


def _joining(at: NDArray[np.float64], box: NDArray[np.float64]) -> Path:
    """The line from a point to the middle of its label, which matplotlib cuts at both ends."""
    return Path([at, (box[:2] + box[2:]) / 2])


def _crosses(path: Path, others: Sequence[Path]) -> bool:
    return any(path.intersects_path(other, filled=False) for other in others)


def _meets(box: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether a box, left, lower, right and upper end, meets one of the others."""
    both = (box[:2] < others[:, 2:]).all(axis=1) & (others[:, :2] < box[2:]).all(axis=1)
    return bool(both.any())


def _places(width: float, height: float) -> Iterator[tuple[float, float, float]]:
    """Distances, and where a text's lower left corner is from its point, the nearest first."""
    for distance in DISTANCES:
        right, left, middle = distance, -distance - width, -width / 2
        above, below = 0.7 * distance, -0.7 * distance - height
        yield distance, right, above
        yield distance, left, above
        yield distance, right, below
        yield distance, left, below
        yield distance, middle, distance + 1
        yield distance, middle, -distance - 1 - height
        yield distance, right, -height / 2
        yield distance, left, -height / 2
