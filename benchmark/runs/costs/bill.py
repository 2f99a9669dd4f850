"""What attempts have cost by the machines they were on. Amounts are USD.

    bill = Bill()
    bill.add(record)
    bill.total                    # all attempts
    bill.of("i-0abc")             # those on a machine

A machine is paid for whole while at least one task is on it. Where its tasks shared it, their parts
add up to that; where one was alone on it, the rest of the machine counts too.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from benchmark.records.results import Record

ANYWHERE = ""


@dataclass
class _Machine:
    """`parts` is the sum of its tasks' costs, `busy` when one was on it, in order and disjoint."""

    price: float = 0.0
    parts: float = 0.0
    busy: list[tuple[float, float]] = field(default_factory=list)

    def use(self, start: float, end: float) -> None:
        first = bisect_left(self.busy, start, key=lambda span: span[1])
        last = first
        while last < len(self.busy) and self.busy[last][0] <= end:
            start, end = min(start, self.busy[last][0]), max(end, self.busy[last][1])
            last += 1
        self.busy[first:last] = [(start, end)]

    @property
    def cost(self) -> float:
        hours = math.fsum(end - start for start, end in self.busy) / 3600
        return max(self.parts, self.price * hours)


class Bill:
    """The cost of attempts. What is on no known machine is counted together."""

    def __init__(self) -> None:
        self._machines: dict[str, _Machine] = {}
        self._costs: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._machines)

    @property
    def total(self) -> float:
        return math.fsum(self._costs.values())

    def of(self, machine: str) -> float:
        return self._costs.get(machine, 0.0)

    def add(self, record: Record) -> None:
        """Add an attempt that has ended; nothing where its cost is not known."""
        if record.cost is None:
            return
        name = str(record.host.get("instance", ANYWHERE))
        machine = self._machines.setdefault(name, _Machine())
        machine.parts += record.cost
        price, end = record.host.get("price_per_hour"), _seconds(record.ended)
        if name and isinstance(price, int | float) and end is not None and record.total_s:
            machine.price = max(machine.price, float(price))
            machine.use(end - record.total_s, end)
        self._costs[name] = machine.cost

    def add_unknown(self, amount: float) -> None:
        """Add what something may have cost at most."""
        machine = self._machines.setdefault(ANYWHERE, _Machine())
        machine.parts += amount
        self._costs[ANYWHERE] = machine.cost

    def update(self, other: Bill) -> None:
        for name, theirs in other._machines.items():
            mine = self._machines.setdefault(name, _Machine())
            mine.price = max(mine.price, theirs.price)
            mine.parts += theirs.parts
            for span in theirs.busy:
                mine.use(*span)
            self._costs[name] = mine.cost

    def without(self, machines: Iterable[str]) -> float:
        """The total without some machines."""
        return self.total - math.fsum(self.of(name) for name in machines)


def _seconds(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None
