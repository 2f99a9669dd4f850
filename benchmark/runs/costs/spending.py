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
from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmark.compute.dispatcher import Rate
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.costs.bill import Bill

_log = logging.getLogger("benchmark.runs")
# The harness's own time about a task: the start of a container, data, predictions.
OVERHEAD_S = 300.0


def spent(run: Run) -> float:
    """What the run has cost so far."""
    bill = Bill()
    for _, record in results.outcomes(run, {task.key for task in run.tasks}):
        if record is not None:
            bill.add(record)
    return total(run, bill) or 0.0


def total(run: Run, bill: Bill) -> float | None:
    """What the run has cost, by the bill of its tasks' last attempts, to which the earlier ones are
    added; None for nothing known."""
    machines = machines_paid(run)
    if not bill and not machines:
        return None
    for ended in results.earlier_ends(run):
        bill.add(ended)
    on_them = sum(bill.of(name) for name in machines)
    return bill.without(machines) + max(on_them, sum(machines.values()))


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
        self.is_short = False
        """Whether tasks were left out that it could not pay for."""
        self.spent = already
        self._reserved = 0.0
        self._machines: dict[str, float] = {}
        self._attempts: defaultdict[str, Bill] = defaultdict(Bill)
        self._guard = threading.Lock()

    @property
    def total(self) -> float:
        """Spent before, and since then by each share: its attempts or its machines."""
        names = self._machines.keys() | self._attempts.keys()
        return self.spent + sum(
            max(self._machines.get(n, 0.0), self._attempts[n].total) for n in names
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

    def release(self, reserved: float) -> None:
        with self._guard:
            self._reserved -= reserved

    def settle(self, share: str, reserved: float, record: Record, unknown: float) -> None:
        """Count an attempt that has ended, and `unknown` more, in place of what was reserved."""
        with self._guard:
            self._reserved -= reserved
            self._attempts[share].add(record)
            if unknown:
                self._attempts[share].add_unknown(unknown)

    def machines(self, share: str, paid: float) -> None:
        with self._guard:
            self._machines[share] = paid


class Queue:
    """Which of a method's waiting tasks may be handed out: all, in their order.

    `benchmark.runs.early_stop.waves` has one that hands out what a question needs.
    """

    def next_of(self, waiting: Sequence[Task], under_way: int) -> Sequence[Task]:  # noqa: ARG002
        """The tasks to hand out now, while `under_way` of the method are not done."""
        return waiting

    def handed(self, tasks: Sequence[Task]) -> None:
        """They are handed out."""

    def returned(self, tasks: Sequence[Task]) -> None:
        """They were not handed out after all."""

    def is_due(self, tasks: Sequence[Task]) -> bool:  # noqa: ARG002
        """Whether one of them, which `next_of` has named, is waited for and a place is free."""
        return False

    def is_over(self, waiting: Sequence[Task]) -> bool:  # noqa: ARG002
        """Whether none of them will be wanted in this round."""
        return True

    @property
    def is_answered(self) -> bool:
        """Whether what is under way need not be waited for."""
        return False


class Share:
    """The tasks of one method in one round, handed out while the worst under way can be paid.

    Without a limit, or where a task costs nothing, all are handed out at once. What a finished
    task did not use is handed out again, in portions, so that an engine is not asked for each. A
    task whose cost is not known has cost the worst; so has each try of the engine's own before the
    last, which ends unseen. `since` are the tasks' last attempts before.
    """

    def __init__(
        self,
        purse: Purse,
        method: str,
        rate: Rate | None,
        tasks: Sequence[Task],
        queue: Queue | None = None,
        *,
        since: Mapping[str, int] | None = None,
    ) -> None:
        self._purse, self._rate = purse, rate
        self._since = since or {}
        self._queue = queue or Queue()
        self._method = method
        # Each round has a dispatcher, and perhaps machines, of its own.
        self._name = f"{method}-{secrets.token_hex(4)}"
        self._waiting = list(tasks)
        self._reserved: dict[str, float] = {}
        self._portion = 1
        self.broke = False

    @property
    def held_back(self) -> list[Task]:
        """What has not been handed out."""
        return list(self._waiting)

    @property
    def over(self) -> bool:
        """Whether nothing is under way, and nothing more is wanted or can be paid for."""
        idle = bool(self._waiting) and not self._reserved
        return idle and (self.broke or self._queue.is_over(self._waiting))

    @property
    def is_answered(self) -> bool:
        """Whether what is under way need not be waited for."""
        return self._queue.is_answered

    @property
    def is_idle(self) -> bool:
        return not self._reserved

    def first(self) -> list[Task]:
        found = self._take()
        self._portion = max(1, len(found) // 5)
        return found

    def more(self) -> list[Task]:
        """What can be handed out now: nothing until it is a portion, the last, or due."""
        if not self._waiting:
            return []
        found = self._take()
        last = not self._waiting or len(found) == len(self._reserved)
        if last or len(found) >= self._portion or self._queue.is_due(found):
            return found
        self._give_back(found)
        return []

    def heard(self, record: Record) -> None:
        reserved = self._reserved.pop(record.task, 0.0)
        unknown = 0.0
        if record.cost is None:
            unknown = reserved
            if reserved:
                _log.warning(
                    "warning: The cost of %s by %s is not known; it counts as the worst, %.2f USD.",
                    *(record.task, self._method, reserved),
                )
        elif reserved and self._rate is not None:
            unseen = record.attempt - self._since.get(record.task, 0) - 1
            unknown = max(0, unseen) * reserved / self._rate.tries
        self._purse.settle(self._name, reserved, record, unknown)

    def paid(self, machines: float) -> None:
        """What the machines of this round have cost by now."""
        self._purse.machines(self._name, machines)

    def _worst(self, task: Task) -> float:
        if self._rate is None:
            return 0.0
        hours = (task.resources.hard_limit_s + OVERHEAD_S) / 3600
        # It may be alone on its machine.
        price = self._rate.machines.dearest if self._rate.machines else self._rate.high
        return price * hours * self._rate.tries

    def _take(self) -> list[Task]:
        found: list[Task] = []
        self.broke = False
        for task in self._queue.next_of(self._waiting, len(self._reserved)):
            worst = self._worst(task)
            if not self._purse.reserve(worst):
                self.broke = True
                break
            self._reserved[task.key] = worst
            found.append(task)
        taken = {task.key for task in found}
        self._waiting = [task for task in self._waiting if task.key not in taken]
        self._queue.handed(found)
        return found

    def _give_back(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._purse.release(self._reserved.pop(task.key))
        self._waiting = [*tasks, *self._waiting]
        self._queue.returned(tasks)
