"""Metrics out of what a command left: JSON, CSV, patterns over what it printed.

    Measuring(json="result.json").read(folder, stdout)    # {"throughput": 812.5, …}

Without a source, the last JSON value on standard output: an object of numbers, or a number alone
(the metric `value`). That value decides: one without a finite number is a failure, whatever was
printed before it. JSON strings, booleans and null are not numbers. Values keep their full
precision. Warnings on standard error are in the log and change nothing here.
"""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark import json_text
from benchmark.errors import BenchmarkError
from benchmark.execution.task_files import TaskFileError, read_left
from benchmark.hpo.patterns import Found, last

if TYPE_CHECKING:
    from pathlib import Path

STDOUT = "stdout"
# The metric that a number alone is.
BARE = "value"
LARGEST = 64 * 2**20
_DELIMITERS = (";", "\t", "|", ",")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_NO_NUMBERS = "nan|inf|infinity|null|none|n/a|na|error|failed|undefined"
_LONGEST_LABEL = 80
# Each is looked at together with the lines that it may close.
_MOST_BRACKETS = 20
_OPENING = {"}": "{", "]": "["}


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
            PatternError: a pattern takes too long.
        """
        texts = {} if texts is None else texts
        stdout = stdout.removeprefix(json_text.BYTE_ORDER_MARK)
        found: dict[str, Any] = {}
        if self.json == STDOUT or not (self.json or self.csv or self.patterns):
            _join(found, _last_value(stdout))
        elif self.json is not None:
            _join(found, _object(_text(folder, stdout, self.json), self.json))
        if self.csv is not None:
            _join(found, self._row(_text(folder, stdout, self.csv), self.csv))
        for name, pattern in self.patterns.items():
            found_last = last(pattern, stdout)
            if found_last is None:
                raise MeasureError(
                    f"Standard output has nothing that matches '{pattern}' for '{name}'."
                )
            number = cell_number(found_last.text)
            said = found_last.text if number is None else _unmatched(stdout, found_last)
            if number is None or said is not None:
                raise MeasureError(f"'{(said or '')[:80]}' for '{name}' is not a finite number.")
            _join(found, {name: number})
        numbers = {name: finite_number(value) for name, value in found.items()}
        texts |= {name: _shown(found[name]) for name, number in numbers.items() if number is None}
        return {name: number for name, number in numbers.items() if number is not None}

    def _row(self, text: str, place: str) -> dict[str, Any]:
        """The cells of a line by the header's names, spaces in them as underscores."""
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
        cells = self._named(names, values, place)
        if self.columns:
            cells |= {f"column_{n}": value for n, value in enumerate(values)}
        found = {name: _number_or_text(cell) for name, cell in cells.items()}
        if any(isinstance(value, float) for value in found.values()):
            return found
        other = next((mark for mark in _DELIMITERS if mark in header and len(names) == 1), None)
        if other is not None and other != self.delimiter:
            raise MeasureError(
                f"'{place}' has one column only, '{header.strip()[:80]}'; if {other!r} divides its "
                f"columns, give 'metrics' the delimiter {json.dumps(other)}."
            )
        raise MeasureError(
            f"'{place}' has no number in line {row}, '{line.strip()[:80]}'; its columns are "
            f"{', '.join(names)}."
        )

    def _named(self, names: list[str], values: list[str], place: str) -> dict[str, str]:
        """The cells by name. With `columns` a name that stands twice is known by its places only.

        Raises:
            MeasureError: a name stands twice, or the row has more cells than the header.
        """
        whole = [*names, *(f"column_{n}" for n in range(len(values) if self.columns else 0))]
        twice = {name for name in names if name and whole.count(name) > 1}
        if twice and not self.columns:
            raise MeasureError(
                f"The header of '{place}' has '{min(twice)}' twice; rename one, or give 'metrics' "
                "columns: true, which names columns by their places (column_0, column_1)."
            )
        if not self.columns and any(value.strip() for value in values[len(names) :]):
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
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise MeasureError(f"The file '{place}' cannot be read: {error.strerror}.") from None


def _unmatched(stdout: str, found: Found) -> str | None:
    """What stands for a number after the last match, such as `loss=nan` where loss=([0-9.]+) had
    matched before: the pattern does not see it, and an older number would count."""
    begin = max(found.start, found.group_start - _LONGEST_LABEL)
    label = re.search(r"(\w+)(\W*)$", stdout[begin : found.group_start])
    if label is None:
        return None
    marks = [re.escape(mark) for mark in label[2] if not mark.isspace()]
    wanted = r"\s*".join([rf"\b{re.escape(label[1])}", *marks, rf"([-+]?(?:{_NO_NUMBERS})\b)"])
    later = re.compile(wanted, re.IGNORECASE).search(stdout, found.end)
    return None if later is None else later.group(1)


def _join(found: dict[str, Any], more: dict[str, Any]) -> None:
    """Add what another source holds.

    Raises:
        MeasureError: both have the name.
    """
    for name in found.keys() & more.keys():
        raise MeasureError(f"'{name}' is measured twice, by two of the sources in 'metrics'.")
    found |= more


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        found = _leaves(json_text.load(text), f"The file '{place}'")
    except (ValueError, RecursionError) as error:
        raise MeasureError(f"The file '{place}' is not JSON: {error}.") from None
    if all(finite_number(value) is None for value in found.values()):
        raise MeasureError(f"The file '{place}' holds no finite numbers by name.")
    return found


def _last_value(stdout: str) -> dict[str, Any]:
    """What the last JSON value on standard output holds, by name.

    Raises:
        MeasureError: there is none, it is broken, or it has no finite number.
    """
    lines = [line.rstrip() for line in re.split(r"\r\n|\n|\r", stdout)]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise MeasureError("The command printed nothing on standard output.")
    text = _last_text(lines)
    if text is None:
        raise MeasureError(
            "No line of standard output is a JSON object of numbers or a number; the last is "
            f"'{lines[-1].strip()[:120]}'."
        )
    last = f"The last JSON value on standard output, '{' '.join(text.split())[:120]}',"
    try:
        number = cell_number(text)
        found = _leaves(json_text.load(text) if number is None else number, last)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json_text.RepeatedKeyError):
            raise MeasureError(f"{last} cannot be used: {error}.") from None
        found = {}
    if all(finite_number(value) is None for value in found.values()):
        raise MeasureError(f"{last} has no finite number.")
    return found


def _last_text(lines: list[str]) -> str | None:
    """The text of the last JSON value, also of a broken object: a line, or lines from a bracket
    alone in its line to the one that closes it."""
    tries = _MOST_BRACKETS
    for place in reversed(range(len(lines))):
        text = lines[place].strip()
        if lines[place] in ("{", *_OPENING):
            tries -= 1
            if tries < 0:
                raise MeasureError(
                    "Standard output has too many brackets alone in their lines; print the result "
                    "in one line of JSON."
                )
            text = "\n".join(_bracketed(lines, place))
        if _is_json(text) or re.match(r'\{\s*"', text):
            return text
    return None


def _bracketed(lines: list[str], place: int) -> list[str]:
    """The lines that a bracket alone in its line closes; of one that nothing closes, the rest."""
    if lines[place] == "{":
        return lines[place:]
    begins = (n for n in range(place - 1, -1, -1) if lines[n] == _OPENING[lines[place]])
    return lines[next(begins, place) : place + 1]


def _is_json(line: str) -> bool:
    """Whether a line is a JSON value, or a number as other languages print it (`nan`, `.5`)."""
    try:
        float(line)
    except ValueError:
        pass
    else:
        return True
    try:
        json.loads(line)
    except (ValueError, RecursionError) as error:
        return isinstance(error, RecursionError)
    return True


def _leaves(values: Any, place: str, name: str | None = None) -> dict[str, Any]:
    """The values of a JSON value that are no objects; those of inner objects as `outer_inner`.

    Raises:
        MeasureError: two of them have the same name.
    """
    if not isinstance(values, dict):
        return {BARE if name is None else name: values}
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = _leaves(value, place, key if name is None else f"{name}_{key}")
        for twice in found.keys() & inner.keys():
            raise MeasureError(
                f"{place} has '{twice}' twice, because inner objects are joined as outer_inner; "
                "rename one of the two."
            )
        found |= inner
    return found


def _shown(value: Any) -> str:
    """What stands where a number belongs, as a sentence quotes it."""
    if isinstance(value, list):
        return "a list"
    return json.dumps(value.strip() if isinstance(value, str) else value, ensure_ascii=False)[:80]


def _number_or_text(cell: str) -> float | str:
    number = cell_number(cell)
    return cell if number is None else number


def cell_number(text: str) -> float | None:
    """The finite number that a text is in decimal notation, or None."""
    return finite_number(float(text)) if _DECIMAL.fullmatch(text.strip()) else None


def finite_number(value: Any) -> float | None:
    """The finite number that a JSON value is, or None; a string or a boolean is not one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def read_answer(folder: Path, name: str) -> dict[str, Any] | None:
    """What a worker of ours in the sandbox wrote; None where that cannot be trusted or read."""
    try:
        values = json.loads(read_left(folder / name, LARGEST) or b"")
    except (TaskFileError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
