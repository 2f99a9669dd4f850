"""The shell of every report: one HTML file that needs nothing else, written whole or not at all.

html = page("AutoML benchmark", {"figures": "Figures"}, [figure("Ranks", png, "Mean ranks.")])
write_page(html, "report.html")
"""

from __future__ import annotations

import base64
import os
import struct
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.analysis.figures.saving import DOTS_PER_INCH
from benchmark.analysis.report.scripting import SCRIPT
from benchmark.analysis.report.styling import STYLE
from benchmark.errors import BenchmarkError
from benchmark.outputs import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def page(title: str, places: Mapping[str, str], parts: Iterable[str]) -> str:
    """A page of parts that are HTML already.

    Args:
        title: the page's title and first heading.
        places: the links at the top, a word by the id that it leads to.
        parts: what stands below the heading.
    """
    links = "".join(f'<a href="#{place}">{escape(word)}</a>' for place, word in places.items())
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<nav><div>{links}</div></nav><main>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            f"</main><script>{SCRIPT}</script></body></html>",
        ]
    )


def facts_line(facts: Mapping[str, object]) -> str:
    """What is to be said of the whole, a word and its value each."""
    said = " ".join(
        f"<span>{escape(word)} <b>{escape(str(value))}</b></span>" for word, value in facts.items()
    )
    return f'<p class="facts">{said}</p>' if said else ""


def figure(name: str, png: bytes, caption: str) -> str:
    """A figure, embedded, with its caption."""
    image = base64.b64encode(png).decode("ascii")
    # A PNG's size stands after its first 16 bytes; shown so, its text is as large as the page's.
    width, height = (round(dots * 96 / DOTS_PER_INCH) for dots in struct.unpack(">II", png[16:24]))
    return (
        f'<figure><img alt="{escape(f"{name}: {caption}")}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{image}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def write_page(html: str, path: str | Path) -> Path:
    """Write a page, whole or not at all, and return its path.

    Raises:
        BenchmarkError: the file cannot be written.
    """
    target = Path(path)
    place = place_of(target)
    staged = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.write_text(html, encoding="utf-8", errors="replace")
            staged.replace(place)
        finally:
            staged.unlink(missing_ok=True)
    except OSError as error:
        raise BenchmarkError(
            f"The report cannot be written to {path}: {error.strerror}; choose another path."
        ) from None
    return target
