"""Metrics out of what a command left: JSON, CSV, patterns over what it printed.

    Measuring(json="result.json").read(folder, stdout)    # {"throughput": 812.5, …}

Without a source, the last line of standard output that is a JSON object of numbers, or a number
alone (the metric `value`). Values keep their full precision. Warnings on standard error are in the
log and change nothing here.
"""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from pathlib import Path

STDOUT = "stdout"
LARGEST = 64 * 2**20
_DELIMITERS = (";", "\t", "|", ",")


class MeasureError(BenchmarkError):
    """What the command left holds no metrics."""


@dataclass(frozen=True)
class Measuring:
    """Where metrics are: files in the work folder, or "stdout".

    `row` is the line of the CSV (None: the last one) and `header` the line with the names, both
    divided by `delimiter`; with
    `columns` each number is there by its place too: `column_0`, `column_1`. `patterns` are regular
    expressions by metric, whose first group in the last match is the number.
    """

    json: str | None = None
    csv: str | None = None
    delimiter: str = ","
    row: int | None = None
    header: int = 1
    columns: bool = False
    patterns: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it reads."""
        return tuple(name for name in (self.json, self.csv) if name not in (None, STDOUT))

    def read(
        self, folder: Path, stdout: str, texts: dict[str, str] | None = None
    ) -> dict[str, float]:
        """Every number found, by its name; what has a name and is no number goes into `texts`.

        Raises:
            MeasureError: a file is missing or broken, or nothing is found.
        """
        found: dict[str, float] = {}
        texts = {} if texts is None else texts
        if self.json is not None:
            text = _text(folder, stdout, self.json)
            in_lines = self.json == STDOUT
            found |= _last_line(text, texts) if in_lines else _object(text, self.json, texts)
        if self.csv is not None:
            found |= self._row(_text(folder, stdout, self.csv), self.csv, texts)
        for name, pattern in self.patterns.items():
            matches = list(re.finditer(pattern, stdout, re.MULTILINE))
            if not matches:
                raise MeasureError(
                    f"Standard output has nothing that matches '{pattern}' for '{name}'."
                )
            number = finite_number(matches[-1].group(1))
            if number is None:
                raise MeasureError(f"'{matches[-1].group(1)}' for '{name}' is no finite number.")
            found[name] = number
        if self.json is None and self.csv is None and not self.patterns:
            found = _last_line(stdout, texts)
        return found

    def _row(self, text: str, place: str, texts: dict[str, str]) -> dict[str, float]:
        """The numbers of a line by the header's names, spaces in them as underscores."""
        lines = text.splitlines()
        while lines and not lines[-1].strip():
            lines.pop()
        row = len(lines) if self.row is None else self.row
        if len(lines) <= self.header:
            raise MeasureError(
                f"'{place}' has {len(lines)} lines of CSV; a header and a row are needed."
            )
        if row > len(lines):
            raise MeasureError(f"'{place}' has {len(lines)} lines, and no row {row}.")
        header, line = lines[self.header - 1], lines[row - 1]
        names, values = (_cells(text, place, self.delimiter) for text in (header, line))
        names = [re.sub(r"\W+", "_", name.strip()) for name in names]
        cells = dict(zip(names, values, strict=False))
        if self.columns:
            cells |= {f"column_{n}": value for n, value in enumerate(values)}
        for name, cell in cells.items():
            if finite_number(cell) is None:
                texts[name] = json.dumps(cell.strip()[:80], ensure_ascii=False)
        found = {name: finite_number(text) for name, text in cells.items()}
        numbers = {name: number for name, number in found.items() if number is not None}
        other = next((mark for mark in _DELIMITERS if mark in header and len(names) == 1), None)
        if not numbers and other is not None and other != self.delimiter:
            raise MeasureError(
                f"'{place}' has one column only, '{header.strip()[:80]}'; if {other!r} divides its "
                f"columns, give 'metrics' the delimiter {json.dumps(other)}."
            )
        if not numbers:
            raise MeasureError(
                f"'{place}' has no number in line {row}, '{line.strip()[:80]}'; its columns are "
                f"{', '.join(names)}."
            )
        return numbers


def _cells(line: str, place: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error as error:
        raise MeasureError(f"'{place}' is no CSV: {error}.") from None


def _text(folder: Path, stdout: str, place: str) -> str:
    if place == STDOUT:
        return stdout
    path = folder / place
    try:
        # A link could lead the trusted side out of the trial's folder.
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise MeasureError(f"The command left no file '{place}'.")
        if path.stat().st_size > LARGEST:
            raise MeasureError(f"The file '{place}' is larger than {LARGEST // 2**20} MB.")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MeasureError(f"The file '{place}' cannot be read: {error.strerror}.") from None


def _object(text: str, place: str, texts: dict[str, str]) -> dict[str, float]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MeasureError(f"The file '{place}' is not JSON: {error}.") from None
    found = _numbers(values, texts)
    if not found:
        raise MeasureError(f"The file '{place}' holds no numbers by name.")
    return found


def _last_line(stdout: str, texts: dict[str, str]) -> dict[str, float]:
    lines = stdout.strip().splitlines()
    for line in reversed(lines):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            continue
        strange: dict[str, str] = {}
        found = _numbers(values, strange)
        if found:
            texts |= strange
            return found
    if not lines:
        raise MeasureError("The command printed nothing on standard output.")
    raise MeasureError(
        f"No line of standard output is a JSON object of numbers or a number; the last is "
        f"'{lines[-1].strip()[:120]}'."
    )


def _numbers(values: Any, texts: dict[str, str], prefix: str = "") -> dict[str, float]:
    """The finite numbers of a JSON value; those of inner objects as `outer_inner`.

    What is no number is noted in `texts`, by its name.
    """
    if not isinstance(values, dict):
        number = finite_number(values)
        if number is None:
            shown = "a list" if isinstance(values, list) else json.dumps(values)[:80]
            texts[prefix or "value"] = shown
            return {}
        return {prefix or "value": number}
    found: dict[str, float] = {}
    for key, value in values.items():
        found |= _numbers(value, texts, f"{prefix}_{key}" if prefix else str(key))
    return found


def finite_number(value: Any) -> float | None:
    """The finite number that a cell or a JSON value is, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
