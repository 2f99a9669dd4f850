"""Tables and numbers as HTML; everything that comes from the results is escaped here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.analysis.figures.style import DASH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_MESSAGE = 400
LONGEST_NAME = 32
INFINITE = "∞"


def table(
    rows: pd.DataFrame,
    headings: Mapping[str, str],
    formats: Mapping[str, str],
    *,
    identity: str = "",
    leaders: Sequence[bool] = (),
) -> str:
    """A table that scrolls by itself where it is too wide and sorts by its headings.

    Args:
        rows: its content, already text where `formats` does not name the column.
        headings: by column; others are shown by their own name.
        formats: a format such as ".3f" by column of numbers.
        identity: the id, for filters.
        leaders: which rows are set in bold.
    """
    kinds = [_kind(rows[column], formats) for column in rows]
    head = "".join(
        f"<th{_class(kind)}>{escape(headings.get(str(column), str(column)))}</th>"
        for column, kind in zip(rows, kinds, strict=True)
    )
    cells = [_cells(rows[column], kind, formats) for column, kind in zip(rows, kinds, strict=True)]
    bold = list(leaders) or [False] * len(rows)
    body = "".join(
        f"<tr{_class('leader' if first else '')}>{''.join(line)}</tr>"
        for first, line in zip(bold, zip(*cells, strict=True), strict=True)
    )
    name = f' id="{escape(identity)}"' if identity else ""
    return (
        f'<div class="scroll"><table class="sortable"{name}><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def filter_box(identity: str, what: str) -> str:
    """A field that hides the rows of a table without the words in it."""
    return (
        f'<div class="controls"><input type="search" data-filters="{escape(identity)}" '
        f'placeholder="Filter {escape(what)}" aria-label="Filter {escape(what)}"></div>'
    )


def number(value: Any, form: str = ".4g") -> str:
    if value is None or pd.isna(value):
        return DASH
    if isinstance(value, float | np.floating) and np.isinf(value):
        return f"-{INFINITE}" if value < 0 else INFINITE
    # A column of whole numbers in which one is missing holds floats.
    return format(int(value) if form.endswith("d") else value, form)


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names in a sentence, escaped and bold."""
    shown = [f"<strong>{escape(name)}</strong>" for name in names[:most]]
    if len(names) > most:
        shown.append(f"{len(names) - most} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _kind(values: pd.Series[Any], formats: Mapping[str, str]) -> str:
    """The style of a column; short texts stay on one line."""
    column = str(values.name)
    if column in formats:
        return "number"
    kinds = {"MESSAGE": "message", "LOG": "log", "framework": "name", "MODEL": "name"}
    if column in kinds:
        return kinds[column]
    return "short" if values.astype(str).str.len().max() <= LONGEST_NAME else ""


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""


def _cells(values: pd.Series[Any], kind: str, formats: Mapping[str, str]) -> list[str]:
    if kind == "number":
        form = formats[str(values.name)]
        return [f'<td class="number">{number(value, form)}</td>' for value in values]
    return [
        f"<td{_class(_long(kind, str(value)))}>{escape(cut(str(value)))}</td>" for value in values
    ]


def _long(kind: str, text: str) -> str:
    """A name stays on one line unless it is too long for any."""
    return "name long" if kind == "name" and len(text) > LONGEST_NAME else kind
