"""The evaluation of a benchmark task: data and adapter into the sandbox, metrics out of it."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from benchmark.errors import DataError, SetupError
from benchmark.execution import metrics
from benchmark.execution.work import Limits, Outcome, Work
from benchmark.execution.worker.task import PREDICTIONS
from benchmark.results import Cause, Record, failure

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow

    from benchmark.data import Dataset, Split
    from benchmark.tasks import Run, Task

_DATASETS_HELD = 4
_LEADERBOARD_ROWS = 200


def dataset_path(name: str) -> str:
    """Where a data set lies in the store, without its ending."""
    from benchmark.tasks import segment

    return f"datasets/{segment(name)}"


class BenchmarkEvaluation:
    """A framework fitted on the training part of a data set and measured on the rest."""

    def __init__(self) -> None:
        self._datasets: OrderedDict[str, Dataset] = OrderedDict()
        self._splits: OrderedDict[tuple[str, str, int], Split] = OrderedDict()

    def prepare(self, task: Task, run: Run) -> Work:
        """Training and test rows as Arrow files, the test rows without their target.

        Raises:
            DataError: the data set is not in the store or is not what the manifest names.
            SetupError: the framework's environment cannot be built.
        """
        from benchmark.frameworks import environments, registry

        dataset = self._dataset(task, run)
        split = self._split(task, run, dataset)
        entry = run.manifest.frameworks[task.payload["framework"]]
        framework = registry.get(entry["name"], entry.get("paths", ()))
        if framework.content_hash != entry["environment"]:
            raise SetupError(
                f"The adapter or lock of '{entry['name']}' has changed since run '{run.name}' was "
                "planned; start another run with --run NAME."
            )
        environment = environments.ensure(framework)
        resources = task.resources

        def inputs(folder: Path) -> dict[str, Any]:
            table = dataset.table.select([*dataset.features, dataset.target])
            _write_arrow(table.take(split.train), folder / "train.arrow")
            _write_arrow(table.select(dataset.features).take(split.test), folder / "test.arrow")
            return {
                "train": str(folder / "train.arrow"),
                "test": str(folder / "test.arrow"),
                "problem": {
                    "type": dataset.problem_type,
                    "target": dataset.target,
                    "classes": dataset.classes,
                    "metric": _metric(run, dataset.problem_type),
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
        )

    def finish(self, task: Task, run: Run, outcome: Outcome) -> Record:
        """The record: metrics from the saved predictions, or why there are none."""
        said = outcome.said
        description = _described(said)
        problem = run.manifest.datasets[task.payload["dataset"]]["problem"]
        facts: dict[str, Any] = {
            "metric": _metric(run, problem),
            "setup_s": said.get("setup_s"),
            "fit_s": said.get("fit_s"),
            "predict_s": said.get("predict_s"),
            "peak_memory_mb": outcome.peak_memory_mb,
            "baseline_memory_mb": outcome.baseline_memory_mb,
            "sandbox": outcome.sandbox,
            "environment_hash": task.environment,
            "dataset_hash": run.manifest.datasets[task.payload["dataset"]]["hash"],
            "version": description.get("version")
            or run.manifest.frameworks[task.payload["framework"]].get("version"),
            "models": description.get("models"),
            "leaderboard": description.get("leaderboard"),
        }
        if outcome.cause is not None:
            return failure(task, outcome.cause, outcome.message, **facts)
        if said.get("status") != "success":
            cause = Cause(said.get("cause", Cause.FRAMEWORK))
            return failure(task, cause, str(said.get("message", "")), **facts)
        dataset = self._dataset(task, run)
        split = self._split(task, run, dataset)
        facts["split_hash"] = split.hash
        try:
            values, saved = _measure(dataset, split, outcome)
        except metrics.UnusablePredictions as error:
            return failure(task, Cause.FRAMEWORK, str(error), **facts)
        metric = facts["metric"]
        if metrics.METRICS[metric].needs_probabilities and said.get("classes") is None:
            message = f"It gave no probabilities, which the task's metric {metric} needs."
            return failure(task, Cause.FRAMEWORK, message, **facts)
        run.store.put(run.predictions_path(task.key), saved)
        return Record(task=task.key, status="success", metrics=values, labels=task.labels, **facts)

    def _dataset(self, task: Task, run: Run) -> Dataset:
        from benchmark.data import Dataset

        name = task.payload["dataset"]
        expected = run.manifest.datasets[name]["hash"]
        key = f"{name}@{expected}"
        if key not in self._datasets:
            path = dataset_path(name)
            data, description = run.store.get(f"{path}.parquet"), run.store.get(f"{path}.json")
            if data is None or description is None:
                raise DataError(
                    f"The data set '{name}' is not in {run.store.url}; run download-data."
                )
            dataset = Dataset.from_parquet(data, json.loads(description))
            if dataset.hash != expected:
                raise DataError(
                    f"The data set '{name}' in {run.store.url} has the hash {dataset.hash}, but "
                    f"run '{run.name}' was planned with {expected}; start another with --run NAME."
                )
            _hold(self._datasets, key, dataset, _DATASETS_HELD)
        self._datasets.move_to_end(key)
        return self._datasets[key]

    def _split(self, task: Task, run: Run, dataset: Dataset) -> Split:
        from benchmark.data import split

        mode = run.manifest.conditions["split"]
        key = (dataset.hash, mode, task.payload["seed"])
        if key not in self._splits:
            _hold(self._splits, key, split(dataset, mode, task.payload["seed"]), _DATASETS_HELD)
        return self._splits[key]


def _metric(run: Run, problem_type: str) -> str:
    chosen: dict[str, str] = run.manifest.conditions["metric"]
    return chosen.get(problem_type) or metrics.DEFAULT_METRIC[problem_type]


def _described(said: dict[str, Any]) -> dict[str, Any]:
    """What describe() returned, as far as it has the form that was asked for."""
    description = said.get("description")
    if not isinstance(description, dict):
        return {}
    models, board = description.get("models"), description.get("leaderboard")
    version = description.get("version")
    rows = [row for row in board if isinstance(row, dict)] if isinstance(board, list) else []
    return {
        "models": models if type(models) is int else None,
        "leaderboard": rows[:_LEADERBOARD_ROWS] or None,
        "version": str(version) if version else None,
    }


def _hold(held: OrderedDict[Any, Any], key: Any, value: Any, most: int) -> None:
    held[key] = value
    while len(held) > most:
        held.popitem(last=False)


def _write_arrow(table: pyarrow.Table, path: Path) -> None:
    import pyarrow

    with (
        pyarrow.OSFile(str(path), "wb") as sink,
        pyarrow.ipc.new_file(sink, table.schema) as writer,
    ):
        writer.write_table(table.combine_chunks())


def _measure(
    dataset: Dataset, split: Split, outcome: Outcome
) -> tuple[dict[str, float | None], bytes]:
    """All metrics of the saved predictions, and the predictions with the truth as parquet."""
    import numpy as np
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.OSFile(str(outcome.folder / PREDICTIONS), "rb") as source:
            table = pyarrow.ipc.open_file(source).read_all()
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise metrics.UnusablePredictions(f"The predictions cannot be read: {error}") from error
    predictions = table.column("prediction").to_numpy()
    names = outcome.said.get("classes")
    probabilities = None
    if names is not None:
        columns = [table.column(f"p{n}").to_numpy() for n in range(len(names))]
        probabilities = np.column_stack(columns)
    column = dataset.table.column(dataset.target).take(pyarrow.array(split.test))
    truth = column.to_numpy(zero_copy_only=False)
    if dataset.classes is not None:
        truth = np.array([str(value) for value in truth], dtype=object)
    values = metrics.evaluate(
        dataset.problem_type, dataset.classes, truth, predictions, probabilities, names
    )
    named = ["prediction", *[f"probability:{name}" for name in names or []]]
    table = table.rename_columns(named)
    table = table.append_column("truth", pyarrow.array(truth))
    table = table.append_column("row", pyarrow.array(split.test))
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink, compression="zstd")
    return values, sink.getvalue()
