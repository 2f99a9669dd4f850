"""Records that a test leaves, and what is kept of them."""

from __future__ import annotations

from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task


def success(task: Task, score: float = 0.5) -> Record:
    return Record(task=task.key, status="success", metrics={"auc": score}, labels=task.labels)


def record_of(run: Run, task: Task) -> Record | None:
    return next((found for found in results.records(run) if found.task == task.key), None)
