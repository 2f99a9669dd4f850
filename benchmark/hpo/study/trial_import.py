"""Trials that were measured elsewhere, added to a study without being asked.

    mapping = Mapping(rows="results[]", paths={"cpu": "config.cpu", "value": "p99"})
    outcome = import_rows(study, read_rows("export.json", mapping))

A row is CSV, or an element of a JSON of any shape; JMESPath says where things are. The space may
have changed since: a tunable that a row does not have is held at its default, what is no tunable
any more is left out, and a point that the space no longer admits is skipped with the reason. Each
row leaves a record like any other trial's, and is imported once, however often it is offered.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files import json_text
from benchmark.files.input_files import read_bytes
from benchmark.files.safe_text import unguarded_cell
from benchmark.hpo.objectives.metrics.measured_values import cell_number, finite_number
from benchmark.hpo.objectives.objective import cell
from benchmark.hpo.report.columns import METRIC, OWN, columns
from benchmark.hpo.report.export import is_feasible
from benchmark.hpo.space.operators import ExpressionError
from benchmark.hpo.space.search_space import Params
from benchmark.hpo.space.templates import plain
from benchmark.hpo.space.tunables import Tunable, Value
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.trial_record import (
    clear_names,
    two_meanings,
    value_of,
    with_short_names,
)
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Task

STATE = "state"
STATES = {"success": "success", "complete": "success", "failure": "failure", "fail": "failure"}
STATES |= {"error": "failure", "prune": "prune", "pruned": "prune"}
FEASIBLE = "feasible"
# The value in a reason, which differs from row to row.
_VALUE = re.compile(r""" (?:is|has) ('[^']*'|"[^"]*"|[^\s,;]+)""")
_WHOLE = re.compile(r"\s*[+-]?[0-9]+\s*")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class _RowError(Exception):
    """Why one row is skipped."""


class _Cell(str):
    """A cell of a CSV, which has no types; a JSON string is a text and nothing else."""


@dataclass(frozen=True)
class Mapping:
    """Where a file has what: JMESPath to the list of rows, and within a row by our own name.

    For CSV a path is a column. A name without a path is looked for under itself.
    """

    rows: str | None = None
    paths: dict[str, str] = field(default_factory=dict)


@dataclass
class Imported:
    """How many rows were imported, how many were known before, and which were skipped and why."""

    imported: int = 0
    known: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)

    @property
    def reasons(self) -> list[str]:
        """A sentence for each reason, with the number of its rows and the first one."""
        found: dict[str, list[tuple[int, str]]] = {}
        for number, why in self.skipped:
            found.setdefault(_VALUE.sub(" is #", why), []).append((number, why))
        sentences = []
        for rows in found.values():
            number, why = rows[0]
            first = f"row {number} is skipped: {why}."
            more = (
                f"{len(rows)} rows are skipped for one reason; the first one, row {number}: {why}."
            )
            sentences.append(first if len(rows) == 1 else more)
        return sentences


def read_rows(path: str | Path, mapping: Mapping) -> list[dict[str, Any]]:
    """The rows of a file by our own names: CSV by its ending, else JSON.

    Raises:
        BenchmarkError: the file cannot be read, or has no rows there.
    """
    file = Path(path)
    try:
        text = read_bytes(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) else "it is not UTF-8; save it as UTF-8"
        )
        raise BenchmarkError(f"The file {file} cannot be read: {reason}.") from None
    if text.startswith(json_text.BYTE_ORDER_MARK):
        raise BenchmarkError(f"The file {file} has two byte order marks; save it without them.")
    if file.suffix.lower() == ".csv":
        return [_renamed(row, mapping) for row in _csv(text, file)]
    return [_found(row, mapping) for row in _json(text, file, mapping)]


def import_rows(study: Study, rows: list[dict[str, Any]]) -> Imported:
    """Tell the rows to the study, each once; what cannot be is skipped with its reason.

    Raises:
        BenchmarkError: the study has no declared tunables, and so no points to find in rows.
    """
    if study.definition.is_open:
        raise BenchmarkError(
            f"The study '{study.definition.name}' declares no tunables, so that no row's point is "
            "known; declare them, in a study of another name."
        )
    outcome = Imported()
    known, infeasible = set(), set()
    for record in results.records(study.run):
        known.add(digest := record.labels.get("imported"))
        if not is_feasible(record):
            infeasible.add(digest)
    for number, row in enumerate(rows, 1):
        try:
            cells = _Cells(study.definition, row)
            params = _params(study.definition, cells.tunables)
            fact = _Facts(study.definition, cells, params)
        except _RowError as error:
            outcome.skipped.append((number, str(error)))
            continue
        if fact.digest in known or (fact.earlier_digest and fact.earlier_digest in infeasible):
            outcome.known += 1
            continue
        known.add(fact.digest)
        task = study.adopt(params, fact.digest)
        attempt = results.begin(study.run, task)
        study.tell(results.settle(study.run, attempt, fact.record(task)))
        outcome.imported += 1
    return outcome


class _Cells:
    """A row's cells by our own names, under the headings of an export or under the names alone.

    `own` is what an export has beside tunables and metrics.
    """

    def __init__(self, definition: StudyDefinition, row: dict[str, Any]) -> None:
        headed = columns(definition.directions, definition.space.names)
        tunables, directions = (
            {head if head in row else name: name for name, head in names.items()}
            for names in (headed.tunables, headed.directions)
        )
        self.tunables = {name: row[key] for key, name in tunables.items() if key in row}
        rest = [key for key in row if key not in tunables]
        self.own = {key: row[key] for key in rest if key in OWN and key not in directions}
        taken = {*OWN, *headed.directions, *headed.tunables, *row}
        numbers = {key: _number(row[key]) for key in rest if key not in self.own}
        self.digested = {key: value for key, value in numbers.items() if value is not None}
        names = {key: directions.get(key) or _metric_of(key, taken) for key in numbers}
        # A metric's prefixed column counts before a column of its name: that was a tunable's.
        order = sorted(names, key=lambda key: names[key] != key)
        self.metrics = {names[key]: self.digested[key] for key in order if key in self.digested}
        self.others = {name: row[key] for key, name in names.items() if name not in self.metrics}
        """What a row has where a metric belongs, and is no number."""


def _metric_of(key: str, taken: set[str]) -> str:
    """The metric of a column, without the prefix that an export gave it."""
    name = key.removeprefix(METRIC)
    return name if name in taken or name.startswith(METRIC) else key


class _Facts:
    """A row as a trial: its metrics, values and state.

    Raises:
        _RowError: it has none.
    """

    def __init__(self, definition: StudyDefinition, cells: _Cells, params: Params) -> None:
        self._definition = definition
        state = cells.own.get(STATE)
        # 0 and false are no missing cell: 0 is a running trial's state in Optuna's storages.
        stated = "success" if state is None or state == "" else str(state)
        self._state = STATES.get(stated.lower(), "")
        if not self._state:
            raise _RowError(f"its state is {state!r}; there are {', '.join(STATES)}")
        self._metrics, self._others = cells.metrics, cells.others
        self._values: list[float] = []
        self._constraints: list[float] = []
        flags: list[bool] = []
        if self._state == "success":
            self._measure(params)
            flags = [] if _is_feasible(cells.own) else [False]
            if flags and all(value <= 0 for value in self._constraints):
                self._constraints.append(1.0)  # set by a Python objective, by an unknown amount
        content = [params, cells.digested, self._state]
        self.digest = _digest([*content, *flags])
        self.earlier_digest = _digest(content) if flags else None
        """An infeasible row's in earlier versions, which a feasible row has today."""

    def record(self, task: Task) -> Record:
        labels = {**task.labels, "values": self._values, "constraints": self._constraints}
        cause = Cause.FRAMEWORK if self._state == "failure" else None
        message = "" if self._state == "success" else "It ended so where it was measured."
        metrics: dict[str, float | None] = {**self._metrics}
        metrics |= zip(self._definition.directions, self._values, strict=False)
        first = next(iter(self._definition.directions))
        return Record(
            task.key, self._state, cause, message, metric=first, metrics=metrics, labels=labels
        )

    def _measure(self, params: Params) -> None:
        names, unclear = clear_names(self._metrics, params)
        units = self._definition.space.units | self._definition.objective.measuring.units
        units = with_short_names(units, self._metrics)
        try:
            for name in self._definition.directions:
                value = self._metrics.get(name)
                if value is None:
                    value = value_of(self._definition, name, names, self._others, units)
                self._values.append(value)
            rules = self._definition.objective.constraints
            self._constraints = [rule.number(names, units) for rule in rules]
        except ExpressionError as error:
            said = f"{error}{two_meanings(str(error), unclear, self._metrics, params)}"
            said += "".join(
                f" Its '{name}' is {str(value)[:80]!r}, which is no finite number."
                for name, value in self._others.items()
                if f"'{name}'" in said and value is not None and value != ""
            )
            raise _RowError(said.rstrip(".")) from None


def _digest(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _is_feasible(own: dict[str, Any]) -> bool:
    """What a row has as `feasible`; true without it."""
    flag = own.get(FEASIBLE)
    if flag is None or flag == "":
        return True
    found = _FLAGS.get(str(flag).lower())
    if found is None:
        raise _RowError(f"its '{FEASIBLE}' is {flag!r}; write true or false")
    return found


def _params(definition: StudyDefinition, cells: dict[str, Any]) -> Params:
    """A row's point in the space as it is now."""
    space = definition.space

    def value_in(tunable: Tunable) -> Value:
        value = cells.get(tunable.name)
        if tunable.name in cells and tunable.kind == "categorical":
            found = _choices(tunable, value)
            if len(found) == 1:
                return found[0]
            if found:
                raise _RowError(f"'{tunable.name}' is {value!r}, as {len(found)} choices are")
        if value is None or value == "":
            if not tunable.has_default:
                raise _RowError(f"it has no '{tunable.name}', which has no default either")
            return tunable.default
        return _typed(tunable, value)

    params = space.build(value_in)
    fault = space.fault(params)
    if fault is not None:
        raise _RowError(fault.rstrip("."))
    return params


def _choices(tunable: Tunable, value: Any) -> list[Value]:
    """The choices that a JSON value, or a cell's text, may mean.

    Where choices look alike in a cell (1 and "1"), the cell is one of them as JSON.
    """
    if not isinstance(value, _Cell):
        return [tunable.typed(value)] if tunable.admits(value) else []
    alike = [c for c in tunable.choices if value in (plain(c), cell(c), str(c))]
    exact = [c for c in tunable.choices if value == json.dumps(c)]
    return alike if len(alike) == 1 else exact or alike


def _number(value: Any) -> float | None:
    return cell_number(value) if isinstance(value, _Cell) else finite_number(value)


def _typed(tunable: Tunable, value: Any) -> Value:
    """A number as the tunable declares it."""
    if tunable.kind == "categorical":
        raise _RowError(f"'{tunable.name}' is {value!r}, which is none of its choices")
    number = _number(value)
    if number is None:
        raise _RowError(f"'{tunable.name}' is {value!r}, which is no number")
    if tunable.kind == "integer":
        # As it is written: above 2^53 a float would be another number.
        whole = int(value) if _WHOLE.fullmatch(str(value)) else number
        return int(whole) if whole == int(whole) else number
    nearest = tunable.typed(number)
    # An export may have rounded; a value farther from a step than that is another point.
    if isinstance(nearest, (int, float)) and math.isclose(nearest, number, rel_tol=1e-9):
        return nearest
    return number


def _csv(text: str, file: Path) -> list[dict[str, Any]]:
    try:
        header, *lines = csv.reader(
            io.StringIO(text, newline=""), skipinitialspace=True, strict=True
        )
    except csv.Error as error:
        raise BenchmarkError(f"The file {file} is no CSV: {error}.") from None
    except ValueError:
        header, lines = [], []
    names = [unguarded_cell(name.strip()) for name in header]
    twice = [name for name in names if name and names.count(name) > 1]
    if twice:
        raise BenchmarkError(f"The header of {file} has '{twice[0]}' twice; rename one of them.")
    if len(names) == 1 and (marks := [mark for mark in ("\t", ";") if mark in names[0]]):
        raise BenchmarkError(f"{file} has {marks[0]!r} between its columns; save it with commas.")
    rows = []
    for number, line in enumerate((line for line in lines if line), 1):
        if any(line[len(names) :]):
            raise BenchmarkError(
                f"Row {number} of {file} has {len(line)} cells and the header {len(names)}; give "
                "each column a name."
            )
        rows.append(
            {
                name: _Cell(unguarded_cell(cell))
                for name, cell in zip(names, line, strict=False)
                if name
            }
        )
    if not rows:
        raise BenchmarkError(f"The file {file} has no rows below its header.")
    return rows


def _renamed(row: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    for column in mapping.paths.values():
        if column not in row:
            raise BenchmarkError(f"There is no column '{column}'; there are {', '.join(row)}.")
    return row | {name: row[column] for name, column in mapping.paths.items()}


def _json(text: str, file: Path, mapping: Mapping) -> list[Any]:
    try:
        values = json_text.load(text)
    except (ValueError, RecursionError) as error:
        fix = "" if file.suffix == ".json" else " A file of comma-separated values ends in .csv."
        raise BenchmarkError(f"The file {file} is not JSON: {error}.{fix}") from None
    rows = values if mapping.rows is None else _search(mapping.rows, values)
    if isinstance(rows, dict):
        rows = [rows]
    if not isinstance(rows, list) or not rows:
        raise BenchmarkError(
            f"The file {file} has no list of rows"
            + (f" at '{mapping.rows}'." if mapping.rows else "; say where with --rows PATH.")
        )
    return rows


def _found(row: Any, mapping: Mapping) -> dict[str, Any]:
    """What the paths lead to; beside them the row's own keys where it has any."""
    flat = dict(row) if isinstance(row, dict) else {}
    return flat | {name: _search(path, row) for name, path in mapping.paths.items()}


def _search(path: str, value: Any) -> Any:
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        return jmespath.search(path, value)
    except JMESPathError as error:
        said = str(error).splitlines()[0]
        raise BenchmarkError(f"The path '{path}' is no JMESPath: {said}.") from None
