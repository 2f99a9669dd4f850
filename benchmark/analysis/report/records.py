"""The table of all records: its data as JSON in the page, drawn and searched by the script."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from benchmark.analysis.report.html import INFINITE

MOST_ROWS = 100_000
MOST_WORDS = 2_000
# Lists that nobody reads in a cell, and that a figure shows.
LEFT_OUT = ("TRAJECTORY",)
FILTERED = {"MODEL": "framework", "TYPE": "type", "STATUS": "status", "CAUSE": "cause"}
_ANGLE, _AMPERSAND = "\\u003c", "\\u0026"


def records(frame: pd.DataFrame) -> str:
    """The section with search, filters and pages; columns in which nothing stands are left out."""
    shown = frame.iloc[:MOST_ROWS]
    columns = [
        _column(shown[name])
        for name in shown
        if name not in LEFT_OUT and not _is_empty(shown[name])
    ]
    names = [column["name"] for column in columns]
    filters = "".join(
        f'<select data-column="{names.index(name)}" aria-label="{word}">'
        f'<option value="">any {word}</option></select>'
        for name, word in FILTERED.items()
        if name in names and "codes" in columns[names.index(name)]
    )
    text = json.dumps({"rows": len(shown), "columns": columns}, separators=(",", ":"))
    # No content of a script element may close it or open a comment.
    data = text.replace("&", _AMPERSAND).replace("<", _ANGLE)
    cut = (
        f"<p>Of {len(frame):,} records the first {MOST_ROWS:,} are here; all are in the file that "
        "was analysed.</p>"
        if len(frame) > MOST_ROWS
        else ""
    )
    return (
        f'<section class="screen"><h2 id="every">All records</h2>{cut}'
        '<div class="controls"><input type="search" id="search-records" placeholder="Search all '
        f'columns" aria-label="Search all columns">{filters}'
        '<button id="back">Back</button><button id="next">Next</button>'
        '<span id="found-records" role="status"></span></div>'
        '<div class="scroll"><table id="all-records" class="records"><thead></thead>'
        "<tbody></tbody></table></div><noscript><p>The table of all records needs JavaScript; the "
        "records are in the file that was analysed.</p></noscript>"
        f'<script type="application/json" id="records">{data}</script></section>'
    )


def _column(values: pd.Series[Any]) -> dict[str, Any]:
    """A column's values, repeated texts by code."""
    name = str(values.name)
    if pd.api.types.is_numeric_dtype(values):
        return {"name": name, "kind": "number", "values": _numbers(values)}
    codes, words = pd.factorize(values.fillna("").astype(str))
    kind = {"MESSAGE": "message", "MODEL": "name"}.get(name, "")
    if len(words) <= MOST_WORDS:
        texts = [str(word) for word in words]
        return {"name": name, "kind": kind, "words": texts, "codes": codes.tolist()}
    return {"name": name, "kind": kind, "values": [str(value) for value in values.fillna("")]}


def _numbers(values: pd.Series[Any]) -> list[float | int | str | None]:
    """Six digits; JSON has no infinity, so that is a text."""
    if values.dtype.kind in "iu":
        whole: list[float | int | str | None] = values.tolist()
        return whole
    numbers = values.to_numpy(float)
    return [
        (float(f"{value:.6g}") if np.isfinite(value) else _not_finite(value)) for value in numbers
    ]


def _not_finite(value: float) -> str | None:
    return None if np.isnan(value) else INFINITE if value > 0 else f"-{INFINITE}"


def _is_empty(values: pd.Series[Any]) -> bool:
    if pd.api.types.is_numeric_dtype(values):
        return bool(values.isna().all())
    return bool((values.fillna("") == "").all())
