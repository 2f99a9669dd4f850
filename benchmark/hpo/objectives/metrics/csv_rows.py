"""CSV that a command left: one row by the names of its header, or all rows."""

from __future__ import annotations

import csv
import json
import re
from typing import Any

from benchmark.hpo.objectives.metrics.measured_values import MeasureError, is_number, number_or_text

_DELIMITERS = (";", "\t", "|", ",")


def one_row(
    text: str, place: str, delimiter: str, *, header: int, row: int | None, columns: bool
) -> dict[str, Any]:
    """The cells of a line (None: the last) by the header's names, spaces in them as underscores.

    With `columns` each is there by its place too: `column_0`, `column_1`.

    Raises:
        MeasureError: there is no such line, it has no number, or names are not clear.
    """
    lines = _lines(text)
    row = len(lines) if row is None else row
    if len(lines) <= header:
        raise MeasureError(
            f"'{place}' has {len(lines)} lines of CSV; a header and a row are needed."
        )
    if row > len(lines):
        raise MeasureError(f"'{place}' has {len(lines)} lines, and no line {row} (from 1 on).")
    head, line = lines[header - 1], lines[row - 1]
    names, values = (_cells(text, place, delimiter) for text in (head, line))
    names = [plain_name(name) for name in names]
    cells = _named(names, values, place, columns)
    if columns:
        cells |= {f"column_{n}": value for n, value in enumerate(values)}
    found = {name: number_or_text(cell) for name, cell in cells.items()}
    if any(is_number(value) for value in found.values()):
        return found
    other = next((mark for mark in _DELIMITERS if mark in head and len(names) == 1), None)
    if other is not None and other != delimiter:
        raise MeasureError(
            f"'{place}' has one column only, '{head.strip()[:80]}'; if {other!r} divides its "
            f"columns, give 'metrics' the delimiter {json.dumps(other)}."
        )
    raise MeasureError(
        f"'{place}' has no number in line {row}, '{line.strip()[:80]}'; its columns are "
        f"{', '.join(names)}."
    )


def all_rows(text: str, place: str, delimiter: str, header: int) -> tuple[list[str], list[Any]]:
    """The header's names as they are, and all rows below it as lists of cells.

    Raises:
        MeasureError: there is no row, or one has more cells than the header.
    """
    lines = _lines(text)[header - 1 :]
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=True))
    except csv.Error as error:
        raise MeasureError(f"'{place}' is no CSV: {error}.") from None
    if len(rows) < 2:
        raise MeasureError(f"'{place}' has no row below its header, line {header}.")
    names = [name.strip() for name in rows[0]]
    for number, row in enumerate(rows[1:], header + 1):
        if len(row) > len(names):
            raise MeasureError(
                f"Row {number} of '{place}' has {len(row)} cells and the header {len(names)}; give "
                "each column a name, or 'metrics' the right delimiter."
            )
    return names, [row for row in rows[1:] if row]


def plain_name(name: str) -> str:
    """A name that expressions can use: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name.strip())


def _lines(text: str) -> list[str]:
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def _named(names: list[str], values: list[str], place: str, columns: bool) -> dict[str, str]:
    """The cells by name. With `columns` a name that stands twice is known by its places only.

    Raises:
        MeasureError: a name stands twice, or the row has more cells than the header.
    """
    whole = [*names, *(f"column_{n}" for n in range(len(values) if columns else 0))]
    twice = {name for name in names if name and whole.count(name) > 1}
    if twice and not columns:
        raise MeasureError(
            f"The header of '{place}' has '{min(twice)}' twice; rename one, or give 'metrics' "
            "columns: true, which names columns by their places (column_0, column_1)."
        )
    if not columns and any(value.strip() for value in values[len(names) :]):
        raise MeasureError(
            f"'{place}' has {len(values)} cells in a row and {len(names)} in the header; give "
            "each column a name, or 'metrics' the right delimiter."
        )
    pairs = zip(names, values, strict=False)
    return {name: value for name, value in pairs if name and name not in twice}


def _cells(line: str, place: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error as error:
        raise MeasureError(f"'{place}' is no CSV: {error}.") from None
