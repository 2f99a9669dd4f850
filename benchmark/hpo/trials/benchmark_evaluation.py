"""The evaluation of a trial of a benchmark: every data set and seed, as a benchmark's tasks run.

A score is 0 where the framework does no better than the constant predictor and 1 where it is
perfect: by this every data set counts alike, and the scale does not move with the trials. The
constant predictor runs on the same path, once for a study.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from benchmark.analysis.statistics import scaling
from benchmark.execution import metrics
from benchmark.execution.evaluation import BenchmarkEvaluation
from benchmark.execution.work import Outcome, Work
from benchmark.hpo.spec.study_file import StudyDefinition, define
from benchmark.hpo.trials import benchmark_inputs as material
from benchmark.hpo.trials.trial_record import Trial
from benchmark.records.layout import segment
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

_PERFECT = {"auc": 1.0, "f1_weighted": 1.0, "balanced_accuracy": 1.0, "accuracy": 1.0, "r2": 1.0}
_PERFECT |= {"log_loss": 0.0, "rmse": 0.0, "mse": 0.0, "mae": 0.0}


class BenchmarkTrialEvaluation:
    """The parameters of a framework measured over data sets and seeds."""

    def __init__(self) -> None:
        self._inner = BenchmarkEvaluation()
        self._definitions: dict[str, StudyDefinition] = {}
        self._zeros: dict[str, float] = {}
        self._left: list[tuple[Run, Task]] = []

    def prepare(self, task: Task, run: Run) -> Work:
        """The first of the trial's tasks.

        Raises:
            DataError: a data set is not in the store.
            SetupError: an environment cannot be built.
        """
        tuned = material.inner_run(
            run, f"trials/{task.key}", "framework", dict(task.payload["params"])
        )
        constant = material.inner_run(run, "references", "constant", {})
        self._left = [(constant, one) for one in constant.tasks if self._zero(run, one) is None]
        self._left += [(tuned, one) for one in tuned.tasks]
        return self._work()

    def finish(self, task: Task, run: Run, outcome: Outcome) -> Record:
        """The record: the mean of the scaled scores, or why one of the tasks has none."""
        definition = self._definition(run)
        trial = Trial(task, definition, outcome, dict(task.payload["params"]))
        scores: dict[str, float] = {}
        while True:
            trial.ran(outcome)
            inner, one = self._left.pop(0)
            record = self._inner.finish(one, inner, outcome)
            place = f"{one.payload['dataset']}, seed {one.payload['seed']}"
            value = record.metrics.get(record.metric or "")
            if record.status != "success" or value is None:
                said = f"{place}: {record.message or 'the metric is undefined there.'}"
                return trial.failed(record.cause or Cause.FRAMEWORK, said, scores)
            if inner.name.endswith("/references"):
                run.store.put(_reference(run, one), json.dumps({"value": value}).encode())
            else:
                name = f"{one.payload['dataset']}_{one.payload['seed']}"
                scores[name] = self._score(run, one, inner, value)
            if not self._left:
                break
            outcome = replace(outcome.follow_up(self._work()), attempt=outcome.attempt)
        direction = next(iter(definition.directions))
        return trial.measured([scores | {direction: statistics.fmean(scores.values())}])

    def close(self) -> None:
        """Let go of the tables."""
        self._inner.close()

    def _work(self) -> Work:
        inner, one = self._left[0]
        return self._inner.prepare(one, inner)

    def _score(self, run: Run, one: Task, inner: Run, value: float) -> float:
        """0 as the constant predictor, 1 perfect; by the statistics' own scaling."""
        problem = inner.manifest.datasets[one.payload["dataset"]]["problem"]
        metric = metrics.chosen(inner.manifest.conditions, problem)
        sign = 1.0 if metric.direction == "maximize" else -1.0
        zero = self._zero(run, one)
        gains = {material.CONSTANT: zero, "perfect": _PERFECT[metric.name], "tuned": value}
        frame = pd.DataFrame([{name: sign * (gain or 0.0) for name, gain in gains.items()}])
        return float(scaling.scaled(frame)["tuned"].iloc[0])

    def _zero(self, run: Run, one: Task) -> float | None:
        """The constant predictor's metric; None where it was not measured yet."""
        path = _reference(run, one)
        if path not in self._zeros:
            data = run.store.get(path)
            if data is None:
                return None
            self._zeros[path] = float(json.loads(data)["value"])
        return self._zeros[path]

    def _definition(self, run: Run) -> StudyDefinition:
        if run.name not in self._definitions:
            source: dict[str, Any] = run.manifest.conditions["study"]
            place = f"The manifest of {run.name}"
            self._definitions[run.name] = define(source, Path(), place, stored=True)
        return self._definitions[run.name]


def _reference(run: Run, one: Task) -> str:
    dataset, seed = one.payload["dataset"], one.payload["seed"]
    return f"{run.name}/references/{segment(dataset)}/{seed}.json"
