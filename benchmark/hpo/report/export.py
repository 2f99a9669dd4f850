"""Export a study: a row for each trial, each trial's output, and the best configuration."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
import shlex
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.files.numbers import plain_number
from benchmark.files.output_files import staged
from benchmark.files.safe_text import plain_text, safe_row
from benchmark.hpo.objectives.artifacts_key import KEPT, LEFT_OUT
from benchmark.hpo.objectives.objective import VALUE_UNITS, told_apart
from benchmark.hpo.report.columns import Columns, columns
from benchmark.hpo.report.default_runs import CLEAR, default_values, level_of
from benchmark.hpo.space.search_space import identity
from benchmark.hpo.space.templates import plain
from benchmark.hpo.space.units import Unit, from_base, unit_of
from benchmark.hpo.spec.safe import LIMIT
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


LEADER = "leader"
"""Of a record that measured a leading trial again: the key of that trial."""
FRESH = "fresh"
"""Of a trial as `trial_records` has it: its values in the runs that measured it again."""

# A metric alone and its limit: "p99 <= 20 ms".
_LIMIT = re.compile(r"\s*\w+\s*[<>]=\s*(\S.*?)\s*")


def trial_records(run: Run) -> list[Record]:
    """The records of the trials in their order, without the repeats that confirm the best."""
    trials: dict[int, Record] = {}
    fresh: dict[int, list[float]] = {}
    for record in results.records(run):
        if record.task.isdigit():
            trials[int(record.task)] = record
        elif LEADER in record.labels and record.is_result:
            value = record.labels["values"][0] if is_good(record) else math.inf
            fresh.setdefault(int(record.labels[LEADER]), []).append(value)
    for number in fresh.keys() & trials.keys():
        one = trials[number]
        trials[number] = replace(one, labels={**one.labels, FRESH: fresh[number]})
    return [trials[number] for number in sorted(trials)]


def value_text(record: Record, name: str, value: float | None) -> str:
    """A value of a direction as it is shown, with the unit of its metric."""
    unit = (record.labels.get(VALUE_UNITS) or {}).get(name)
    return plain_number(value) + (f" {unit}" if unit else "")


def is_feasible(record: Record) -> bool:
    """Whether every constraint is satisfied."""
    return all(value <= 0 for value in record.labels.get("constraints") or ())


def is_good(record: Record) -> bool:
    """Whether a trial succeeded and every constraint is satisfied."""
    return record.status == "success" and is_feasible(record)


def is_unsafe(record: Record, definition: StudyDefinition) -> bool:
    """Whether a trial of a `safe` study failed, or was worse than the limit that it was given."""
    limit = record.labels.get(LIMIT)
    if limit is None:
        return False
    if not is_good(record):
        return True
    sign = definition.signs[0]
    return bool(sign * record.labels["values"][0] > sign * limit)


def violated(record: Record, definition: StudyDefinition) -> list[str]:
    """The constraints that a trial does not keep, as the study names them.

    Those of a Python objective have no text; they are numbered.
    """
    rules = definition.objective.constraints
    broken = [n for n, amount in enumerate(record.labels.get("constraints") or ()) if amount > 0]
    return [rules[n].text if n < len(rules) else f"constraint {n + 1}" for n in broken]


def infeasible(record: Record, definition: StudyDefinition) -> str:
    """The violated constraints with what was measured: "p99 <= 20 ms (p99 30 ms)"; or empty."""
    declared = definition.objective.measuring.units
    values = {
        rule.text: [
            f"{n} {_in_unit_of(rule.text, number, declared.get(n))}"
            for n in sorted(rule.names)
            if (number := record.metrics.get(n)) is not None
        ]
        for rule in definition.objective.constraints
    }
    parts = [(text, values.get(text)) for text in violated(record, definition)]
    return ", ".join(f"{text} ({', '.join(found)})" if found else text for text, found in parts)


def _in_unit_of(rule: str, number: float, declared: Unit | None) -> str:
    """A measured number with its declared unit, or else in the unit of the constraint's limit."""
    if declared is not None:
        return f"{plain_number(number)} {declared.name}"
    limit = _LIMIT.fullmatch(rule)
    wanted = unit_of(limit[1]) if limit else None
    if wanted is None or not wanted.base:
        return plain_number(number)
    return f"{plain_number(float(from_base(number, wanted)))} {wanted.name}"


def state(record: Record) -> str:
    """How a trial ended, in a word: its cause, "infeasible", or its status."""
    broken = record.status == "success" and not is_feasible(record)
    return "infeasible" if broken else str(record.cause or record.status)


def best(run: Run, definition: StudyDefinition) -> list[Record]:
    """The best feasible successful trial; with several directions the Pareto front."""
    return best_of(trial_records(run), definition)


def best_of(records: list[Record], definition: StudyDefinition) -> list[Record]:
    """The same of records that were read before."""
    signs = definition.signs
    good = [record for record in records if is_good(record)]
    scores = [tuple(s * v for s, v in zip(signs, r.labels["values"], strict=True)) for r in good]
    front: list[tuple[float, ...]] = []
    # In this order none is dominated by a later one, and equal ones are neighbours.
    for score in sorted(set(scores)):
        if not any(dominates(other, score) for other in front):
            front.append(score)
            if len(signs) == 1:
                break
    kept = set(front)
    best = [record for record, score in zip(good, scores, strict=True) if score in kept]
    if len(signs) > 1 or not best:
        return best
    # The fresh runs of the leaders decide: they were not selected by luck. Before each has all of
    # its own (Ctrl-C, a new leader) they would select among some of the leaders.
    again, (current, _) = definition.remeasure, to_measure_again(records, definition)
    if again is None or any(len(one.labels.get(FRESH, ())) < again.runs for one in current):
        return best[:1]
    return [min(current, key=lambda record: fresh_score(record, signs[0]), default=best[0])]


def to_measure_again(
    records: list[Record], definition: StudyDefinition
) -> tuple[list[Record], str]:
    """The leading trials that should run again before one is chosen, and why; [] if none should."""
    again = definition.remeasure
    if again is None:
        return [], ""
    if again.asked:
        return leaders(records, definition, again.top), "'remeasure' says so"
    if not definition.default_every:
        return [], ""
    base, spread = level_of(default_values(records, definition))
    if spread is None:
        return [], ""
    found = leaders(records, definition, again.top, within=CLEAR * spread)
    why = f"they differ by less than the noise of one run, {spread / base:.2%}"
    return (found, why) if len(found) > 1 and spread > 0 else ([], "")


def leaders(
    records: list[Record], definition: StudyDefinition, most: int, within: float | None = None
) -> list[Record]:
    """The best feasible trials at different points; those as near to the best as `within`."""
    sign = definition.signs[0]
    good = [record for record in records if is_good(record)]
    found: dict[Any, Record] = {}
    for record in sorted(good, key=lambda one: sign * float(one.labels["values"][0])):
        found.setdefault(identity(record.labels["params"]), record)
    best = list(found.values())[:most]
    if within is None or not best:
        return best
    limit = sign * float(best[0].labels["values"][0]) + within
    return [one for one in best if sign * float(one.labels["values"][0]) <= limit]


def fresh_score(record: Record, sign: float) -> float:
    """The median of a leader's fresh runs, less is better; infinite where most of them failed."""
    values: list[float] = record.labels[FRESH]
    return statistics.median(value if math.isinf(value) else sign * value for value in values)


def dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether one dominates the other: never larger, and smaller at least once."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def table(records: list[Record], definition: StudyDefinition) -> str:
    """experiment-data.csv: trial, state, values, tunables, metrics, steps, seconds, cause, message.

    What has the name of another column is headed `metric.NAME`, `tunable.NAME` or
    `direction.NAME`. For a trial without a success the metrics are those measured until then. The
    column `steps` exists if trials reported steps.
    """
    headed = headings(records, definition)
    equal = choices(records, definition)
    steps = ["steps"] if any(record.labels.get("intermediate") for record in records) else []
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    head = ["trial", "state", *headed.directions.values(), *headed.tunables.values()]
    tail = ["feasible", "seconds", *steps, "cause", "message"]
    writer.writerow(safe_row([*head, *headed.metrics.values(), *tail]))
    for record in records:
        params, texts = record.labels.get("params") or {}, text_attributes(record)
        row: list[Any] = [record.task, record.status]
        row += [_cell(record.metrics.get(name)) for name in headed.directions]
        row += [
            _choice(params[name], equal.get(name, ())) if name in params else ""
            for name in headed.tunables
        ]
        row += [_cell(record.metrics.get(name)) or texts.get(name, "") for name in headed.metrics]
        row += [plain(is_feasible(record)), _cell(record.total_s)]
        row += [_steps(record) for _ in steps]
        row += [record.cause or "", plain_text(" ".join(record.message.split()))]
        writer.writerow(safe_row(row))
    return sink.getvalue()


def headings(records: list[Record], definition: StudyDefinition) -> Columns:
    """The columns of `table` by direction, tunable, and metric or attribute."""
    metrics = dict.fromkeys(name for r in records for name in (*r.metrics, *text_attributes(r)))
    others = [name for name in metrics if name not in definition.directions]
    return columns(definition.directions, tunable_names(records, definition), others)


def _choice(value: Any, equal: tuple[Any, ...]) -> str:
    """The value of a tunable, as JSON where it has control characters.

    So is "True" beside true, which other programs write as True.
    """
    text = told_apart(value, equal)
    alike = any(text == str(one) and type(one) is not type(value) for one in equal)
    return json.dumps(value) if alike or plain_text(text, len(text)) != text else text


def _steps(record: Record) -> str:
    reported = record.labels.get("intermediate")
    finite = {
        step: value if math.isfinite(value) else str(value)
        for step, value in (reported or {}).items()
    }
    return json.dumps(finite, allow_nan=False) if finite else ""


def text_attributes(record: Record) -> dict[str, str]:
    """The attributes set by a Python objective that are not metrics, as cells."""
    attrs = record.labels.get("user_attrs") or {}
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in attrs.items()
        if name not in record.metrics
    }


def tunable_names(records: list[Record], definition: StudyDefinition) -> list[str]:
    """The declared tunables, then those declared by an objective at run time."""
    found = (name for record in records for name in record.labels.get("params") or {})
    return list(dict.fromkeys([*definition.space.names, *found]))


def choices(records: list[Record], definition: StudyDefinition) -> dict[str, tuple[Any, ...]]:
    """The choices of each categorical tunable, declared in the study or by objectives."""
    found = {tunable.name: tunable.choices for tunable in definition.space.tunables}
    asked: dict[str, dict[tuple[type, Any], None]] = {}
    known: set[tuple[str, str]] = set()
    for record in records if definition.is_open else ():
        distributions = (record.labels.get("distributions") or {}).items()
        new = {(name, text) for name, text in distributions} - known
        known |= new
        for name, text in sorted(new):
            # Written by the objective's process, so it may contain anything.
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
                own = json.loads(text)["attributes"].get("choices", ())
                asked.setdefault(name, {}).update(((type(one), one), None) for one in own)
    return found | {name: tuple(one for _, one in own) for name, own in asked.items()}


def configuration(record: Record) -> dict[str, Any]:
    """A trial as JSON: number, values, tunables; the values of fresh runs, None for a failure."""
    fresh = record.labels.get(FRESH)
    more = {FRESH: [None if math.isinf(value) else value for value in fresh]} if fresh else {}
    also = (KEPT, LEFT_OUT, VALUE_UNITS)
    more |= {key: record.labels[key] for key in also if key in record.labels}
    return {
        "trial": int(record.task),
        "values": record.labels.get("values"),
        "params": record.labels.get("params"),
        **more,
    }


def as_environment(record: Record) -> str:
    """A trial's tunables as lines NAME=value that a shell can read.

    A name that is not a shell variable's, such as `thread-pool.size`, is not changed: containers
    accept it. Its value is in one line, so that one with a line feed is a comment.
    """
    params = record.labels.get("params") or {}
    return "".join(f"{_assigned(name, plain(value))}\n" for name, value in params.items())


def _assigned(name: str, text: str) -> str:
    if _VARIABLE.fullmatch(name):
        return f"{name}={shlex.quote(text)}"
    if {"\n", "\r"} & {*text}:
        return f"# '{name}' is {json.dumps(text)}, which has no place in a line of this file."
    return f"{name}={text}"


def as_arguments(record: Record, definition: StudyDefinition) -> str:
    """A trial's tunables on one line, quoted for a shell: positional, or --name=value."""
    params = record.labels.get("params") or {}
    if definition.objective.positional:
        words = [plain(params.get(name)) for name in definition.space.names]
    else:
        words = [f"--{name}={plain(value)}" for name, value in params.items()]
    return shlex.join(words) + "\n"


def write(run: Run, definition: StudyDefinition, folder: Path) -> list[Path]:
    """Write the files of an export and return their paths; those of the best if there is one.

    `output.txt` holds what the last trial printed, `total-output.txt` what all did, in their order.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = trial_records(run)
    texts = {"experiment-data.csv": table(records, definition)}
    found = best_of(records, definition)
    if found:
        found_best: Any = [configuration(record) for record in found]
        only = len(definition.directions) == 1
        texts["best.json"] = json.dumps(found_best[0] if only else found_best, indent=2) + "\n"
        if only:
            texts["best.env"] = as_environment(found[0])
            texts["best.args"] = as_arguments(found[0], definition)
    for name, text in texts.items():
        with staged(folder / name) as file:
            file.write_text(text, encoding="utf-8")
    outputs = [folder / "output.txt", folder / "total-output.txt"]
    last = b""
    # One at a time: the output of a thousand trials may not fit into memory.
    with staged(outputs[1]) as file, file.open("wb") as total:
        for record in records:
            if record.log:
                last = run.store.get(record.log) or b""
                total.write(last)
    with staged(outputs[0]) as file:
        file.write_bytes(last)
    return [*(folder / name for name in texts), *outputs]


def _cell(value: float | None) -> str:
    """A number in its full precision."""
    return "" if value is None else repr(value)
