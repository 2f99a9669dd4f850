"""Money: what a run has cost, and a purse that lets no more tasks start than it can pay for.

Amounts are USD. What is spent is the sum over all attempts that have ended, or what the machines
have cost where a dispatcher starts its own, whichever is more.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from benchmark import results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.compute.dispatcher import Rate
    from benchmark.results import Record
    from benchmark.tasks import Run, Task

# The harness's own time about a task: the start of a container, data, predictions.
OVERHEAD_S = 300.0


def spent(run: Run) -> float:
    """What the run has cost so far."""
    outcomes = results.outcomes(run, {task.key for task in run.tasks})
    return total(run, [r.cost for _, r in outcomes if r and r.cost is not None]) or 0.0


def total(run: Run, last: Sequence[float]) -> float | None:
    """What the run has cost, by what the last attempts of its tasks did; None for nothing known."""
    machines = machines_paid(run)
    if not last and not machines:
        return None
    return max(sum(last) + sum(one.cost or 0.0 for one in results.earlier_ends(run)), machines)


def forecast(so_far: float | None, done: Sequence[float], tasks: int) -> float | None:
    """What the run will have cost when all tasks have results, each at the mean of the others'."""
    if so_far is None or not done:
        return None
    return so_far + max(0, tasks - len(done)) * sum(done) / len(done)


def machines_paid(run: Run) -> float:
    """What the machines have cost that dispatchers started for this run, by their ledgers."""
    total = 0.0
    paths = [path for path in run.store.list(f"{run.name}/machines") if path.endswith(".json")]
    for _, data in run.store.get_many(paths):
        try:
            total += float(json.loads(data or b"{}").get("cost", 0.0))
        except (ValueError, TypeError, AttributeError):
            continue  # A ledger that was cut by a kill; its dispatcher writes it anew.
    return total


class Purse:
    """The money of a run, shared by all its methods."""

    def __init__(self, limit: float | None, already: float) -> None:
        self.limit = limit
        self.spent = already
        self._reserved = 0.0
        self._machines: dict[str, float] = {}
        self._attempts: dict[str, float] = {}
        self._guard = threading.Lock()

    @property
    def total(self) -> float:
        """Spent before, and since then by each method: its attempts or its machines."""
        names = self._machines.keys() | self._attempts.keys()
        return self.spent + sum(
            max(self._machines.get(n, 0.0), self._attempts.get(n, 0.0)) for n in names
        )

    @property
    def exceeded(self) -> bool:
        return self.limit is not None and self.total > self.limit

    def reserve(self, amount: float) -> bool:
        """Whether so much more may come under way."""
        with self._guard:
            if self.limit is not None and self.total + self._reserved + amount > self.limit:
                return False
            self._reserved += amount
            return True

    def settle(self, method: str, reserved: float, paid: float) -> None:
        with self._guard:
            self._reserved -= reserved
            self._attempts[method] = self._attempts.get(method, 0.0) + paid

    def machines(self, method: str, paid: float) -> None:
        with self._guard:
            self._machines[method] = paid


class Share:
    """The tasks of one method, handed out while the worst of what is under way can be paid.

    Without a limit, or where a task costs nothing, all are handed out at once. What a finished
    task did not use is handed out again, in portions, so that an engine is not asked for each.
    """

    def __init__(self, purse: Purse, method: str, rate: Rate | None, tasks: Sequence[Task]) -> None:
        self._purse, self._method, self._rate = purse, method, rate
        self._waiting = list(tasks)
        self._reserved: dict[str, float] = {}
        self._portion = 1

    @property
    def held_back(self) -> list[Task]:
        """What has not been handed out."""
        return list(self._waiting)

    @property
    def over(self) -> bool:
        """Whether nothing is under way, and nothing more can be paid for."""
        return bool(self._waiting) and not self._reserved

    def first(self) -> list[Task]:
        found = self._take()
        self._portion = max(1, len(found) // 5)
        return found

    def more(self) -> list[Task]:
        """What can be handed out now: nothing until it is a portion, or the last."""
        if not self._waiting:
            return []
        found = self._take()
        if len(found) >= self._portion or not self._waiting or len(found) == len(self._reserved):
            return found
        self._give_back(found)
        return []

    def heard(self, record: Record) -> None:
        self._purse.settle(self._method, self._reserved.pop(record.task, 0.0), record.cost or 0.0)

    def _worst(self, task: Task) -> float:
        if self._rate is None:
            return 0.0
        return self._rate.high * (task.resources.hard_limit_s + OVERHEAD_S) / 3600

    def _take(self) -> list[Task]:
        found: list[Task] = []
        for task in self._waiting:
            worst = self._worst(task)
            if not self._purse.reserve(worst):
                break
            self._reserved[task.key] = worst
            found.append(task)
        self._waiting = self._waiting[len(found) :]
        return found

    def _give_back(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._purse.settle(self._method, self._reserved.pop(task.key), 0.0)
        self._waiting = [*tasks, *self._waiting]
