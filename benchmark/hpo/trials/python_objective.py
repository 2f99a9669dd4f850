"""A Python objective as Optuna users write it: its request to the sandbox, and what came of it.

With declared tunables the point is given. Without any (define-by-run) the study's sampler goes
into the sandbox with the past trials, and what it suggested comes back with the record; a repeat
is given the point of the first run.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from pathlib import Path
from typing import Any

from benchmark.execution.task_files import TaskFileError, read_left
from benchmark.hpo.objectives import environment
from benchmark.hpo.objectives.metrics.measuring import LARGEST, read_answer
from benchmark.hpo.samplers.algorithms import LEARNS_PRUNED, portable_sampler, pruner_request
from benchmark.hpo.sandboxed import python_trial
from benchmark.hpo.spec.safe import LIMIT
from benchmark.hpo.spec.stop_rules import STOPS
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.hpo.trials.trial_record import Trial, medians
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

REQUEST = "trial-request.json"
# What a record keeps of a trial, however it ended.
KEPT = ("intermediate", "user_attrs", "params", "distributions", "system_attrs")
# What the worker imports takes longer than many an objective.
PRELOAD = ("optuna", "numpy.random")


class History:
    """The trials that have a record, as the sandbox needs them; each record is read once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}

    def of(self, run: Run, definition: StudyDefinition) -> list[dict[str, Any]]:
        """Those that a pruner or, without declared tunables, a sampler learns from."""
        if not definition.is_open and definition.pruner.get("name", "none") == "none":
            return []
        paths = [path for path in run.store.list(f"{run.name}/out") if path not in self._known]
        for path, data in run.store.get_many(paths):
            record = Record.from_bytes(data)
            # The repeats that confirm a best configuration are no trials.
            if record is not None and record.task.isdigit():
                self._known[path] = _past(record)
        return sorted(self._known.values(), key=lambda past: int(past["number"]))


def _past(record: Record) -> dict[str, Any]:
    labels = record.labels
    states = {"success": "COMPLETE", "prune": "PRUNED"}
    return {
        "number": int(record.task),
        "state": states.get(record.status, "FAIL"),
        "values": labels.get("values") if record.status == "success" else None,
        "intermediate": labels.get("intermediate") or {},
        "params": labels.get("params") or {},
        "distributions": labels.get("distributions") or {},
        "system_attrs": labels.get("system_attrs") or {},
        "constraints": labels.get("constraints") or [],
    }


def request(
    definition: StudyDefinition, task: Task, history: list[dict[str, Any]]
) -> dict[str, Any]:
    """The request to the worker in the sandbox; a task of an open study has a point in repeats."""
    pruner = dict(definition.pruner)
    if LIMIT in task.labels:
        bound = "upper" if [*definition.directions.values()] == ["minimize"] else "lower"
        pruner = {"name": "threshold", bound: task.labels[LIMIT]}
    name = pruner.pop("name", "none")
    number = int(task.payload["trial"])
    samples = definition.is_open and not task.payload["params"]
    seed = None if definition.seed is None else (definition.seed + number) % 2**32
    return {
        "study": definition.name,
        "number": number,
        "params": None if samples else task.payload["params"],
        "repeats": definition.is_open and not samples,
        "function": definition.objective.function,
        "directions": list(definition.directions.values()),
        "pruner": pruner_request(name, pruner),
        "sampler": portable_sampler(definition.algorithm, seed, definition.algorithm_options)
        if samples
        else None,
        "has_past": definition.is_open or definition.pruner.get("name", "none") != "none",
        "history": _taught(history, definition) if samples else history,
    }


def _taught(history: list[dict[str, Any]], definition: StudyDefinition) -> list[dict[str, Any]]:
    """The same with failures as infeasible trials of the worst value, as study_sampler.py has it.

    One that ended before it had asked for all tunables would make the others unknown to a sampler
    that looks at all together; it stays a failure. Where there is a pruner, which counts complete
    trials, a failure is an infeasible pruned one for those samplers that learn from such.
    """
    learns_pruned = definition.algorithm in LEARNS_PRUNED
    measured = [past for past in history if past["state"] == "COMPLETE"]
    named = [set(past["params"]) for past in measured]
    whole = set.intersection(*named) if named else {n for past in history for n in past["params"]}
    if definition.algorithm == "optuna_tpe":  # models each tunable alone
        whole = set()

    def is_lesson(past: dict[str, Any]) -> bool:
        reported = past["state"] == "PRUNED" and learns_pruned and past["intermediate"]
        ended = past["state"] in ("FAIL", "PRUNED") and not reported
        return bool(ended and past["params"] and whole <= past["params"].keys())

    if not any(map(is_lesson, history)):
        return history
    broken = {past["number"]: _broken(past["constraints"]) for past in measured}
    worst = [
        (max if way == "minimize" else min)((past["values"][place] for past in measured), default=0)
        for place, way in enumerate(definition.directions.values())
    ]
    has_pruner = definition.pruner.get("name", "none") != "none"
    ended: dict[str, Any] = {"state": "COMPLETE", "values": worst}
    if has_pruner and learns_pruned:
        ended = {"state": "PRUNED", "values": None}
    most = max([0.0, *broken.values()])
    # Of a pruner's trials it is none (see `python_trial._hide`).
    lesson = ended | {"intermediate": {}, "constraints": [most + 1], "is_lesson": True}
    return [
        past | lesson
        if is_lesson(past)
        else past | ({"constraints": [broken[past["number"]]]} if past["number"] in broken else {})
        for past in history
    ]


def _broken(constraints: list[float]) -> float:
    """By how much constraints are broken in all; below 0 where none is."""
    return sum(value for value in constraints if value > 0) or max(constraints, default=-1.0)


def interpreter(run: Run) -> Path:
    """The study's own environment's, built here if it is not there; else the program's.

    Raises:
        SetupError: it cannot be built.
    """
    declared = run.manifest.conditions.get("environment")
    return environment.python_of(declared) if declared else Path(sys.executable)


def script() -> dict[str, Any]:
    """The entry that runs the worker in a fork of an interpreter with PRELOAD."""
    return {"script": str(Path(python_trial.__file__).resolve()), "arguments": [REQUEST]}


def argv(python: Path) -> list[str]:
    """The same in an interpreter of its own."""
    return [str(python), script()["script"], REQUEST]


def measured(trial: Trial) -> dict[str, float] | Record:
    """The values and the numbers among the user's attributes; or the record of one without."""
    outcome = trial.outcome
    answer = read_answer(outcome.folder, python_trial.ANSWER)
    said = _notes(outcome.folder) if answer is None else answer
    # Whatever ended the trial: its point and what it reported are kept.
    for key in KEPT:
        if said.get(key):
            trial.labels[key] = said[key]
    for key, runs in (("user_attrs", trial.attr_runs), ("intermediate", trial.step_runs)):
        runs.append(said.get(key) or {})
        if any(runs):
            trial.labels[key] = medians(runs)
    trial.params |= said.get("params") or {}
    trial.constraint_runs.append(_constraints(said))
    if trial.constraints:
        trial.labels["constraints"] = [*trial.constraints.values()]
    if said.get(STOPS):
        trial.labels[STOPS] = True
    metrics = _metrics(said)
    if outcome.cause is not None:
        return trial.failed(outcome.cause, outcome.message, metrics)
    output = outcome.log.decode(errors="replace")
    if outcome.code:
        why = trial.definition.objective.failure.of_output(output)
        lines = output.strip().splitlines()
        last = f": {lines[-1].strip()[:300]}" if lines else "."
        why = why or said.get("fault") or f"The objective failed{last}"
        return trial.failed(Cause.FRAMEWORK, str(why), metrics)
    if answer is None:
        return trial.failed(Cause.FRAMEWORK, "The objective ended without an answer.", metrics)
    if answer.get("fault"):
        return trial.failed(Cause.FRAMEWORK, str(answer["fault"]), metrics)
    if answer.get("status") == "prune":
        return trial.pruned(answer.get("message") or "The objective pruned it.", metrics)
    return _values(trial, answer, metrics)


def _values(
    trial: Trial, answer: dict[str, Any], metrics: dict[str, float]
) -> dict[str, float] | Record:
    values, names = answer.get("values"), list(trial.definition.directions)
    if not isinstance(values, list) or len(values) != len(names):
        count = len(values) if isinstance(values, list) else 0
        said = (
            f"The objective returned {count} value{'s' * (count != 1)}; the study has "
            f"{len(names)} direction{'s' * (len(names) > 1)}."
        )
        return trial.failed(Cause.FRAMEWORK, said, metrics)
    for value in values:
        if not _is_number(value):
            said = f"The objective returned {value!r}, which is no finite number."
            return trial.failed(Cause.FRAMEWORK, said, metrics)
    found = metrics | dict(zip(names, map(float, values), strict=True))
    declared = trial.definition.objective.measuring.units
    trial.units |= {name: unit for name, unit in declared.items() if name in found}
    return found


def _constraints(said: dict[str, Any]) -> dict[str, float]:
    """What `trial.set_constraint` was called with, by name."""
    prefix = "constraints:"
    return {
        name.removeprefix(prefix): float(value)
        for name, value in (said.get("system_attrs") or {}).items()
        if name.startswith(prefix) and type(value) in (int, float)
    }


def _metrics(said: dict[str, Any]) -> dict[str, float]:
    """The numbers among the user's attributes."""
    attrs = said.get("user_attrs") or {}
    return {str(key): float(value) for key, value in attrs.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _notes(folder: Path) -> dict[str, Any]:
    """What a trial that was killed had said until then, as an answer has it."""
    try:
        lines = (read_left(folder / python_trial.NOTES, LARGEST, cut=True) or b"").splitlines()
    except TaskFileError:
        return {}
    found: dict[str, dict[str, Any]] = {key: {} for key in KEPT}
    for line in lines:
        # The last line may be torn, and the trial could have written anything.
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            kind, key, value = json.loads(line)
            if kind == "params":
                value, found["distributions"][key] = value
            found[kind][key] = value
    return found
