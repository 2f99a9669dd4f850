"""Frames as tables of a report; the templates escape everything that comes from the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from markupsafe import Markup

from benchmark.analysis.figures.style import number
from benchmark.templates import macros

PARTS = "report/parts.html"
LONGEST_MESSAGE = 400
LONGEST_NAME = 32


def table(
    rows: pd.DataFrame,
    headings: Mapping[str, str],
    formats: Mapping[str, str],
    *,
    identity: str = "",
    leaders: Sequence[bool] = (),
) -> Markup:
    """A table that scrolls if it is too wide and sorts by its headings.

    Args:
        rows: its content, already text where `formats` does not name the column.
        headings: by column; others are shown by their own name.
        formats: a format such as ".3f" by column of numbers.
        identity: the id, for filters.
        leaders: the rows in bold.
    """
    kinds = [_kind(rows[column], formats) for column in rows]
    names = [headings.get(str(column), str(column)) for column in rows]
    cells = [_cells(rows[column], kind, formats) for column, kind in zip(rows, kinds, strict=True)]
    bold = list(leaders) or [False] * len(rows)
    lines = [
        ("leader" if first else "", line)
        for first, line in zip(bold, zip(*cells, strict=True), strict=True)
    ]
    return macros(PARTS).table(list(zip(kinds, names, strict=True)), lines, identity)


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + "…"


def _kind(values: pd.Series[Any], formats: Mapping[str, str]) -> str:
    """The style of a column; short texts stay on one line."""
    column = str(values.name)
    if column in formats:
        return "number"
    kinds = {"MESSAGE": "message", "LOG": "log", "framework": "name", "MODEL": "name"}
    if column in kinds:
        return kinds[column]
    return "short" if values.astype(str).str.len().max() <= LONGEST_NAME else ""


def _cells(values: pd.Series[Any], kind: str, formats: Mapping[str, str]) -> list[tuple[str, str]]:
    if kind == "number":
        form = formats[str(values.name)]
        return [(kind, number(value, form)) for value in values]
    return [(long_name(text) if kind == "name" else kind, cut(text)) for text in map(str, values)]


def long_name(text: str) -> str:
    """The style of a name, which stays on one line unless it is too long for any."""
    return "name long" if len(text) > LONGEST_NAME else "name"
