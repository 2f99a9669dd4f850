"""The evaluation of a trial: its objective into the sandbox, metrics and value out of it."""

from __future__ import annotations

import json
import math
import os
import shutil
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import SetupError
from benchmark.execution.mpi import launcher
from benchmark.execution.work import Limits, Outcome, Work
from benchmark.hpo import staging, trial_worker
from benchmark.hpo.algorithms import PRUNERS
from benchmark.hpo.expressions import ExpressionError
from benchmark.hpo.measuring import LARGEST, MeasureError
from benchmark.hpo.objective import filled, plain
from benchmark.hpo.study_file import StudyDefinition, StudyError, define
from benchmark.results import Cause, Record, failure

if TYPE_CHECKING:
    from benchmark.tasks import Run, Task

PATH = "benchmark.hpo.evaluation:TrialEvaluation"
CONFIG_FILE = "trial.json"
_REQUEST = "trial-request.json"
# The shell's own codes for what cannot be started.
_NOT_STARTED = (126, 127)


class TrialEvaluation:
    """A point of a space measured by the study's objective."""

    def __init__(self) -> None:
        self._definitions: dict[str, StudyDefinition] = {}
        self._history: dict[str, dict[str, Any]] = {}

    def prepare(self, task: Task, run: Run) -> Work:
        """The objective's command, with its files and the point laid out in the work folder.

        Raises:
            SetupError: the study's files are not in the store.
        """
        definition = self._definition(run)
        objective, params = definition.objective, task.payload["params"]
        number = int(task.payload["trial"])
        past = self._past(run) if objective.function else []

        def inputs(folder: Path) -> dict[str, Any]:
            try:
                staging.lay_out(run, folder)
            except StudyError as error:
                raise SetupError(str(error)) from None
            place = objective.config_file or CONFIG_FILE
            staging.lay_out_point(folder, place, number, params)
            if objective.function:
                request = _request(definition, number, params, past)
                (folder / _REQUEST).write_text(json.dumps(request), encoding="utf-8")
            return {}

        resources = task.resources
        return Work(
            python=Path(sys.executable),
            entry={"argv": [*_launched(task), *_argv(definition, params, run)]},
            limits=Limits(resources.hard_limit_s, resources.memory_mb, resources.cores),
            seed=number,
            inputs=inputs,
            environment={
                "HPO_TRIAL": str(number),
                **{key: filled(text, params) for key, text in objective.environment.items()},
            },
        )

    def finish(self, task: Task, run: Run, outcome: Outcome) -> Record:
        """The record: metrics as the median of the repeats, values, or why there are none."""
        definition = self._definition(run)
        objective = definition.objective
        work: Work | None = None
        measured: list[dict[str, float]] = []
        extra: dict[str, Any] = {}
        for turn in range(objective.warmups + objective.repeats):
            if turn:
                work = work or self.prepare(task, run)
                outcome = outcome.follow_up(work)
            ended = _ended(task, definition, outcome, extra)
            if ended is not None:
                return ended
            if turn < objective.warmups:
                continue
            try:
                measured.append(_measured(definition, outcome, extra))
            except MeasureError as error:
                return _without_metrics(task, definition, outcome, str(error))
        return _settled(task, definition, outcome, measured, extra)

    def _definition(self, run: Run) -> StudyDefinition:
        if run.name not in self._definitions:
            source = run.manifest.conditions["study"]
            self._definitions[run.name] = define(source, Path(), f"The manifest of {run.name}")
        return self._definitions[run.name]

    def _past(self, run: Run) -> list[dict[str, Any]]:
        """What pruners need of the trials that have a record; each record is read once."""
        paths = [path for path in run.store.list(f"{run.name}/out") if path not in self._history]
        for path, data in run.store.get_many(paths):
            record = Record.from_bytes(data)
            if record is not None and record.status != "failure":
                done = record.status == "success"
                self._history[path] = {
                    "state": "COMPLETE" if done else "PRUNED",
                    "values": record.labels.get("values") if done else None,
                    "intermediate": record.labels.get("intermediate") or {},
                }
        return [past for past in self._history.values() if past["intermediate"]]


def _launched(task: Task) -> list[str]:
    """What starts the ranks of an MPI program; nothing for any other."""
    mpi = task.resources.mpi
    return launcher(mpi, os.environ) if mpi else []


def _argv(definition: StudyDefinition, params: dict[str, Any], run: Run) -> list[str]:
    objective = definition.objective
    if objective.function:
        return [sys.executable, str(Path(trial_worker.__file__).resolve()), _REQUEST]
    argv = [filled(word, params) for word in objective.argv]
    if objective.positional:
        argv += [plain(params.get(name)) for name in definition.space.names]
    # `python` is this interpreter: the one that a user sees may be another, or none.
    if argv[0] in ("python", "python3") and shutil.which(argv[0]) is None:
        argv[0] = sys.executable
    elif argv[0] in run.manifest.conditions["files"]:
        argv[0] = f"./{argv[0].removeprefix('./')}"
    return argv


def _request(
    definition: StudyDefinition, number: int, params: dict[str, Any], past: list[dict[str, Any]]
) -> dict[str, Any]:
    pruner = dict(definition.pruner)
    name = pruner.pop("name", "none")
    if name == "percentile":
        pruner.setdefault("percentile", 25.0)
    return {
        "number": number,
        "params": params,
        "function": definition.objective.function,
        "directions": list(definition.directions.values()),
        "pruner": {"class": PRUNERS[name], **pruner},
        "history": past,
    }


def _facts(outcome: Outcome) -> dict[str, Any]:
    return {
        "peak_memory_mb": outcome.peak_memory_mb,
        "baseline_memory_mb": outcome.baseline_memory_mb,
        "sandbox": outcome.sandbox,
    }


def _labels(task: Task, **more: Any) -> dict[str, Any]:
    return {**task.labels, **more}


def _pruned(task: Task, outcome: Outcome, message: str, **more: Any) -> Record:
    labels = _labels(task, **more)
    return Record(task.key, "prune", message=message, labels=labels, **_facts(outcome))


def _ended(  # noqa: PLR0911
    task: Task, definition: StudyDefinition, outcome: Outcome, extra: dict[str, Any]
) -> Record | None:
    """The record of a run that measured nothing; None where there is something to read."""
    objective = definition.objective
    if outcome.cause is not None:
        return failure(task, outcome.cause, outcome.message, **_facts(outcome))
    if outcome.code in objective.prune_codes:
        return _pruned(task, outcome, f"It ended with the exit code {outcome.code}.")
    if outcome.code:
        lines = outcome.log.decode(errors="replace").strip().splitlines()
        last = f": {lines[-1].strip()[:300]}" if lines else "."
        said = f"The command ended with the exit code {outcome.code}{last}"
        if outcome.code in _NOT_STARTED and not objective.function:
            said = f"The command did not start (exit code {outcome.code}){last}"
        return failure(task, Cause.FRAMEWORK, said, **_facts(outcome))
    if not objective.function:
        return None
    answer = _answer(outcome.folder)
    if answer is None:
        said = "The objective ended without an answer."
        return failure(task, Cause.FRAMEWORK, said, **_facts(outcome))
    extra["intermediate"] = answer.get("intermediate") or {}
    if answer.get("undeclared"):
        said = (
            f"The objective suggests '{answer['undeclared'][0]}', which the study does not "
            "declare; add it to 'tunables'."
        )
        return failure(task, Cause.FRAMEWORK, said, **_facts(outcome))
    if answer.get("status") == "prune":
        said = answer.get("message") or "The objective pruned it."
        return _pruned(task, outcome, said, intermediate=extra["intermediate"])
    extra["answer"] = answer
    return None


def _answer(folder: Path) -> dict[str, Any] | None:
    path = folder / trial_worker.ANSWER
    try:
        if path.is_symlink() or path.stat().st_size > LARGEST:
            return None
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return values if isinstance(values, dict) else None


def _measured(
    definition: StudyDefinition, outcome: Outcome, extra: dict[str, Any]
) -> dict[str, float]:
    """The metrics of one run of the objective.

    Raises:
        MeasureError: there are none.
    """
    if "answer" not in extra:
        output = outcome.log.decode(errors="replace")
        return definition.objective.measuring.read(outcome.folder, output)
    values = extra["answer"].get("values")
    names = list(definition.directions)
    if not isinstance(values, list) or len(values) != len(names):
        count = len(values) if isinstance(values, list) else 0
        raise MeasureError(f"The objective returned {count} values; {len(names)} are needed.")
    for value in values:
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise MeasureError(f"The objective returned {value!r}, which is no finite number.")
    return dict(zip(names, map(float, values), strict=True))


def _without_metrics(
    task: Task, definition: StudyDefinition, outcome: Outcome, message: str
) -> Record:
    """Empty output prunes, as the scripts have it; anything else unusable is a failure."""
    objective = definition.objective
    if not objective.function and not outcome.log.strip():
        return _pruned(task, outcome, message)
    return failure(task, Cause.FRAMEWORK, message, **_facts(outcome))


def _settled(
    task: Task,
    definition: StudyDefinition,
    outcome: Outcome,
    measured: list[dict[str, float]],
    extra: dict[str, Any],
) -> Record:
    objective = definition.objective
    shared = set.intersection(*(set(found) for found in measured))
    metrics: dict[str, float | None] = {
        name: statistics.median(found[name] for found in measured)
        for name in measured[0]
        if name in shared
    }
    spread = {}
    if len(measured) > 1:
        spread = {n: statistics.stdev(found[n] for found in measured) for n in metrics}
    names = {**task.payload["params"], **metrics}
    try:
        if objective.prune is not None and objective.prune.is_true(names):
            said = f"The rule '{objective.prune.text}' holds."
            return _pruned(task, outcome, said, spread=spread)
        values = [_value(definition, name, names) for name in definition.directions]
        constraints = [rule.number(names) for rule in objective.constraints]
    except ExpressionError as error:
        facts = _facts(outcome)
        return failure(task, Cause.FRAMEWORK, str(error), metrics=metrics, **facts)
    for name, value in zip(definition.directions, values, strict=True):
        metrics[name] = value
    labels = _labels(
        task,
        values=values,
        constraints=constraints,
        intermediate=extra.get("intermediate") or {},
        spread=spread,
    )
    return Record(
        task=task.key,
        status="success",
        metric=next(iter(definition.directions)),
        metrics=metrics,
        labels=labels,
        fit_s=outcome.wall_s,
        **_facts(outcome),
    )


def _value(definition: StudyDefinition, name: str, names: dict[str, Any]) -> float:
    """A direction's value: its expression, the metric of its name, or the only metric there is."""
    expression = definition.objective.values.get(name)
    if expression is not None:
        return expression.number(names)
    metrics = {key: value for key, value in names.items() if key not in definition.space.names}
    if name not in metrics and len(metrics) == 1 and len(definition.directions) == 1:
        return float(next(iter(metrics.values())))
    if name not in metrics:
        raise ExpressionError(
            f"There is no metric '{name}' among {', '.join(metrics) or 'none'}; give the objective "
            "a 'value'."
        )
    return float(metrics[name])
