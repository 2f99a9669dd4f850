"""Where a run stands: done, failed by cause, running, waiting, and the time left."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.tasks import Run, Task


@dataclass(frozen=True)
class Status:
    """Counts of tasks. `causes` has results and tasks without one alike; times in seconds."""

    run: str
    store: str
    tasks: int
    success: int
    causes: dict[str, int]
    running: int
    waiting: int
    by_framework: dict[str, dict[str, int]]
    mean_s: float | None
    running_now: bool

    @property
    def without_result(self) -> int:
        return self.tasks - sum(
            number
            for cause, number in ({"success": self.success} | self.causes).items()
            if cause == "success" or results.Cause(cause).is_result
        )


def status(run: Run, tasks: Sequence[Task] | None = None) -> Status:
    """Read the records and the open attempts of a run."""
    chosen = list(run.tasks if tasks is None else tasks)
    keys = {task.key for task in chosen}
    found = {record.task: record for record in results.records(run) if record.task in keys}
    ended = results.last_attempts(run, [key for key in keys if key not in found])
    driven = run.store.is_locked(f"driver-{run.name}")
    causes: Counter[str] = Counter()
    frameworks: dict[str, Counter[str]] = {}
    running = waiting = 0
    for task in chosen:
        record = found.get(task.key) or ended.get(task.key)
        if record is not None:
            word = str(record.cause or record.status)
            causes[word] += 1
        elif task.key in ended and driven:
            word = "running"
            running += 1
        elif task.key in ended:
            word = str(results.Cause.INFRASTRUCTURE)
            causes[word] += 1
        else:
            word = "waiting"
            waiting += 1
        frameworks.setdefault(task.labels["framework"], Counter())[word] += 1
    spent = [record.total_s for record in found.values() if record.total_s is not None]
    return Status(
        run=run.name,
        store=run.store.url,
        tasks=len(chosen),
        success=causes.pop("success", 0),
        causes=dict(causes.most_common()),
        running=running,
        waiting=waiting,
        by_framework={name: dict(counts) for name, counts in sorted(frameworks.items())},
        mean_s=statistics.fmean(spent) if spent else None,
        running_now=driven,
    )
