"""Runs with a question, whose tasks end as a script says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from benchmark.analysis.early_stop.question import Question
from benchmark.compute.dispatcher import Dispatcher
from benchmark.config.loading import Config
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.record import Record
from benchmark.records.results import Cause
from benchmark.records.tasks import Cell, Manifest, Run, Task
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.early_stop.until import Until
from benchmark.runs.execute import execute
from benchmark.runs.summary import Summary
from benchmark.store import Store

FRAMEWORKS = ("a", "b", "c", "constant")
DATASETS = tuple(f"set{k:02}" for k in range(24))
SEEDS = (1, 2)
SKILLS = {"a": 0.7, "b": 0.5, "c": 0.4, "constant": 0.0, "new": 0.6}
BEST = Until(Question("best"), seed=5)
BY_SPLIT = Until(Question("best"), seed=5, unit="split")


def manifest(
    frameworks: Sequence[str] = FRAMEWORKS, datasets: Sequence[str] = DATASETS
) -> Manifest:
    cells = tuple(Cell(f, d, s) for s in SEEDS for d in datasets for f in frameworks)
    return Manifest(
        conditions={
            "runtime": 5,
            "hard_limit": 60,
            "cores": 1,
            "memory": 1500,
            "split": "random",
            "metric": {},
        },
        frameworks={name: {"name": name, "environment": ""} for name in frameworks},
        datasets={name: {"type": "classification", "problem": "binary"} for name in datasets},
        cells=cells,
        created="2026-01-01T00:00:00+00:00",
        harness="1",
    )


def nothing(run: Run) -> dict[str, Any]:
    return {}


def planned(store: Store, until: Until | None = BEST, **grid: Any) -> Run:
    run = Run("default", store, early_stop.planned(manifest(**grid), None, until, nothing))
    run.save()
    return run


def score(task: Task) -> float:
    """Of a task, the same whenever it runs."""
    framework = str(task.labels["framework"])
    noise = np.random.default_rng([*task.key.encode()]).normal() * 0.1
    return float(np.clip(SKILLS[framework] + noise, 0.01, 1)) if framework != "constant" else 0.0


class Scripted(Dispatcher):
    """Ends tasks at once, the last handed out first; some as `ends` says."""

    ends: ClassVar[Callable[[Task], Cause | None]] = staticmethod(lambda task: None)
    given: ClassVar[list[list[str]]] = []

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self.waiting: list[Task] = []

    def submit(self, tasks: Sequence[Task]) -> None:
        self.given.append([task.key for task in tasks])
        self.waiting += tasks

    def completed(self, timeout_s: float) -> list[Record]:
        if not self.waiting:
            return []
        task = self.waiting.pop()
        attempt = results.begin(self.run, task)
        cause = self.ends(task)
        if cause is not None:
            return [results.settle(self.run, attempt, results.failure(task, cause, "scripted"))]
        record = Record(
            task.key,
            "success",
            metrics={"auc": score(task)},
            labels=task.labels,
            total_s=1.0,
            cost=0.5,
        )
        return [results.settle(self.run, attempt, record)]


def config_of(**keys: Any) -> Config:
    return Config(**({"compute": {"*": "elsewhere"}, "parallel": 4, "max_attempts": 2} | keys))


def go(run: Run, on_record: Callable[[Record], None] | None = None, **keys: Any) -> Summary:
    return execute(run, config_of(**keys), record_reader.without_result(run), on_record)


def claims(run: Run) -> Any:
    """Without the intervals, which are not claims."""
    data = run.store.get(run.manifest_path)
    return json.loads(data or b"")["until"]["looked"]
