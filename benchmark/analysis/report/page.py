"""The frame of every report: one self-contained HTML file, written atomically.

html = page("AutoML benchmark", {"figures": "Figures"}, [figures([("Ranks", png, "Mean ranks.")])])
write_page(html, "report.html")
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.analysis.figures.style import DOTS_PER_INCH
from benchmark.errors import BenchmarkError
from benchmark.files.output_files import place_of, staged
from benchmark.templates import macros, render

if TYPE_CHECKING:
    from markupsafe import Markup


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
    line: Markup = macros("report/parts.html").facts_line(facts)
    return line


def figures(shown: Iterable[tuple[str, bytes, str]]) -> Markup:
    """The section of the figures, embedded: name, PNG and caption of each."""
    pictures = []
    for name, png, caption in shown:
        # A PNG's size follows its first 16 bytes; at this scale its text is as large as the page's.
        size = (round(dots * 96 / DOTS_PER_INCH) for dots in struct.unpack(">II", png[16:24]))
        pictures.append((name, caption, *size, base64.b64encode(png).decode("ascii")))
    section: Markup = macros("report/parts.html").figures(pictures)
    return section


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
