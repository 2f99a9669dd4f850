"""Where a run stands: done, failed by cause, running, waiting, and the time left."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmark.compute.waiting import waits_path
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.tasks import Run, Task
from benchmark.runs.costs import spending
from benchmark.runs.costs.bill import Bill
from benchmark.runs.costs.spending import forecast
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.job_states import in_engines

if TYPE_CHECKING:
    from benchmark.runs.early_stop.tracking import Answer

RUNNING, WAITING = "running", "waiting"


@dataclass(frozen=True)
class Status:
    """Counts of tasks. `causes` has results and tasks without one alike; times in seconds.

    `spent` and `forecast`, what the whole run will have cost, are in USD; None where no machine of
    the run has a price. `answers` is where the question stands that ends the run early. `waits`
    are the reasons for which an engine does not start tasks. `left_in_engines` are tasks without
    an outcome in jobs of an engine that no driver follows; those that started count as running.
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
    answers: tuple[Answer, ...] = ()
    waits: tuple[str, ...] = ()
    left_in_engines: int = 0

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

    @property
    def left(self) -> int:
        """How many tasks are still to be run, as far as a question's forecast can tell."""
        without = self.without_result - self.causes.get(results.Cause.RETIRED, 0)
        if not self.answers or sum(one.tasks for one in self.answers) != self.tasks:
            return without
        return min(without, sum(one.expected - one.ran for one in self.answers))


def status(run: Run, tasks: Sequence[Task] | None = None) -> Status:
    """Read the records and the open attempts of a run."""
    chosen = list(run.tasks if tasks is None else tasks)
    wanted = Counter(str(task.labels["framework"]) for task in chosen)
    driven = run.store.is_locked(f"driver-{run.name}")
    engines = set() if driven else in_engines(run)
    took = ran = 0.0
    bill = Bill()
    results_cost: list[float] = []
    words: Counter[str] = Counter()
    frameworks = {name: Counter[str]() for name in wanted}
    retired, answers = _question(run)
    parts = record_reader.pieces(run, [task.key for task in chosen])
    counted = record_reader.folded(parts, partial(_counted, driven, engines, retired))
    for part in counted:
        took += part["took"]
        ran += part["ran"]
        bill.update(part["bill"])
        results_cost += part["results_cost"]
        for name, counts in part["words"].items():
            frameworks[name].update(counts)
            words.update(counts)
    started = set().union(*(part["begun"] for part in counted))
    engines -= set().union(*(part["ended"] for part in counted))
    for key in (task.key for task in chosen if task.key in retired and task.key not in started):
        words[str(results.Cause.RETIRED)] += 1
        frameworks[run.task(key).labels["framework"]][str(results.Cause.RETIRED)] += 1
    for name, number in wanted.items():
        if waiting := number - frameworks[name].total():
            frameworks[name][WAITING] = waiting
    words[WAITING] = waiting_tasks = len(chosen) - words.total()
    spent = spending.total(run, bill)
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
        forecast=forecast(spent, results_cost, len(chosen) - words[str(results.Cause.RETIRED)]),
        answers=answers,
        waits=_waits(run) if waiting_tasks else (),
        left_in_engines=sum(task.key in engines for task in chosen),
    )


def _waits(run: Run) -> tuple[str, ...]:
    try:
        return tuple(map(str, json.loads(run.store.get(waits_path(run)) or b"[]")))
    except (ValueError, TypeError):
        return ()


def _question(run: Run) -> tuple[dict[str, str], tuple[Answer, ...]]:
    """The tasks that the run's question does not need, with the reason, and where it stands."""
    if not early_stop.is_asked(run.manifest):
        return {}, ()
    from benchmark.runs.early_stop.tracking import answers, tracked

    tracker = tracked(run)
    return tracker.retired(), tuple(answers(tracker))


def _counted(
    driven: bool,
    engines: Set[str],
    retired: Mapping[str, str],
    piece: record_reader.Piece,
) -> dict[str, Any]:
    """Of tasks that were started: by framework how many are what, and their times and costs.

    `begun` has those of them that are retired, `ended` those of `engines` with an outcome.
    """
    words: dict[str, Counter[str]] = defaultdict(Counter)
    took, ran = 0.0, 0
    bill = Bill()
    results_cost: list[float] = []
    begun: list[str] = []
    ended: list[str] = []
    framework_of = {cell.key: cell.framework for cell in piece.run.manifest.cells}
    for key, record in piece.outcomes():
        if record is None:
            alive = driven or key in engines
            word = RUNNING if alive else str(results.Cause.INFRASTRUCTURE)
            if key in retired and not alive:
                word = str(results.Cause.RETIRED)
        else:
            if key in engines:
                ended.append(key)
            word = str(record.cause or record.status)
            if key in retired:
                word = str(results.Cause.RETIRED)
            if record.is_result and record.total_s is not None:
                took += record.total_s
                ran += 1
            bill.add(record)
            if record.cost is not None and record.is_result:
                results_cost.append(record.cost)
        words[framework_of[key]][word] += 1
        if key in retired:
            begun.append(key)
    return {
        "begun": begun,
        "ended": ended,
        "words": words,
        "took": took,
        "ran": ran,
        "bill": bill,
        "results_cost": results_cost,
    }
