"""The evaluation of a benchmark task: data and adapter into the sandbox, metrics out of it."""

from __future__ import annotations

import hashlib
import math
import os
from functools import partial
from pathlib import Path
from typing import Any

from benchmark.config.cache import cache_folder
from benchmark.data import Dataset
from benchmark.data.embedded_suite import FOLDER as EMBEDDED
from benchmark.errors import DataError, SetupError
from benchmark.execution import metrics, own_metric
from benchmark.execution.answer import is_time, read_answer, read_inference
from benchmark.execution.metric_values import UnusablePredictions
from benchmark.execution.shared_tables import Parts, SharedTables
from benchmark.execution.work import Limits, Outcome, Work
from benchmark.files.safe_text import plain_text
from benchmark.records.layout import dataset_path
from benchmark.records.results import Cause, Record, failure
from benchmark.records.tasks import Run, Task
from benchmark.store import FolderStore

_LEADERBOARD_ROWS = 200
_TRAJECTORY_POINTS = 1000
_TIMES = ("setup_s", "fit_s", "predict_s")
# What the worker may call the cause of a failure.
_CAUSES = (Cause.FRAMEWORK, Cause.MEMORY, Cause.SETUP)


class BenchmarkEvaluation:
    """A framework fitted on the training part of a data set and measured on the rest."""

    def __init__(self) -> None:
        self._tables = SharedTables()

    def prepare(self, task: Task, run: Run) -> Work:
        """Training and test rows as mapped Arrow files, the test rows without their target.

        Raises:
            DataError: the data set is not in the store or is not what the manifest names.
            SetupError: the framework's environment cannot be built.
        """
        from benchmark.frameworks import environments, of_entry

        dataset = self._dataset(task, run)
        entry = run.manifest.frameworks[task.payload["framework"]]
        framework = of_entry(entry)
        if framework.content_hash != entry["environment"]:
            raise SetupError(
                f"The adapter or lock of '{entry['name']}' has changed since run '{run.name}' was "
                "planned; start another run with --run NAME."
            )
        environment = environments.ensure(framework)
        resources = task.resources
        own = metrics.own_metric(run.manifest.conditions, dataset.problem_type)

        parts = self._parts(task, run, dataset)

        def inputs(folder: Path) -> dict[str, Any]:  # noqa: ARG001
            return parts.payload() | {
                "problem": {
                    "type": dataset.problem_type,
                    "target": dataset.target,
                    "classes": dataset.classes,
                    "metric": metrics.built_in(run.manifest.conditions, dataset.problem_type),
                    "own_metric": own["name"] if own else None,
                    "seed": task.payload["seed"],
                    "categorical": dataset.categorical,
                    "params": entry.get("params", {}),
                },
                "limits": {
                    "runtime_s": resources.runtime_s,
                    "cores": resources.cores,
                    "memory_mb": resources.memory_mb,
                },
            }

        return Work(
            python=environment.python,
            preload=framework.preload,
            entry={"adapter": str(framework.folder / "adapter.py")},
            limits=Limits(resources.hard_limit_s, resources.memory_mb, resources.cores),
            seed=task.payload["seed"],
            inputs=inputs,
            secrets=framework.secrets,
            shared=(parts.features, parts.target),
            hidden=_with_targets(run),
        )

    def finish(self, task: Task, run: Run, outcome: Outcome) -> Record:
        """The record: metrics from the saved predictions, or why there are none.

        Raises:
            DataError: the files that the task was given have been changed meanwhile.
        """
        if outcome.cause not in (Cause.INTERRUPTED, Cause.INFRASTRUCTURE):
            self._check(task, run, outcome)
        said, fault = _checked(outcome.said)
        description, notes = _described(said, outcome.afterwards)
        problem = run.manifest.datasets[task.payload["dataset"]]["problem"]
        metric = metrics.chosen(run.manifest.conditions, problem)
        own = metrics.own_metric(run.manifest.conditions, problem)
        timing = read_inference(outcome)
        fit_s = _seconds(said, "fit_s")
        facts: dict[str, Any] = {
            "metric": metric.name,
            "import_s": outcome.import_s,
            "setup_s": _seconds(said, "setup_s"),
            "fit_s": fit_s,
            "predict_s": _seconds(said, "predict_s"),
            "overrun_s": None if fit_s is None else max(0.0, fit_s - task.resources.runtime_s),
            "inference_s": timing.total_s,
            "inference_s_per_row": timing.s_per_row,
            "peak_memory_mb": outcome.peak_memory_mb,
            "baseline_memory_mb": outcome.baseline_memory_mb,
            "sandbox": outcome.sandbox,
            "environment_hash": task.environment,
            "dataset_hash": run.manifest.datasets[task.payload["dataset"]]["hash"],
            "version": description.get("version")
            or run.manifest.frameworks[task.payload["framework"]].get("version"),
            "models": description.get("models"),
            "leaderboard": description.get("leaderboard"),
            "objective": description.get("objective"),
            "trajectory": description.get("trajectory"),
        }
        if outcome.cause is not None:
            return failure(task, outcome.cause, outcome.message, **facts)
        if fault is not None:
            return failure(task, *fault, **facts)
        dataset = self._dataset(task, run)
        split = self._parts(task, run, dataset).split
        facts["split_hash"] = split.hash
        try:
            answer = read_answer(dataset, split, outcome)
            values = answer.measured()
        except UnusablePredictions as error:
            return failure(task, Cause.FRAMEWORK, str(error), **facts)
        if metric.needs_probabilities and answer.probabilities is None:
            message = f"It gave no probabilities, which the task's metric {metric.name} needs."
            return failure(task, Cause.FRAMEWORK, message, **facts)
        if timing.cut and "description" in said:
            notes.append(f"Inference timing was cut: {timing.cut}")
        if own is not None:
            memory_mb = task.resources.memory_mb
            value = own_metric.call(own, answer, memory_mb, outcome.follow_up)
            if value.cause is not None:
                return failure(task, value.cause, value.message, metrics=values, **facts)
            values = values | {metric.name: value.number}
            notes += [value.message] if value.message else []
        predictions = answer.to_parquet()
        path = run.predictions_path(task.key, outcome.attempt)
        run.store.put(path, predictions)
        return Record(
            task=task.key,
            status="success",
            message=plain_text(" ".join(notes)),
            metrics=values,
            labels=task.labels,
            predictions=path,
            predictions_sha256=hashlib.sha256(predictions).hexdigest(),
            **facts,
        )

    def close(self) -> None:
        """Let go of the tables; the last process that does removes their files."""
        self._tables.close()

    def _check(self, task: Task, run: Run, outcome: Outcome) -> None:
        """Refuse a result from shared files that a task has changed.

        Root can change a mapped file of a tmpfs so that only its content shows it.
        """
        name = task.payload["dataset"]
        self._tables.check(
            name,
            run.manifest.datasets[name]["hash"],
            run.manifest.conditions["split"],
            task.payload["seed"],
            thoroughly=not outcome.apart and os.geteuid() == 0,
        )

    def _dataset(self, task: Task, run: Run) -> Dataset:
        name = task.payload["dataset"]
        expected = run.manifest.datasets[name]["hash"]
        return self._tables.dataset(name, expected, lambda: _loaded(run, name, expected))

    def _parts(self, task: Task, run: Run, dataset: Dataset) -> Parts:
        return self._tables.parts(dataset, run.manifest.conditions["split"], task.payload["seed"])


def _loaded(run: Run, name: str, expected: str) -> Dataset:
    """The data set from the store, if it is what the run was planned with."""
    from benchmark.data.packed import TABLE, unpack
    from benchmark.execution.published import restored

    dataset, damaged = None, None
    for path in (dataset_path(name, expected), dataset_path(name)):
        try:
            dataset = dataset or unpack(name, partial(_object, run, path))
        except DataError:
            damaged = damaged or path
    if damaged is not None and (dataset is None or dataset.hash != expected):
        dataset = restored(run.store, name, expected)
        if dataset is None:
            raise DataError(
                f"{damaged}{TABLE} in {run.store.url} is damaged; run download-data, which makes "
                "it again."
            )
    if dataset is None:
        raise DataError(f"The data set '{name}' is not in {run.store.url}; run download-data.")
    if dataset.hash != expected:
        raise DataError(
            f"The data set '{name}' in {run.store.url} has the hash {dataset.hash}, but run "
            f"'{run.name}' was planned with {expected}; start another with --run NAME."
        )
    return dataset


def _object(run: Run, path: str, ending: str) -> bytes | None:
    return run.store.get(path + ending)


def _seconds(said: dict[str, Any], name: str) -> float | None:
    """A time that the task reports, if it is one."""
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) else None


def _with_targets(run: Run) -> tuple[Path, ...]:
    """Folders of ours that hold the targets of the test rows: data sets and earlier predictions."""
    cached = cache_folder()
    store = run.store
    own = [store.root / "datasets", store.root / run.name] if isinstance(store, FolderStore) else []
    return (EMBEDDED, cached / "datasets", cached / "openml", *own)


def _checked(said: dict[str, Any]) -> tuple[dict[str, Any], tuple[Cause, str] | None]:
    """What the task reported if it has the worker's form, and why it is no success.

    A task can have written anything there: what has another form is a failure of the framework.
    """
    status, cause, message = (said.get(name) for name in ("status", "cause", "message"))
    if not said:
        return {}, (Cause.FRAMEWORK, "It left no outcome.")
    if status == "failure" and isinstance(message, str) and cause in _CAUSES:
        return {}, (Cause(str(cause)), message)
    classes = said.get("classes")
    wrong = [name for name in _TIMES if not is_time(said.get(name))]
    wrong += ["status"] * (status != "success")
    if classes is not None and not _is_texts(classes):
        wrong.append("classes")
    if wrong:
        named = ", ".join(f"{name}: {said.get(name)!r:.80}" for name in wrong)
        return {}, (Cause.FRAMEWORK, f"What the task left is not an outcome ({named}).")
    return said, None


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _described(said: dict[str, Any], afterwards: str) -> tuple[dict[str, Any], list[str]]:
    """What of describe()'s report has the form that was asked for, and notes on the rest.

    A report that fails takes nothing from the result.
    """
    if said.get("status") != "success":
        return {}, []
    if "description" not in said:
        return {}, [f"describe() did not return. {afterwards}".rstrip()]
    description = said["description"]
    if not isinstance(description, dict):
        return {}, [f"describe() returned {description!r:.80}, not a dict."]
    if "fault" in description:
        return {}, [f"describe() failed: {description['fault']}."]
    board = description.get("leaderboard")
    rows = [row for row in board if isinstance(row, dict)] if isinstance(board, list) else []
    found = {
        "models": description.get("models") if type(description.get("models")) is int else None,
        "leaderboard": rows[:_LEADERBOARD_ROWS] or None,
        "objective": _text(description.get("objective")),
        "version": _text(description.get("version")),
        "trajectory": _trajectory(description.get("trajectory")),
    }
    odd = [name for name, value in found.items() if value is None and description.get(name)]
    return found, [
        f"describe() returned {name} {description[name]!r:.80}, which is unusable." for name in odd
    ]


def _text(value: Any) -> str | None:
    return str(value) if value and isinstance(value, str | int | float) else None


def _trajectory(points: Any) -> list[list[float]] | None:
    """[[seconds, score], ...] of finite numbers; of too many an even choice, the last among it."""
    found = [
        [float(number) for number in point]
        for point in (points if isinstance(points, list) else [])
        if isinstance(point, list)
        and len(point) == 2
        and all(type(number) in (int, float) and math.isfinite(number) for number in point)
    ]
    if len(found) > _TRAJECTORY_POINTS:
        step = (len(found) - 1) / (_TRAJECTORY_POINTS - 1)
        found = [found[round(step * n)] for n in range(_TRAJECTORY_POINTS)]
    return found or None
