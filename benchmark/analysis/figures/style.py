"""The style of all figures: colours, marks, hatches of frameworks, titles, rows, frames, files."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmark.errors import BenchmarkError
from benchmark.files.numbers import plain_number
from benchmark.files.output_files import staged

# Okabe & Ito 2008 without black and yellow, which have no contrast; then Tol's muted, for more.
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"),
    *("#332288", "#999933", "#882255", "#44AA99", "#117733", "#AA4499"),
)
# As many marks and hatches as share no divisor with the colours, so that pairs repeat late.
MARKS = ("o", "s", "^", "D", "v", "P", "X", ">", "<", "p", "h")
HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx")
INK, QUIET, GRID, ALARM = "#1f2430", "#667085", "#e4e7ec", "#B42318"
LONGEST_NAME = 28
DOTS_PER_INCH = 160
DASH, INFINITE = "\u2013", "∞"
NO_RESULT = "No result to compare yet"
_NOTHING = "nothing"


PLAIN = "plain"
"""The form of values that keep six digits and have no exponent where that is readable."""


def number(value: Any, form: str = ".4g") -> str:
    """A number as figures, reports and tables show it: a dash if missing, a sign if infinite."""
    if value is None or pd.isna(value):
        return DASH
    if isinstance(value, float | np.floating) and np.isinf(value):
        return f"-{INFINITE}" if value < 0 else INFINITE
    if form == PLAIN:
        return plain_number(float(value))
    # A column of whole numbers with a missing one holds floats.
    return format(int(value) if form.endswith("d") else value, form)


@dataclass(frozen=True)
class Look:
    """The style of one framework in every figure of a run."""

    colour: str
    mark: str
    hatch: str


def looks(names: Iterable[object]) -> dict[str, Look]:
    """A style for each framework, by sorted name; the mark identifies it in black and white."""
    ordered = sorted({str(name) for name in names})
    marks = zip(cycle(PALETTE), cycle(MARKS), cycle(HATCHES), strict=False)
    return {name: Look(*look) for name, look in zip(ordered, marks, strict=False)}


def sheet(title: str, subtitle: str, width: float, height: float) -> Figure:
    """An empty figure, inches, with its title and subtitle at the top left."""
    # matplotlib logs a missing font of a user's matplotlibrc for each text of each figure.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, facecolor="white")
    # The layout and the PNG then share a renderer, which keeps the sizes of texts.
    FigureCanvasAgg(figure)
    style: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False}
    figure.text(0.12 / width, 1 - 0.13 / height, title, size=14, color=INK, weight="bold", **style)
    figure.text(0.12 / width, 1 - 0.43 / height, subtitle, size=9.5, color=QUIET, **style)
    return figure


def laid_out(figure: Figure, below: float = 0.0) -> Figure:
    """Fit the axes below the title with space for the labels; done once, so that saving agrees.

    Args:
        figure: with its axes drawn.
        below: inches to leave at the bottom, for a legend.
    """
    # With its argument `rect` it would lay out all labels a second time. Rows have more space than
    # they need, because the title shrinks it.
    figure.tight_layout(w_pad=2.5, h_pad=2.0)
    height, found = figure.get_figheight(), figure.subplotpars
    figure.subplots_adjust(
        left=found.left + 0.005,
        bottom=found.bottom + (below / height or 0.005),
        right=found.right - 0.015,
        top=found.top - 0.68 / height,
    )
    # It leaves an engine that does nothing, but with which each save draws the figure twice.
    with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
    return figure


def nothing(axes: Axes, text: str = NO_RESULT) -> None:
    """Say that a panel has nothing to show."""
    axes.set_gid(_NOTHING)
    axes.set_axis_off()
    style: dict[str, Any] = {"ha": "center", "va": "center", "transform": axes.transAxes}
    axes.text(0.5, 0.5, text, color=QUIET, fontsize=11, **style)


def is_empty(figure: Figure) -> bool:
    """Whether no panel of a figure shows anything."""
    return all(axes.get_gid() == _NOTHING for axes in figure.axes)


def rows(axes: Axes, names: list[str]) -> None:
    """Framework names on the left, light frame, vertical grid."""
    axes.set_yticks(range(len(names)), [short(name) for name in names])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=10, labelcolor=INK)
    quiet(axes, "x")


def quiet(axes: Axes, grid: Literal["both", "x", "y"] = "both") -> None:
    """Little frame, a light grid behind the data."""
    axes.tick_params(axis="x", length=0, labelsize=9, labelcolor=QUIET)
    if grid != "x":
        axes.tick_params(axis="y", length=0, labelsize=9, labelcolor=QUIET)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)


def plain_powers(axes: Axes, side: Literal["x", "y"] = "x") -> None:
    """Plain numbers at a few ticks of a logarithmic axis, whose limits are known."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis = axes.xaxis if side == "x" else axes.yaxis
    low, high = axes.get_xlim() if side == "x" else axes.get_ylim()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 1000 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_locator(NullLocator())


def _plain(value: float) -> str:
    """A tick without an exponent; a short axis has ticks between the powers: 1.5 is not 2."""
    if value > 10:
        return f"{value:,.0f}"
    return np.format_float_positional(value, 3, unique=False, fractional=False, trim="-")


def heading(axes: Axes, left: str, right: str = "") -> None:
    """A panel's own heading."""
    axes.set_title(left, loc="left", fontsize=11, color=INK, fontweight="bold", parse_math=False)
    axes.set_title(right, loc="right", fontsize=9, color=QUIET, parse_math=False)


def legend(figure: Figure, shown: Mapping[str, Look], columns: int, below: float) -> None:
    """Every framework's colour and mark in a row or a few at the bottom, `below` inches high."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=look.colour, marker=look.mark, linestyle="", markersize=6)
        for look in shown.values()
    ]
    found = figure.legend(
        handles,
        [short(name) for name in shown],
        loc="lower center",
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        bbox_to_anchor=(0.5, 0.0, 0.0, below / figure.get_figheight()),
    )
    for text in found.get_texts():
        text.set_parse_math(False)


def small(colour: str = QUIET) -> dict[str, Any]:
    return {"fontsize": 8.5, "color": colour, "va": "center_baseline", "ha": "left"}


def tint(colour: str, share: float = 0.3) -> tuple[float, float, float]:
    """A colour mixed with white."""
    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return (1 - share * (1 - red), 1 - share * (1 - green), 1 - share * (1 - blue))


def short(name: object, most: int = LONGEST_NAME) -> str:
    """A name of at most so many letters' width."""
    text = " ".join(str(name).split())
    if width(text) <= most:
        return text
    while width(text) > most - 1:
        text = text[:-1]
    return text + "…"


def width(text: str) -> int:
    """The width in letters: those of East Asian scripts take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def save(figure: Figure, folder: str | Path, name: str, *, pdf: bool = True) -> list[Path]:
    """Write a figure as NAME.pdf, unless `pdf` is False, and NAME.png; return their paths.

    Raises:
        BenchmarkError: the folder cannot be written.
    """
    paths = [Path(folder) / f"{name}.{ending}" for ending in (("pdf", "png") if pdf else ("png",))]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # The PNG is first, while the renderer still has the sizes of the texts.
        with staged(paths[-1]) as file:
            _write_png(figure, file)
        if pdf:
            with staged(paths[0]) as file:
                figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    except OSError as error:
        raise BenchmarkError(
            f"The figure {name} cannot be written to {folder}: {error.strerror}; "
            "choose another folder."
        ) from None
    return paths


def _write_png(figure: Figure, path: Path) -> None:
    """Write without the opacity, which is full everywhere and costs a fifth of the encoding.

    A higher level of compression takes three times as long and saves a tenth.
    """
    from PIL import Image

    canvas = figure.canvas
    if not isinstance(canvas, FigureCanvasAgg):  # Not made by `style.sheet`.
        figure.set_dpi(DOTS_PER_INCH)
        canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    dots = np.asarray(canvas.buffer_rgba())[:, :, :3]  # type: ignore[no-untyped-call]
    resolution = (DOTS_PER_INCH, DOTS_PER_INCH)
    Image.fromarray(np.ascontiguousarray(dots)).save(path, "PNG", compress_level=3, dpi=resolution)
