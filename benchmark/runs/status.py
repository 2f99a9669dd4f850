"""Where a run stands: done, failed by cause, running, waiting, and the time left."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmark import bulk, results
from benchmark.runs import spending
from benchmark.runs.spending import forecast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.tasks import Run, Task

RUNNING, WAITING = "running", "waiting"


@dataclass(frozen=True)
class Status:
    """Counts of tasks. `causes` has results and tasks without one alike; times in seconds.

    `spent` and `forecast`, what the whole run will have cost, are in USD; None where no machine of
    the run has a price.
    """

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
    spent: float | None = None
    forecast: float | None = None

    @property
    def failed(self) -> int:
        """How many tasks the frameworks failed on."""
        return sum(n for cause, n in self.causes.items() if results.Cause(cause).is_result)

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
    wanted = Counter(str(task.labels["framework"]) for task in chosen)
    driven = run.store.is_locked(f"driver-{run.name}")
    took = ran = 0.0
    costs: Counter[str] = Counter()
    results_cost: list[float] = []
    words: Counter[str] = Counter()
    frameworks = {name: Counter[str]() for name in wanted}
    parts = bulk.pieces(run, [task.key for task in chosen])
    for told in bulk.folded(parts, partial(_counted, driven)):
        took += told["took"]
        ran += told["ran"]
        costs.update(told["costs"])
        results_cost += told["results_cost"]
        for name, counts in told["words"].items():
            frameworks[name].update(counts)
            words.update(counts)
    for name, number in wanted.items():
        if waiting := number - frameworks[name].total():
            frameworks[name][WAITING] = waiting
    words[WAITING] = len(chosen) - words.total()
    spent = spending.total(run, costs)
    return Status(
        run=run.name,
        store=run.store.url,
        tasks=len(chosen),
        success=words.pop("success", 0),
        running=words.pop(RUNNING, 0),
        waiting=words.pop(WAITING),
        causes=dict(words.most_common()),
        by_framework={name: dict(counts) for name, counts in sorted(frameworks.items())},
        mean_s=took / ran if ran else None,
        running_now=driven,
        spent=spent,
        forecast=forecast(spent, results_cost, len(chosen)),
    )


def _counted(driven: bool, piece: bulk.Piece) -> dict[str, Any]:
    """Of tasks that were begun: by framework how many are what, and their times and costs."""
    words: dict[str, Counter[str]] = defaultdict(Counter)
    took, ran = 0.0, 0
    costs: dict[str, float] = {}
    results_cost: list[float] = []
    framework_of = {cell.key: cell.framework for cell in piece.run.manifest.cells}
    for key, record in piece.outcomes():
        if record is None:
            word = RUNNING if driven else str(results.Cause.INFRASTRUCTURE)
        else:
            word = str(record.cause or record.status)
            if record.is_result and record.total_s is not None:
                took += record.total_s
                ran += 1
            spending.add(costs, record)
            if record.cost is not None and record.is_result:
                results_cost.append(record.cost)
        words[framework_of[key]][word] += 1
    return {
        "words": words,
        "took": took,
        "ran": ran,
        "costs": costs,
        "results_cost": results_cost,
    }
