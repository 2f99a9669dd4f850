"""The frame of every report: one self-contained HTML file, written atomically.

html = page("AutoML benchmark", {"figures": "Figures"}, [figures([("Ranks", png, "Mean ranks.")])])
write_page(html, "report.html")
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from markupsafe import Markup

from benchmark.analysis.figures.style import DOTS_PER_INCH
from benchmark.errors import BenchmarkError
from benchmark.files.output_files import place_of, staged
from benchmark.templates import macros, render


def page(title: str, places: Mapping[str, str], parts: Iterable[Markup | str]) -> str:
    """A page of parts that are HTML already.

    Args:
        title: the page's title and first heading.
        places: the links at the top, a word by the id of its target.
        parts: the content below the heading.
    """
    return render("report/page.html", title=title, places=places, parts=[*filter(None, parts)])


def facts_line(facts: Mapping[str, object]) -> Markup:
    """Facts about the whole, a word and its value each."""
    return macros("report/parts.html").facts_line(facts)


def figures(shown: Iterable[tuple[str, bytes, str]]) -> Markup:
    """The section of the figures, embedded: name, PNG and caption of each."""
    pictures = []
    for name, png, caption in shown:
        # A PNG's size follows its first 16 bytes; at this scale its text is as large as the page's.
        size = (round(dots * 96 / DOTS_PER_INCH) for dots in struct.unpack(">II", png[16:24]))
        pictures.append((name, caption, *size, base64.b64encode(png).decode("ascii")))
    return macros("report/parts.html").figures(pictures)


def write_page(html: str, path: str | Path) -> Path:
    """Write a page atomically and return its path.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    target = Path(path)
    place = place_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with staged(place) as file:
            file.write_text(html, encoding="utf-8", errors="replace")
    except OSError as error:
        raise BenchmarkError(
            f"The report cannot be written to {path}: {error.strerror}; choose another path."
        ) from None
    return target


_BOXES = (
    "Further right is better. Each box spans the middle half of a framework's {scores}, its notch "
    "the uncertainty of the median: where two do not overlap, the medians likely differ. Fewer "
    "than five scores are shown as points and their median. Numbers at the left edge, if any, "
    "count scores out of view."
)
_SCATTERS = (
    "Each point is a data set. Points above the dotted line have the larger {value} for the "
    "framework "
    "of the row, {better} for it; points below for that of the column. The numbers count the "
    "data sets that each of the two wins."
)
_CAPTIONS = {
    "Leaderboard": "Further left is better: 1 is the best framework on every data set.",
    "Until": (
        "The share of all data sets (splits with --unit split) that one framework wins against "
        "each other one is inside the band, after each evaluated one. Above the dashed line it "
        "wins more than it loses. A band ends when the question no longer needs the pair. All "
        "bands hold at once with the probability 1 - alpha; claims of best and top:K can need less "
        "than a band that has left the line."
    ),
    "CriticalDifference": (
        "Further left is better. Frameworks under one bar do not differ significantly on these "
        "data sets; CD is the smallest significant difference of mean ranks. With more than 30 "
        "frameworks each has a line of its own, over those behind it that it does not differ from."
    ),
    "ScaledScores": _BOXES.format(scores="scaled scores by the metric that ranks"),
    "RawDataBoxPlotF1_SCORE": _BOXES.format(scores="scaled weighted F1 scores"),
    "RawDataBoxPlotMSE": _BOXES.format(scores="scaled squared errors (1 = the smallest)"),
    "Elo": (
        "Further right is better. Where two lines overlap much, another choice of data sets could "
        "reverse their order."
    ),
    "WinMatrix": (
        "Read a row: above 50 the row's framework beats the column's on most data sets. The best "
        "mean rank is in the first row."
    ),
    "Pareto": (
        "A framework off the line is beaten by one on it that predicts as fast or faster and "
        "scores as well or better. One far below the others is at the lower edge, with its score."
    ),
    "FitTime": (
        "Boxes span the middle half of the fits. Fits right of the dashed line exceeded their "
        "budget; the column at the right shows the share."
    ),
    "ScoreOverTime": (
        "Further left is sooner. Each search is measured by itself, from its first model (0) to "
        "the last improvement (1) of its own validation score, so a line shows when more time "
        "stopped helping that framework and not which framework is better. It starts where half of "
        "the tasks have a model."
    ),
    "Failures": "Longer is worse. A framework without a bar scored on every task.",
    "DatasetMeanF1Score": _SCATTERS.format(value="F1", better="which is better"),
    "DatasetMeanMSE": _SCATTERS.format(value="error", better="which is worse"),
    "DatasetShapes": "Number of data sets by rows and by columns; both scales are logarithmic.",
    "DatasetPerformance": (
        "Higher is better. A line that falls to the right does worse on larger data sets than "
        "others do."
    ),
}


def caption(name: str) -> str:
    """The caption of a figure by the name of its file; "" if unknown."""
    for start in sorted(_CAPTIONS, key=len, reverse=True):
        if name.startswith(start):
            return _CAPTIONS[start]
    return ""
