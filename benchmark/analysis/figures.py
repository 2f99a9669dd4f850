"""Draws the figures, one function each, and saves them; needs no display.

    figure = score_boxes(frame, "classification")
    save(figure, "figures", "RawDataBoxPlotF1_SCORE")     # .pdf and .png

A framework has one colour, safe for the colour-blind, in every figure of a run.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmark.analysis import statistics
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Okabe & Ito 2008 without black and yellow, which vanish on white; then Tol's muted, for more.
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"),
    *("#332288", "#999933", "#882255", "#44AA99", "#117733", "#AA4499"),
)
METRIC_NAMES = {
    **{"f1_score": "weighted F1", "f1": "weighted F1", "mse": "MSE", "rmse": "RMSE", "mae": "MAE"},
    **{"auc": "AUC", "log_loss": "log loss", "logloss": "log loss", "r2": "R²", "r2_score": "R²"},
}
INK, QUIET, GRID = "#1f2430", "#667085", "#e4e7ec"
LOWEST_SHOWN = -1.0
OUT_OF_VIEW = -1e6
POINTS_UP_TO = 60
FEWEST_BOXED = 5
LONGEST_NAME = 28
TIMES, DASH = "\u00d7", "\u2013"


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each framework, by sorted name."""
    return dict(zip(sorted(set(names)), cycle(PALETTE), strict=False))


def score_boxes(frame: pd.DataFrame, type: str, metric: str | None = None) -> Figure:
    """Notched boxes of each framework's scaled scores, one value per data set and seed.

    Args:
        frame: the results, see `table.read_results`.
        type: "classification" or "regression".
        metric: the column judged by, such as "F1_SCORE"; each task's own metric by default.
    """
    comparison = statistics.compare(frame, type, metric)
    failures = comparison.tasks.groupby("framework")["failed"].sum()
    scaled = statistics.scaled_by_seed(comparison.scores)
    values = {name: scaled[name].to_numpy(float) for name in scaled.columns}
    medians = {name: statistics.median_notch(values[name])[0] for name in values}
    names = sorted(values, key=lambda name: (-medians[name], name))
    figure = Figure(figsize=(8.6, 1.75 + 0.36 * max(len(names), 3)), facecolor="white")
    axes = figure.subplots()
    _title(
        figure,
        f"{type.capitalize()}: {_metrics(comparison.metrics)}, scaled",
        f"{_size(comparison)}; one value per data set and seed; 0 = {_zero(names)}, 1 = best",
    )
    if not names:
        _nothing(axes, "No result to compare yet")
        return _laid_out(figure)
    _view(axes, values, len(names))
    palette = colours(frame["MODEL"])
    for place, name in enumerate(names):
        _box(axes, values[name], place, palette[name])
        _margin(axes, place, int(failures[name]), values[name])
    axes.text(1.02, -0.75, "failed", transform=axes.get_yaxis_transform(), **_small())
    _rows(axes, names)
    return _laid_out(figure)


def mean_ranks(leaderboards: Mapping[str, pd.DataFrame], sizes: Mapping[str, str]) -> Figure:
    """The leaderboard as a picture: mean ranks as dots, a panel per task type.

    Args:
        leaderboards: a `statistics.leaderboard` by task type.
        sizes: what each was computed on, see `size`, by task type.
    """
    tallest = max((len(board) for board in leaderboards.values()), default=3)
    columns = max(len(leaderboards), 1)
    figure = Figure(figsize=(1.4 + 4.8 * columns, 1.75 + 0.34 * max(tallest, 3)), facecolor="white")
    panels = figure.subplots(1, columns, squeeze=False)[0]
    _title(figure, "Leaderboard", "Mean rank over data sets; 1 = best on every one")
    palette = colours(name for board in leaderboards.values() for name in board["framework"])
    if not leaderboards:
        _nothing(panels[0], "No result to compare yet")
    for axes, (type, board) in zip(panels, leaderboards.items(), strict=False):
        _rank_dots(axes, board, palette)
        axes.set_title(type.capitalize(), loc="left", fontsize=11, color=INK, fontweight="bold")
        axes.set_title(sizes.get(type, ""), loc="right", fontsize=9, color=QUIET)
    return _laid_out(figure)


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write a figure as NAME.pdf and NAME.png and return their paths.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    paths = [Path(folder) / f"{name}.{ending}" for ending in ("pdf", "png")]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        figure.savefig(paths[0], metadata={"CreationDate": None})
        figure.savefig(paths[1], dpi=200)
    except OSError as error:
        raise BenchmarkError(
            f"The figure {name} cannot be written to {folder}: {error.strerror}; "
            "choose another folder."
        ) from None
    return paths


def as_svg(figure: Figure) -> bytes:
    """The figure as SVG with its text as outlines, the same bytes for the same figure."""
    from io import BytesIO

    buffer = BytesIO()
    with mpl.rc_context({"svg.hashsalt": "automl-benchmark", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _rank_dots(axes: Axes, board: pd.DataFrame, palette: Mapping[str, str]) -> None:
    ranked = board[board["mean_rank"].notna()]
    if ranked.empty:
        _nothing(axes, "No result to compare yet")
        return
    names = [str(name) for name in ranked["framework"]]
    widest = max(float(ranked["mean_rank"].max()), 2.0)
    axes.set_xlim(0.9, widest + 0.18 * (widest - 0.9))
    for place, (name, rank) in enumerate(zip(names, ranked["mean_rank"], strict=True)):
        axes.hlines(place, 0.9, rank, color=palette[name], linewidth=2.4, alpha=0.35, zorder=2)
        axes.plot(rank, place, "o", color=palette[name], markersize=8.5, zorder=3)
        axes.annotate(
            f"{rank:.2f}",
            (rank, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=9,
            color=INK,
            fontweight="bold" if place == 0 else "normal",
        )
    axes.set_xlabel("mean rank", fontsize=9, color=QUIET)
    step = 1 if widest <= 8 else 5
    axes.set_xticks([1, *range(max(step, 2), int(np.ceil(widest)) + 1, step)])
    _rows(axes, names)


def _box(axes: Axes, values: NDArray[np.float64], place: int, colour: str) -> None:
    """One box: quartiles, median with notch (pinched at the hinges), whiskers at 1.5 IQR."""
    if values.size < FEWEST_BOXED:
        _median_line(axes, values, place, colour)
        return
    low, median, high = (float(value) for value in statistics.quartiles(values))
    _, notch_low, notch_high = statistics.median_notch(values)
    left, right = _whiskers(values)
    box: dict[str, Any] = {
        **{"med": median, "q1": low, "q3": high, "fliers": []},
        **{"cilo": max(notch_low, low), "cihi": min(notch_high, high)},
        **{"whislo": left, "whishi": right},
    }
    axes.bxp(
        [{key: np.nan_to_num(value, neginf=OUT_OF_VIEW) for key, value in box.items()}],
        positions=[place],
        orientation="horizontal",
        widths=0.62,
        shownotches=True,
        showfliers=False,
        patch_artist=True,
        manage_ticks=False,
        boxprops={"facecolor": _tint(colour), "edgecolor": colour, "linewidth": 1.1},
        medianprops={"color": colour, "linewidth": 2.4, "solid_capstyle": "butt"},
        whiskerprops={"color": colour, "linewidth": 1.1},
        capprops={"color": colour, "linewidth": 1.1},
    )
    _points(axes, values[(values < left) | (values > right)], values, place, colour)


def _median_line(axes: Axes, values: NDArray[np.float64], place: int, colour: str) -> None:
    """So few values make no box: the points and their median."""
    median = statistics.median_notch(values)[0]
    axes.vlines(median, place - 0.31, place + 0.31, color=colour, linewidth=2.4)
    _points(axes, values, values, place, colour)


def _points(
    axes: Axes,
    outside: NDArray[np.float64],
    values: NDArray[np.float64],
    place: int,
    colour: str,
) -> None:
    """All values where they are few, else those outside the whiskers; spread to be told apart."""
    few = values.size <= POINTS_UP_TO
    points = values if few else outside
    points = points[np.isfinite(points)]
    axes.plot(
        points,
        place + np.random.default_rng(0).uniform(-0.17, 0.17, points.size),
        "o",
        color=colour,
        markersize=3.6 if few else 2.4,
        alpha=0.7 if few else 0.4,
        markeredgewidth=0,
        rasterized=points.size > 200,
        zorder=4,
    )


def _whiskers(values: NDArray[np.float64]) -> tuple[float, float]:
    """The farthest values within 1.5 IQR of the box, and never inside of it."""
    low, _, high = (float(value) for value in statistics.quartiles(values))
    reach = 1.5 * (high - low) if high > low else 0.0
    inside = values[(values >= low - reach) & (values <= high + reach)]
    return min(float(inside.min()), low), max(float(inside.max()), high)


def _view(axes: Axes, values: Mapping[str, NDArray[np.float64]], rows: int) -> None:
    """Show all whiskers but nothing below -1: a few catastrophes must not flatten all else."""
    ends = np.array([_whiskers(column) for column in values.values()])
    lowest = max(float(ends.min(initial=0.0)), LOWEST_SHOWN)
    axes.set_xlim(lowest - 0.05, float(ends.max(initial=1.0)) + 0.05)
    axes.set_ylim(rows - 0.4, -0.6)
    for line in (0.0, 1.0):
        axes.axvline(line, color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)


def _margin(axes: Axes, place: int, failures: int, values: NDArray[np.float64]) -> None:
    """The failures to the right of a row, and at its left how many values lie out of view."""
    axes.text(
        *(1.02, place, f"{failures:,}" if failures else DASH),
        transform=axes.get_yaxis_transform(),
        **_small("#B42318" if failures else QUIET),
    )
    hidden = int((values < axes.get_xlim()[0]).sum())
    if hidden:
        label = axes.text(
            *(0.006, place - 0.02, f"◂ {hidden}"),
            transform=axes.get_yaxis_transform(),
            **_small(),
        )
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85})


def _rows(axes: Axes, names: list[str]) -> None:
    """Framework names down the left, quiet frame, vertical grid."""
    axes.set_yticks(range(len(names)), [_short(name) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=10, labelcolor=INK)
    axes.tick_params(axis="x", length=0, labelsize=9, labelcolor=QUIET)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def _title(figure: Figure, title: str, subtitle: str) -> None:
    """Title and subtitle at the top left, in inches, so that they sit alike at any height."""
    height = figure.get_figheight()
    style: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(0.015, 1 - 0.13 / height, title, fontsize=14, color=INK, weight="bold", **style)
    figure.text(0.015, 1 - 0.43 / height, subtitle, fontsize=9.5, color=QUIET, **style)


def _laid_out(figure: Figure) -> Figure:
    """Fit the axes below the title with room for the labels; done once, so saving is the same."""
    figure.tight_layout(rect=(0.005, 0.005, 0.985, 1 - 0.68 / figure.get_figheight()), w_pad=2.5)
    return figure


def _nothing(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    style: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, text, color=QUIET, fontsize=11, **style)


def _small(colour: str = QUIET) -> dict[str, Any]:
    return {"fontsize": 8.5, "color": colour, "va": "center_baseline", "ha": "left"}


def _tint(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return (1 - 0.3 * (1 - red), 1 - 0.3 * (1 - green), 1 - 0.3 * (1 - blue))


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _metrics(names: tuple[str, ...]) -> str:
    return ", ".join(METRIC_NAMES.get(name.lower(), name) for name in names)


def _zero(names: list[str]) -> str:
    return "constant predictor" if statistics.CONSTANT in names else "worst"


def _size(comparison: statistics.Comparison) -> str:
    return size(comparison.datasets, comparison.seeds)


def size(datasets: int, seeds: int) -> str:
    """How much a comparison rests on, such as "8 data sets by 1 seed" with a times sign."""
    plurals = ["" if number == 1 else "s" for number in (datasets, seeds)]
    return f"{datasets} data set{plurals[0]} {TIMES} {seeds} seed{plurals[1]}"
