"""Make text that users, frameworks or stores supply safe to print and to write to a file.

    plain_text(message)        # stored: control characters become U+FFFD, and the length is bounded
    for_terminal(message)      # printed: control characters become \\u001b, which JSON reads back
    guarded_cell("=1+1")       # in a CSV file: "'=1+1"; unguarded_cell returns the original

Control characters include the marks that change the direction of text, and lone surrogates, which
have no UTF-8 form. Tabs and line feeds are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

LONGEST_TEXT = 2000
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
# A space, because readers of CSV may skip it, and what follows is then the start.
_FORMULA = re.compile(r"'*[=+\-@\t\r ]")
_GUARDED = re.compile(r"'+[=+\-@\t\r ]")


def plain_text(text: str, most: int = LONGEST_TEXT) -> str:
    """The text without control characters and lone surrogates, cut after `most` characters."""
    cut = text if len(text) <= most else text[:most] + "…"
    return _CONTROL.sub("\ufffd", cut)


def for_terminal(text: str) -> str:
    """The text with each control character as `\\uXXXX`; inside JSON it keeps its meaning."""
    return (
        text
        if text.isascii() and text.isprintable()
        else _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    )


def guarded_cell(value: Any) -> Any:
    """A cell of a CSV file that no spreadsheet runs as a formula: such text gets a leading `'`.

    Numbers are unchanged, also as text. Text that already has a `'` before such a start gets
    one more, so that `unguarded_cell` returns exactly what was given. Text that begins with a space
    is guarded like a formula.
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _is_number(value):
        return value
    return f"'{value}"


def safe_row(values: Iterable[Any]) -> list[Any]:
    """A row of a CSV file: its texts guarded, and without control characters."""
    return [
        guarded_cell(value if value.isprintable() else _CONTROL.sub("\ufffd", value))
        if type(value) is str
        else value
        for value in values
    ]


def unguarded_cell(text: str) -> str:
    """What `guarded_cell` was given."""
    return text[1:] if _GUARDED.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text == text.strip()
