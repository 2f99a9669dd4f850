"""Rankings: the leaderboard as dots, critical-difference diagrams, Elo with intervals."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.analysis.figures import style
from benchmark.analysis.type_statistics import Statistics

MOST_JOINED = 30
STEPS = tuple(factor * 10**power for power in range(7) for factor in (1, 2, 5))


def mean_ranks(studies: Mapping[str, Statistics], looks: Mapping[str, style.Look]) -> Figure:
    """The leaderboard as a picture: mean ranks as dots, a panel per task type."""
    boards = {type: found.board for type, found in studies.items()}
    names = [style.short(name) for board in boards.values() for name in board["framework"]]
    longest = 0.074 * max(map(style.width, names), default=0)
    tallest = max((len(board) for board in boards.values()), default=3)
    columns = max(len(boards), 1)
    figure = style.sheet(
        *("Leaderboard", "Mean rank over data sets; 1 = best on all"),
        *(1.4 + (3.4 + max(longest, 1.4)) * columns, 1.75 + 0.34 * max(tallest, 3)),
    )
    panels = figure.subplots(1, columns, squeeze=False)[0]
    if not boards:
        style.nothing(panels[0])
    for axes, (type, board) in zip(panels, boards.items(), strict=False):
        _rank_dots(axes, board, looks)
        style.heading(axes, type.capitalize(), studies[type].comparison.size)
    return style.laid_out(figure)


def _rank_dots(axes: Axes, board: pd.DataFrame, looks: Mapping[str, style.Look]) -> None:
    ranked = board[board["mean_rank"].notna()]
    if len(ranked) < 2:
        alone = "One framework alone cannot be ranked"
        style.nothing(axes, alone if len(ranked) else style.NO_RESULT)
        return
    names = [str(name) for name in ranked["framework"]]
    widest = max(float(ranked["mean_rank"].max()), 2.0)
    axes.set_xlim(0.9, widest + 0.18 * (widest - 0.9))
    for place, (name, rank) in enumerate(zip(names, ranked["mean_rank"], strict=True)):
        look = looks[name]
        axes.hlines(place, 0.9, rank, color=look.colour, linewidth=2.4, alpha=0.35, zorder=2)
        axes.plot(rank, place, look.mark, color=look.colour, markersize=8, zorder=3)
        axes.annotate(
            f"{rank:.2f}",
            (rank, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=9,
            color=style.INK,
            fontweight="bold" if place == 0 else "normal",
        )
    axes.set_xlabel("mean rank", fontsize=9, color=style.QUIET)
    step = next(step for step in STEPS if widest <= 8 * step)
    axes.set_xticks([1, *range(max(step, 2), int(np.ceil(widest)) + 1, step)])
    style.rows(axes, names)


def critical_difference(found: Statistics, looks: Mapping[str, style.Look]) -> Figure:
    """Mean ranks on a line, joined by bars where they do not differ (Demsar, JMLR 2006).

    By Nemenyi's critical difference at 0.05. The better half of the names is on the left. Many
    frameworks have a row each.
    """
    ranks = found.mean_ranks.dropna().sort_values(kind="stable")
    if found.difference is not None and len(ranks) > MOST_JOINED:
        return _difference_rows(found, ranks, found.difference, looks)
    half = (len(ranks) + 1) // 2
    bars = len(found.groups)
    names = [style.short(name) for name in ranks.index]
    side = 0.85 + 0.074 * max(map(style.width, names), default=0)
    width = 2 * side + max(4.4, 0.24 * len(ranks))
    height = 1.6 + 0.16 * bars + 0.27 * max(half, 2)
    subtitle = f"{found.comparison.datasets} data sets; joined by a bar: no difference at 0.05"
    if found.friedman:
        subtitle += f"; Friedman {found.friedman.text}"
    title = f"{found.title}: critical difference"
    figure = style.sheet(title, subtitle, width, height)
    axes = figure.add_axes((0.0, 0.03, 1.0, 1 - 0.8 / height))
    axes.set_axis_off()
    if found.difference is None or len(ranks) < 2:
        style.nothing(axes, "A comparison needs at least two frameworks and two data sets")
        return figure
    count = found.mean_ranks.size
    _axis(axes, count, found.difference)
    edge = side * (count - 1) / (width - 2 * side)
    axes.set_xlim(1 - edge, count + edge)
    lowest = -0.75 - 0.45 * bars - 0.75 * half
    axes.set_ylim(lowest - 0.3, 1.9)
    for place, group in enumerate(found.groups):
        level = -0.5 - 0.45 * place
        low, high = float(ranks[group[0]]), float(ranks[group[-1]])
        axes.plot([low - 0.01 * count, high + 0.01 * count], [level] * 2, color=style.INK, lw=3.2)
    for place, (name, rank) in enumerate(ranks.items()):
        left = place < half
        level = -1.0 - 0.45 * bars - 0.75 * (place if left else len(ranks) - 1 - place)
        end = 1 - 0.03 * count if left else count + 0.03 * count
        look = looks[str(name)]
        axes.plot([rank, rank, end], [0, level, level], color=look.colour, lw=1.1, clip_on=False)
        axes.plot(end, level, look.mark, color=look.colour, markersize=5.5, clip_on=False)
        axes.annotate(
            f"{names[place]}  {rank:.2f}" if left else f"{rank:.2f}  {names[place]}",
            (end, level),
            xytext=(-7 if left else 7, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            color=style.INK,
            parse_math=False,
        )
    return figure


def _difference_rows(
    found: Statistics,
    ranks: pd.Series[float],
    difference: float,
    looks: Mapping[str, style.Look],
) -> Figure:
    """A row per framework: a line from its mean rank over all that do not differ from it."""
    names = [str(name) for name in ranks.index]
    subtitle = f"{found.comparison.datasets} data sets; CD = {difference:.2f}"
    if found.friedman:
        subtitle += f"; Friedman {found.friedman.text}"
    title = f"{found.title}: critical difference"
    figure = style.sheet(title, subtitle, 8.6, 1.9 + 0.24 * len(names))
    axes = figure.subplots()
    places, values = np.arange(len(names)), ranks.to_numpy(float)
    colours = [looks[name].colour for name in names]
    ends = np.minimum(values + difference, len(names))
    axes.hlines(places, values, ends, colors=colours, linewidth=2.0, alpha=0.45)
    for place, (name, rank) in enumerate(zip(names, values, strict=True)):
        axes.plot(rank, place, looks[name].mark, color=looks[name].colour, markersize=6)
        transform = axes.get_yaxis_transform()
        axes.text(1.02, place, f"{rank:.2f}", transform=transform, **style.small(style.INK))
    axes.set_xlim(0, len(names) + 1)
    axes.set_xlabel(
        "mean rank; a framework does not differ at 0.05 from those whose points its line covers",
        fontsize=9,
        color=style.QUIET,
    )
    style.rows(axes, names)
    return style.laid_out(figure)


def _axis(axes: Axes, count: int, difference: float) -> None:
    """The line of ranks with the critical difference above it."""
    axes.plot([1, count], [0, 0], color=style.INK, lw=1.1)
    step = 1 if count <= 12 else 2
    for rank in range(1, count + 1, step):
        axes.plot([rank, rank], [0, 0.18], color=style.INK, lw=0.9)
        axes.text(rank, 0.3, str(rank), ha="center", va="bottom", fontsize=8.5, color=style.QUIET)
    shown = min(difference, count - 1)
    axes.plot([1, 1 + shown], [1.25, 1.25], color=style.INK, lw=1.6)
    for end in (1, 1 + shown):
        axes.plot([end, end], [1.1, 1.4], color=style.INK, lw=1.1)
    text = f"CD = {difference:.2f}" + (" (wider than the scale)" if shown < difference else "")
    axes.text(1 + shown / 2, 1.45, text, ha="center", va="bottom", fontsize=8.5, color=style.INK)


def elo(found: Statistics, looks: Mapping[str, style.Look]) -> Figure:
    """Elo ratings with 95 % intervals over resampled data sets."""
    table = found.extra.dropna(subset=["elo"])
    table = table.loc[found.mean_ranks.reindex(table.index).sort_values(kind="stable").index]
    table = table.sort_values("elo", ascending=False, kind="stable")
    names = [str(name) for name in table.index]
    figure = style.sheet(
        f"{found.type.capitalize()}: Elo",
        "400 points: odds of 10 to 1 of being better on a data set; lines: 95 %; arrows: unbounded",
        *(8.6, 1.75 + 0.34 * max(len(names), 3)),
    )
    axes = figure.subplots()
    if not names or found.comparison.datasets < 2:
        style.nothing(axes, "A rating needs at least two frameworks and two data sets")
        return style.laid_out(figure)
    values = table[["elo", "elo_low", "elo_high"]].to_numpy(float)
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    room = 0.06 * ((high - low) or 200.0)
    edges = (low - room, high + room)
    for place, name in enumerate(names):
        _rating(axes, place, values[place], edges, looks[name])
        transform = axes.get_yaxis_transform()
        text = style.number(values[place][0], ".0f")
        axes.text(1.02, place, text, transform=transform, **style.small(style.INK))
    axes.set_xlim(low - 1.5 * room, high + 1.5 * room)
    axes.axvline(1000, color=style.QUIET, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    style.rows(axes, names)
    return style.laid_out(figure)


def _rating(
    axes: Axes,
    place: int,
    values: NDArray[np.float64],
    edges: tuple[float, float],
    look: style.Look,
) -> None:
    """A rating and its interval; an unbounded end has an arrow at the edge."""
    rating, low, high = np.clip(values, *edges)
    axes.hlines(place, low, high, color=look.colour, linewidth=2.2, zorder=2)
    for edge, mark in zip(edges, "<>", strict=True):
        sign = -1.0 if mark == "<" else 1.0
        if sign * np.inf in values:
            axes.plot(edge, place, mark, color=look.colour, markersize=6, zorder=2)
    if np.isfinite(values[0]):
        axes.plot(rating, place, look.mark, color=look.colour, markersize=8, zorder=3)
