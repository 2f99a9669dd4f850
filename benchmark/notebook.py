"""Values at a prompt and in a notebook: one line, and an HTML table with a figure."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.files.numbers import plain_number
from benchmark.files.safe_text import for_terminal
from benchmark.templates import macros

if TYPE_CHECKING:
    from markupsafe import Markup

LONGEST_LINE = 160
MOST_ROWS = 20


class Shown:
    """Base of a class with a one-line `repr` and the HTML that notebooks show.

    A dataclass needs `repr=False`, or its own replaces this one.
    """

    def _line(self) -> str:
        """The value in a sentence without a full stop."""
        raise NotImplementedError

    def _html(self) -> Sequence[Markup]:
        """Lines, tables and a figure; see `line`, `heading`, `table` and `picture`."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{cut(for_terminal(self._line()), LONGEST_LINE)}>"

    def _repr_html_(self) -> str:
        return str(macros("notebook.html").shown(self._line(), self._html()))


def cut(text: str, longest: int) -> str:
    """A text on one line, at most this long."""
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def counted(counts: Mapping[str, int]) -> str:
    """ "8 success, 1 timeout", the most frequent first; "none" without any."""
    order = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in order) or "none"


def number(value: Any) -> str:
    """A number to six digits; anything else as text."""
    return plain_number(value)


def line(text: str) -> Markup:
    return macros("notebook.html").line(text)


def heading(text: str) -> Markup:
    return macros("notebook.html").heading(text)


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], most: int = MOST_ROWS) -> Markup:
    """A table of at most `most` rows, escaped; a line says how many more there are."""
    listed = list(rows)
    texts = [[number(value) for value in row] for row in listed[:most]]
    return macros("notebook.html").table(headings, texts, len(listed) - most)


def picture(png: bytes, caption: str) -> Markup:
    """A PNG image in the page itself."""
    return macros("notebook.html").picture(caption, base64.b64encode(png).decode())
