"""When a study is over before its last trial: time, cost, or no improvement.

    stop: {time: 3600, cost: 5, no_improvement: 30, failures: 5}

`time` counts the seconds in which trials ran, of all drives together; a pause costs nothing.
`cost` is the sum of what the objective's expression `cost` gives for each trial. `failures` of the
same message at the start, without one trial that measured something, are a mistake in the study and
no bad points.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmark.hpo.spelling import check_keys
from benchmark.results import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.optimizer import Direction
    from benchmark.hpo.space import Params
    from benchmark.results import Record

# A label of trials that printed and measured nothing.
EMPTY = "empty"
KEYS = ("time", "cost", "no_improvement", "failures")
FAILURES = 5


@dataclass(frozen=True)
class Stop:
    """The limits; None where there is none. Seconds, the user's money, trials."""

    time_s: float | None = None
    cost: float | None = None
    no_improvement: int | None = None
    failures: int = FAILURES


def read_stop(entry: Any, has_cost: bool, faults: list[str]) -> Stop:
    """The `stop` of a study file."""
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        faults.append(f"'stop' is {entry!r}; it takes {', '.join(KEYS)}.")
        return Stop()
    before = len(faults)
    check_keys(entry, KEYS, "'stop'", faults)
    if len(faults) > before:
        return Stop()
    for key, value in entry.items():
        whole = key in ("time", "cost") or type(value) is int
        never = key == "failures" and value == 0
        if type(value) not in (int, float) or not (never or 0 < value < 1e12) or not whole:
            faults.append(f"'stop' has {value!r} as '{key}'; write a number above 0.")
            return Stop()
    if "cost" in entry and not has_cost:
        faults.append(
            "'stop' has a cost, and nothing says what a trial costs; give the objective a 'cost', "
            "such as '0.34 * hours'."
        )
    return Stop(
        entry.get("time"),
        entry.get("cost"),
        entry.get("no_improvement"),
        entry.get("failures", FAILURES),
    )


@dataclass
class FirstFailures:
    """Whether all fails in the same way from the start on; fed with each record as it comes.

    `works` once a trial measured something, or was pruned or ended at a limit: that is a point's.
    """

    most: int
    works: bool = False
    message: str = ""
    _count: int = 0

    def add(self, record: Record) -> None:
        failed = record.status == "failure" and record.cause == Cause.FRAMEWORK
        if not failed and not record.labels.get(EMPTY):
            self.works = True
            return
        same = without_numbers(record.message) == without_numbers(self.message)
        self._count = self._count + 1 if same else 1
        self.message = record.message

    @property
    def why_stop(self) -> str | None:
        """Why no more trials should begin, in a sentence."""
        if self.works or not self.most or self._count < self.most:
            return None
        return (
            f"The first {self._count} trials all ended the same way: {self.message.rstrip('.')}. "
            "Mend that and begin again; stop: {failures: 0} lets a study go on."
        )


def without_numbers(text: str) -> str:
    """A message without the values of its trial, for comparing."""
    return re.sub(r"-?\d[\d.e+-]*", "#", text)


@dataclass
class Progress:
    """What the trials of a study have taken and brought so far; fed with each record once."""

    directions: Mapping[str, Direction]
    cost: float = 0.0
    told: int = 0
    improved: int = 0
    best: Params | None = None
    _front: list[tuple[float, ...]] = field(default_factory=list)
    _spans: list[tuple[float, float]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, record: Record) -> None:
        """Another trial has ended."""
        if record.task in self._seen:
            return
        self._seen.add(record.task)
        self.told += 1
        self.cost += record.labels.get("cost") or 0.0
        if record.begun and record.ended:
            times = (datetime.fromisoformat(text) for text in (record.begun, record.ended))
            begun, ended = (moment.timestamp() for moment in times)
            self._spans.append((begun, ended))
        feasible = all(value <= 0 for value in record.labels.get("constraints") or ())
        if record.status == "success" and feasible:
            self._look(tuple(record.labels["values"]), record.labels.get("params"))

    @property
    def busy_s(self) -> float:
        """The seconds in which one trial at least was running."""
        total, reached = 0.0, float("-inf")
        for begun, ended in sorted(self._spans):
            total += max(0.0, ended - max(begun, reached))
            reached = max(reached, ended)
        return total

    def why_stop(self, stop: Stop) -> str | None:
        """Why no more trials should begin, in a sentence."""
        if stop.time_s is not None and self.busy_s >= stop.time_s:
            return f"Its {stop.time_s:g} s are used up."
        if stop.cost is not None and self.cost >= stop.cost:
            return f"Its cost has reached {self.cost:g} of {stop.cost:g}."
        without = self.told - self.improved
        if stop.no_improvement is not None and without >= stop.no_improvement:
            return f"The last {without} trials brought no improvement."
        return None

    def _look(self, values: tuple[float, ...], params: Params | None) -> None:
        """Whether no earlier trial is as good in everything; `best` is the last that was so."""
        signs = [1.0 if way == "minimize" else -1.0 for way in self.directions.values()]
        score = tuple(sign * value for sign, value in zip(signs, values, strict=True))
        if any(all(a <= b for a, b in zip(known, score, strict=True)) for known in self._front):
            return
        self._front = [
            known
            for known in self._front
            if not all(a <= b for a, b in zip(score, known, strict=True))
        ]
        self._front.append(score)
        self.improved = self.told
        self.best = params
