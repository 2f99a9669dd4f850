"""Money: what a run has cost, and a purse that lets no more tasks start than it can pay for.

Amounts are USD. What is spent is the sum over all attempts that have ended. Where a dispatcher
starts machines of its own it is what these have cost, or the attempts on them, whichever is more.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import threading
from typing import TYPE_CHECKING

from benchmark import results

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmark.compute.dispatcher import Rate
    from benchmark.results import Record
    from benchmark.tasks import Run, Task

_log = logging.getLogger("benchmark.runs")
# The harness's own time about a task: the start of a container, data, predictions.
OVERHEAD_S = 300.0


def spent(run: Run) -> float:
    """What the run has cost so far."""
    costs: dict[str, float] = {}
    for _, record in results.outcomes(run, {task.key for task in run.tasks}):
        if record is not None:
            add(costs, record)
    return total(run, costs) or 0.0


def add(costs: dict[str, float], record: Record) -> None:
    """Add what an attempt has cost to its machine's, or to "" where that is not known."""
    if record.cost is not None:
        machine = str(record.host.get("instance", ""))
        costs[machine] = costs.get(machine, 0.0) + record.cost


def total(run: Run, last: Mapping[str, float]) -> float | None:
    """What the run has cost, by what the last attempts of its tasks did on each machine; None for
    nothing known."""
    machines = machines_paid(run)
    if not last and not machines:
        return None
    costs = dict(last)
    for ended in results.earlier_ends(run):
        add(costs, ended)
    on_them = sum(costs.pop(name, 0.0) for name in machines)
    return sum(costs.values()) + max(on_them, sum(machines.values()))


def forecast(so_far: float | None, done: Sequence[float], tasks: int) -> float | None:
    """What the run will have cost when all tasks have results, each at the mean of the others'."""
    if so_far is None or not done:
        return None
    return so_far + max(0, tasks - len(done)) * sum(done) / len(done)


def machines_paid(run: Run) -> dict[str, float]:
    """What each machine has cost that dispatchers started for this run, by their ledgers."""
    paid: dict[str, float] = {}
    paths = [path for path in run.store.list(f"{run.name}/machines") if path.endswith(".json")]
    for path, data in run.store.get_many(paths):
        try:
            cost = float(json.loads(data or b"{}").get("cost", 0.0))
        except (ValueError, TypeError, AttributeError, RecursionError):
            run.store.ignore(path, "is no page of a ledger")
            continue
        if math.isfinite(cost):
            paid[path.rpartition("/")[2].removesuffix(".json")] = cost
    return paid


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
        """Spent before, and since then by each share: its attempts or its machines."""
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

    def settle(self, share: str, reserved: float, paid: float) -> None:
        with self._guard:
            self._reserved -= reserved
            self._attempts[share] = self._attempts.get(share, 0.0) + paid

    def machines(self, share: str, paid: float) -> None:
        with self._guard:
            self._machines[share] = paid


class Share:
    """The tasks of one method in one round, handed out while the worst under way can be paid.

    Without a limit, or where a task costs nothing, all are handed out at once. What a finished
    task did not use is handed out again, in portions, so that an engine is not asked for each. A
    task whose cost is not known has cost the worst.
    """

    def __init__(self, purse: Purse, method: str, rate: Rate | None, tasks: Sequence[Task]) -> None:
        self._purse, self._rate = purse, rate
        self._method = method
        # Each round has a dispatcher, and perhaps machines, of its own.
        self._name = f"{method}-{secrets.token_hex(4)}"
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
        reserved = self._reserved.pop(record.task, 0.0)
        cost = record.cost
        if cost is None:
            cost = reserved
            if reserved:
                _log.warning(
                    "warning: The cost of %s by %s is not known; it counts as the worst, %.2f USD.",
                    *(record.task, self._method, reserved),
                )
        self._purse.settle(self._name, reserved, cost)

    def paid(self, machines: float) -> None:
        """What the machines of this round have cost by now."""
        self._purse.machines(self._name, machines)

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
            self._purse.settle(self._name, self._reserved.pop(task.key), 0.0)
        self._waiting = [*tasks, *self._waiting]
