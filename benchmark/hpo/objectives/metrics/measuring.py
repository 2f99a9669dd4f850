"""Metrics out of what a command left: JSON, CSV, patterns over what it printed.

    Measuring(json="result.json").read(folder, stdout)    # {"throughput": 812.5, …}

Without a source, the JSON value that ends standard output: an object of numbers, or a number alone
(the metric `value`). The last line decides: without a finite number there it is a failure, whatever
was printed before it. JSON strings, booleans and null are not numbers. Values keep their full
precision. Warnings on standard error are in the log and change nothing here.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from benchmark.execution.task_files import TaskFileError, read_left
from benchmark.files import json_text
from benchmark.hpo.objectives.metrics import readers
from benchmark.hpo.objectives.metrics.csv_rows import all_rows, one_row
from benchmark.hpo.objectives.metrics.measured_values import (
    MeasureError,
    NotThereError,
    cell_number,
    in_units,
    is_number,
)
from benchmark.hpo.objectives.metrics.pattern_values import of_pattern
from benchmark.hpo.objectives.metrics.prometheus import Prometheus
from benchmark.hpo.objectives.metrics.selections import Selection
from benchmark.hpo.space.units import Unit

STDOUT = "stdout"
# The metric that a number alone is.
BARE = "value"
LARGEST = 64 * 2**20
# Each is looked at together with the lines that it may close.
_MOST_BRACKETS = 20


@dataclass(frozen=True)
class Measuring:
    """Where metrics are: files in the work folder, or "stdout".

    `row` is the line of the CSV (None: the last one) and `header` the line with the names, both
    divided by `delimiter`; with
    `columns` each number is there by its place too: `column_0`, `column_1`. `patterns` are regular
    expressions by metric, whose first group in the last match is the number. `select` are metrics
    selected from the whole JSON document or from rows of the CSV; with any, nothing else is read
    from there. `reader` is the tool, one of READERS, that left `file`. `units` are the units that
    metrics are kept in. `prometheus` is asked for what it saw while the command ran.
    """

    json: str | None = None
    csv: str | None = None
    delimiter: str = ","
    row: int | None = None
    header: int = 1
    columns: bool = False
    patterns: dict[str, str] = field(default_factory=dict)
    select: dict[str, Selection] = field(default_factory=dict)
    reader: str | None = None
    file: str = STDOUT
    units: dict[str, Unit] = field(default_factory=dict)
    prometheus: Prometheus | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it reads."""
        places = (self.json, self.csv, self.file)
        return tuple(name for name in places if name is not None and name != STDOUT)

    def read(
        self,
        folder: Path,
        stdout: str,
        texts: dict[str, str] | None = None,
        units: dict[str, Unit] | None = None,
        window: tuple[float, float] | None = None,
    ) -> dict[str, float]:
        """Every number found, by its name; what has a name and is no number goes into `texts`, and
        the unit of each that has one into `units`. The command ran in the `window`, in seconds
        since 1970.

        Raises:
            UnreachableError: the Prometheus server does not answer.
            MeasureError: a file is missing or broken, or nothing is found.
            PatternError: a pattern takes too long.
        """
        texts = {} if texts is None else texts
        stdout = stdout.removeprefix(json_text.BYTE_ORDER_MARK)
        found: dict[str, Any] = {}
        if self.reader is not None:
            _join(found, self._report(_text(folder, stdout, self.file)))
        others = self.reader or self.csv or self.patterns or self.prometheus
        if self.json is not None or not others:
            _join(found, self._of_json(folder, stdout, self.json or STDOUT))
        if self.csv is not None:
            _join(found, self._of_csv(_text(folder, stdout, self.csv), self.csv))
        for name, pattern in self.patterns.items():
            _join(found, {name: of_pattern(name, pattern, stdout, self.units.get(name))})
        if self.prometheus is not None:
            assert window is not None
            _join(found, self.prometheus.read(window))
        numbers = in_units(found, self.units, {} if units is None else units)
        texts |= {name: _shown(found[name]) for name, number in numbers.items() if number is None}
        return {name: number for name, number in numbers.items() if number is not None}

    def _report(self, text: str) -> dict[str, Any]:
        assert self.reader is not None
        try:
            return dict(readers.read(self.reader, text))
        except readers.ReportError as error:
            # Of an empty text a reader says so, and no other tool printed it.
            other = readers.tool_of(text) if text.strip() else None
            hint = f" It is a report of {other}; write 'reader: {other}'." if other else ""
            raise NotThereError(f"'{self.file}': {error}{hint}", certain=bool(hint)) from None

    def _of_json(self, folder: Path, stdout: str, place: str) -> dict[str, Any]:
        selected = {name: one for name, one in self.select.items() if one.path is not None}
        if not selected and place == STDOUT:
            return _last_value(stdout)
        text = _text(folder, stdout, place)
        if not selected:
            return _object(text, place)
        document = _document(text, place)
        return {
            name: one.in_document(name, document, place, self.units.get(name))
            for name, one in selected.items()
        }

    def _of_csv(self, text: str, place: str) -> dict[str, Any]:
        selected = {name: one for name, one in self.select.items() if one.column is not None}
        if not selected:
            return one_row(
                text,
                place,
                self.delimiter,
                header=self.header,
                row=self.row,
                columns=self.columns,
            )
        names, rows = all_rows(text, place, self.delimiter, self.header)
        return {
            name: one.in_rows(name, names, rows, place, self.units.get(name))
            for name, one in selected.items()
        }


def _text(folder: Path, stdout: str, place: str) -> str:
    if place == STDOUT:
        return stdout
    path = folder / place
    try:
        # A link could lead the trusted side out of the trial's folder.
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise MeasureError(f"The command left no file '{place}'.")
        data = read_left(path.resolve(), LARGEST)
    except TaskFileError as error:
        raise MeasureError(f"The command's file '{place}' cannot be used: {error}") from None
    except OSError as error:
        raise MeasureError(f"The file '{place}' cannot be read: {error.strerror}.") from None
    if data is None:
        raise MeasureError(f"The command left no file '{place}'.")
    text = data.decode("utf-8-sig", "replace")
    if text.startswith(json_text.BYTE_ORDER_MARK):
        raise MeasureError(
            f"The file '{place}' starts with two byte order marks; write it without them."
        )
    return text


def _join(found: dict[str, Any], more: dict[str, Any]) -> None:
    """Add what another source holds.

    Raises:
        MeasureError: both have the name.
    """
    for name in found.keys() & more.keys():
        raise MeasureError(f"'{name}' is measured twice, by two of the sources in 'metrics'.")
    found |= more


def _document(text: str, place: str) -> Any:
    """A whole document; on standard output also the JSON value that ends it."""
    try:
        return json_text.load(text)
    except (ValueError, RecursionError) as error:
        value = _last_text(_lines(text)) if place == STDOUT else None
        if value is not None and not isinstance(error, json_text.InexactError):
            with contextlib.suppress(ValueError, RecursionError):
                return json_text.load(value)
        raise MeasureError(f"'{place}' is not JSON: {error}.") from None


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        found = _leaves(json_text.load(text), f"The file '{place}'")
    except (ValueError, RecursionError) as error:
        raise MeasureError(f"The file '{place}' is not JSON: {error}.") from None
    if not any(map(is_number, found.values())):
        raise MeasureError(f"The file '{place}' holds no finite numbers by name.")
    return found


def _last_value(stdout: str) -> dict[str, Any]:
    """What the JSON value that ends standard output holds, by name.

    Raises:
        MeasureError: it ends otherwise, or the value has no finite number.
    """
    lines = _lines(stdout)
    if not lines:
        raise MeasureError("The command printed nothing on standard output.")
    text = _last_text(lines)
    if text is None:
        raise MeasureError(
            f"Standard output ends with '{lines[-1].strip()[:120]}', which is neither a number nor "
            "a JSON object of numbers; print the result in the last line, or say in 'metrics' "
            "where it is."
        )
    last = f"The last JSON value on standard output, '{' '.join(text.split())[:120]}',"
    try:
        number = cell_number(text)
        found = _leaves(json_text.load(text) if number is None else number, last)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json_text.InexactError):
            raise MeasureError(f"{last} cannot be used: {error}.") from None
        found = {}
    if not any(map(is_number, found.values())):
        raise MeasureError(f"{last} has no finite number.")
    return found


def _lines(text: str) -> list[str]:
    """The lines up to the last that is not empty, without blanks at their ends."""
    lines = [line.rstrip() for line in re.split(r"\r\n|\n|\r", text.rstrip())]
    return lines if any(lines) else []


def _last_text(lines: list[str]) -> str | None:
    """The text of the JSON value that ends the lines: the last one, or those from a bracket alone
    in its line on. None where they end otherwise."""
    if lines and _is_json(lines[-1].strip()):
        return lines[-1].strip()
    brackets = (n for n in reversed(range(len(lines))) if lines[n] in ("{", "["))
    texts = ("\n".join(lines[place:]) for place in islice(brackets, _MOST_BRACKETS))
    return next(filter(_is_json, texts), None)


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


def read_answer(folder: Path, name: str) -> dict[str, Any] | None:
    """What a worker of ours in the sandbox wrote; None where that cannot be trusted or read."""
    try:
        values = json.loads(read_left(folder / name, LARGEST) or b"")
    except (TaskFileError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None
