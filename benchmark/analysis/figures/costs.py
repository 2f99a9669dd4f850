"""Costs: prediction time against score, fit time against the budget, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmark.analysis.figures import labels, style
from benchmark.analysis.type_statistics import Statistics

CAUSES = (
    *("framework", "timeout", "memory", "data", "setup", "interrupted", "infrastructure"),
    *("unknown", "no score"),
)
CAUSE_COLOURS = dict(
    zip(
        CAUSES,
        (
            *("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#999933"),
            *("#98a2b3", "#F0E442"),
        ),
        strict=True,
    )
)
CAUSE_HATCHES = dict(
    zip(CAUSES, ("", "////", "xxxx", "....", "\\\\\\\\", "----", "||||", "oo", "++++"), strict=True)
)

MOST_NAMED = 20
BEST_NAMED = 10


def pareto(
    found: Statistics, seconds: pd.Series[float], what: str, looks: Mapping[str, style.Look]
) -> Figure:
    """Median prediction time against the median scaled score, with the Pareto front.

    Args:
        found: the statistics of a task type.
        seconds: the median time by framework.
        what: what is timed, for the axis.
        looks: by framework.
    """
    scores = found.scores.replace([np.inf, -np.inf], np.nan)
    table = pd.DataFrame(
        {
            **{"seconds": seconds, "score": scores.median()},
            **{"low": scores.quantile(0.25), "high": scores.quantile(0.75)},
        }
    ).dropna()
    table = table.sort_values(["seconds", "score"], ascending=[True, False])
    positive = table.loc[table["seconds"] > 0, "seconds"]
    # A logarithmic axis has no 0; a clock that measured 0 s is drawn left of all others.
    table["x"] = table["seconds"].where(table["seconds"] > 0, positive.min() / 3).fillna(1.0)
    figure = style.sheet(
        f"{found.title}: prediction time against score",
        "Up and left is better; the line joins the frameworks that none other beats in both"
        + (f"; named: those and the {BEST_NAMED} best scores" if len(table) > MOST_NAMED else ""),
        *(8.6, 5.8),
    )
    axes = figure.subplots()
    if len(found.scores.columns) < 2 or table.empty:
        style.nothing(axes, "No two frameworks have a prediction time and a score")
        return style.laid_out(figure)
    front = table[table["score"] > table["score"].cummax().shift(fill_value=-np.inf)]
    axes.set_xscale("log")
    axes.step(front["x"], front["score"], where="post", color=style.QUIET, lw=1.1, zorder=1)
    bottom = _contest(table["score"])
    axes.set_xlim(*_room(list(table["x"])))
    axes.set_ylim(bottom, 1.0 + 0.06 * (1.0 - bottom))
    lowest = bottom + 0.02 * (1 - bottom)
    table["y"] = table["score"].where(table["score"] >= bottom, lowest)
    best = table.sort_values("score", ascending=False)
    named = best
    if len(table) > MOST_NAMED:
        named = best[best.index.isin([*front.index, *best.index[:BEST_NAMED]])]
    for name, row in table.iterrows():
        look, known = looks[str(name)], name in named.index
        axes.plot(row["x"], row["y"], look.mark, color=look.colour, markersize=9 if known else 5)
        if known and row["score"] >= bottom:
            axes.vlines(row["x"], row["low"], row["high"], color=look.colour, lw=1.4, alpha=0.5)
    style.plain_powers(axes)
    axes.set_xlabel(what, fontsize=9, color=style.QUIET)
    axes.set_ylabel(
        "median scaled score; bars: middle half of data sets", fontsize=9, color=style.QUIET
    )
    style.quiet(axes)
    style.laid_out(figure)
    texts = [(row["x"], row["y"], _label(name, row, bottom)) for name, row in named.iterrows()]
    drawn = named[named["score"] >= bottom]
    lines = np.vstack([_steps(front), drawn[["x", "low", "x", "high"]].to_numpy(float)])
    labels.beside(figure, axes, texts, table[["x", "y"]].to_numpy(float), lines)
    return figure


def _steps(front: pd.DataFrame) -> NDArray[np.float64]:
    """The lines of the front, each as x, y, x, y: to the right of a point, then up to the next."""
    x, y = front["x"].to_numpy(float), front["score"].to_numpy(float)
    right, up = np.column_stack([x[:-1], y[:-1]]), np.column_stack([x[1:], y[:-1]])
    return np.vstack([np.hstack([right, up]), np.column_stack([up, x[1:], y[1:]])])


def _label(name: object, row: pd.Series[float], bottom: float) -> str:
    """A name, and what its place in the figure does not show."""
    notes = ["0 s"] if row["seconds"] <= 0 else []
    notes += [f"\u2193 {row['score']:.2f}"] if row["score"] < bottom else []
    return style.short(name) + (f" ({', '.join(notes)})" if notes else "")


def _contest(scores: pd.Series[float]) -> float:
    """The lower end of an axis that shows the better half of the frameworks well."""
    top, middle = float(scores.max()), float(scores.median())
    return float(min(max(scores.min(), middle - 2 * (top - middle)), top - 0.1)) - 0.02


def prediction_seconds(frame: pd.DataFrame) -> tuple[pd.Series[float], str]:
    """The median prediction time by framework, and the axis label for it.

    A row's time at the largest batch that most frameworks have a time of, else the whole test
    part's.
    """
    named = {str(column).removeprefix("INFERENCE_S_"): str(column) for column in frame.columns}
    sizes = {int(size): column for size, column in named.items() if size.isdecimal()}
    rows = frame[frame["STATUS"] == "success"] if "STATUS" in frame.columns else frame
    medians = {size: rows.groupby("MODEL")[column].median() for size, column in sizes.items()}
    counts = {size: int(times.notna().sum()) for size, times in medians.items()}
    # A slow model may have no time at the largest batches, but must be shown.
    for size in sorted(sizes, key=lambda size: (counts[size], size), reverse=True):
        if counts[size]:
            return medians[size], f"seconds per row in batches of {size:,}, median"
    if "PREDICT_S" in rows.columns:
        return rows.groupby("MODEL")["PREDICT_S"].median(), "seconds for a test part, median"
    return pd.Series(dtype=float), ""


def fit_times(frame: pd.DataFrame, looks: Mapping[str, style.Look]) -> Figure:
    """Boxes of fit times, with the budget and the share of fits that exceeded their own budget."""
    rows = frame[frame["FIT_S"].notna() & (frame["FIT_S"] > 0)]
    by_name = {str(name): values.to_numpy(float) for name, values in rows.groupby("MODEL")["FIT_S"]}
    names = sorted(by_name, key=lambda name: float(np.median(by_name[name])))
    budgets, limits = limits_of(rows, "RUNTIME"), limits_of(rows, "HARD_LIMIT")
    text = ", ".join(f"{value:g} s" for value in budgets[:3]) or "not recorded"
    figure = style.sheet(
        "Fit time",
        f"{len(rows):,} fits; budget {text}; whiskers: 5 % and 95 % of fits",
        *(8.6, 1.9 + 0.34 * max(len(names), 3)),
    )
    axes = figure.subplots()
    if not names:
        style.nothing(axes, "No fit time is recorded")
        return style.laid_out(figure)
    axes.set_xscale("log")
    drawn = [*rows["FIT_S"], *budgets[:3], *limits[:3]]
    axes.set_xlim(*_room([value for value in drawn if value > 0]))
    for place, name in enumerate(names):
        _time_box(axes, by_name[name], place, looks[name])
    if budgets:
        _overruns(axes, rows, names)
    for values, line in ((budgets[:3], (0, (4, 3))), (limits[:3], (0, (1, 2)))):
        for value in values:
            axes.axvline(value, color=style.ALARM, linewidth=1.0, linestyle=line, zorder=1)
    axes.set_xlabel(
        "seconds; dashed: budget, dotted: hard limit" if budgets else "seconds",
        fontsize=9,
        color=style.QUIET,
    )
    style.rows(axes, names)
    style.plain_powers(axes)
    return style.laid_out(figure)


def _room(values: Sequence[float]) -> tuple[float, float]:
    """Limits of a logarithmic axis: a twentieth more on each side; space around a single value."""
    low, high = min(values), max(values)
    more = max((high / low) ** 0.05, 1.5)
    return low / more, high * more


def _overruns(axes: Axes, rows: pd.DataFrame, names: list[str]) -> None:
    """Write right of each row the share of its fits that exceeded their budget."""
    budget = pd.to_numeric(rows["RUNTIME"], errors="coerce")
    shares = (rows["FIT_S"] > budget).groupby(rows["MODEL"].astype(str)).mean()
    transform = axes.get_yaxis_transform()
    axes.text(1.02, -0.75, "over", transform=transform, **style.small())
    for place, name in enumerate(names):
        over = float(shares[name])
        text = f"{over:.0%}" if over >= 0.005 else "<1%" if over else style.DASH
        colour = style.ALARM if over else style.QUIET
        axes.text(1.02, place, text, transform=transform, **style.small(colour))


def _time_box(axes: Axes, values: np.ndarray, place: int, look: style.Look) -> None:
    low, first, middle, third, high = np.percentile(values, [5, 25, 50, 75, 95])
    axes.hlines(place, low, high, color=look.colour, linewidth=1.1)
    axes.barh(
        *(place, third - first),
        left=first,
        height=0.6,
        color=style.tint(look.colour),
        edgecolor=look.colour,
        linewidth=1.1,
        hatch=look.hatch,
        hatch_linewidth=0.5,
    )
    axes.vlines(middle, place - 0.3, place + 0.3, color=look.colour, linewidth=2.4)


def limits_of(frame: pd.DataFrame, column: str) -> list[float]:
    """The limits that the rows name."""
    if column not in frame.columns:
        return []
    values = pd.to_numeric(frame[column], errors="coerce").dropna().unique()
    return sorted(float(value) for value in values)


def failures(absent: pd.DataFrame) -> Figure:
    """Tasks without a score by framework and cause: failed, or not run.

    Args:
        absent: counts with a row per framework and a column per cause, see `missing.by_cause`.
    """
    counts = absent[absent.sum(axis=1) > 0]
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    # A file may have causes of its own.
    counts = counts.T.groupby(lambda cause: cause if cause in CAUSES else "unknown").sum().T
    names = [str(name) for name in counts.index]
    figure = style.sheet(
        "Tasks without a score by cause",
        f"{int(absent.to_numpy().sum()):,} tasks ended without a score",
        *(8.6, 2.3 + 0.34 * max(len(names), 3)),
    )
    axes = figure.subplots()
    if not names:
        style.nothing(axes, "No task failed")
        return style.laid_out(figure)
    start = np.zeros(len(names))
    for cause in [cause for cause in CAUSES if cause in counts.columns and counts[cause].any()]:
        values = counts[cause].to_numpy(float)
        axes.barh(
            *(range(len(names)), values),
            left=start,
            height=0.66,
            color=style.tint(CAUSE_COLOURS[cause], 0.55),
            edgecolor=CAUSE_COLOURS[cause],
            hatch=CAUSE_HATCHES[cause],
            hatch_linewidth=0.6,
            label=cause,
        )
        start += values
    for place, total in enumerate(start):
        axes.text(total, place, f" {total:,.0f}", **style.small(style.INK))
    axes.set_xlim(0, float(start.max()) * 1.1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.rows(axes, names)
    found = figure.legend(loc="lower left", ncols=4, frameon=False, fontsize=9)
    for text in found.get_texts():
        text.set_color(style.INK)
    lines = (len(found.get_texts()) + 3) // 4
    return style.laid_out(figure, 0.1 + 0.24 * lines)
