"""When a study is over before its last trial: time, cost, or no improvement.

    stop: {time: 3600, cost: 5, no_improvement: 30, failures: 5, failure_streak: 20}

`time` counts the seconds in which trials ran, of all drives together; a pause costs nothing.
`cost` is the sum of what the objective's expression `cost` gives for each trial. `failures` of the
same message at the start, without one trial that measured something, are a mistake in the study and
no bad points. `failure_streak` is how many trials may fail one after the other, at any time and
whatever their messages; a long one is warned of in any case.
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
# A label of trials whose Python objective called `study.stop()`.
STOPS = "stops"
KEYS = ("time", "cost", "no_improvement", "failures", "failure_streak")
FAILURES = 5
# Warned of when it is so long, twice, four times, and so on.
STREAK = 10


@dataclass(frozen=True)
class Stop:
    """The limits; None where there is none. Seconds, the user's money, trials."""

    time_s: float | None = None
    cost: float | None = None
    no_improvement: int | None = None
    failures: int = FAILURES
    failure_streak: int | None = None


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
        entry.get("failure_streak"),
    )


@dataclass
class FirstFailures:
    """Whether all fails in the same way from the start on; fed with each record as it comes.

    Also whether a Python objective called `study.stop()`, which ends this drive alone. `works` once
    a trial measured something, or was pruned or ended at a limit: that is a point's.
    """

    most: int
    works: bool = False
    message: str = ""
    _count: int = 0
    _stopped_by: str | None = None

    def add(self, record: Record) -> None:
        if record.labels.get(STOPS):
            self._stopped_by = record.task
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
        if self._stopped_by is not None:
            return f"Trial {self._stopped_by} called study.stop()."
        if self.works or not self.most or self._count < self.most:
            return None
        return (
            f"The first {self._count} trials all ended the same way: {self.message.rstrip('.')}. "
            "Mend that and begin again; stop: {failures: 0} lets a study go on."
        )


def measured_nothing(record: Record) -> bool:
    """Whether a trial failed, whatever the cause, or was pruned because it printed nothing."""
    return record.status == "failure" or bool(record.labels.get(EMPTY))


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
    streak: int = 0
    message: str = ""
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
        self.message = record.message
        self.streak = self.streak + 1 if measured_nothing(record) else 0
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

    @property
    def warning(self) -> str | None:
        """A long streak of failures in a sentence, as often as it has doubled."""
        times, rest = divmod(self.streak, STREAK)
        if rest or times.bit_count() != 1:
            return None
        return (
            f"The last {self.streak} trials failed, the last one with: {self.message.rstrip('.')}. "
            "stop: {failure_streak: N} ends a study after N failures in a row."
        )

    def why_stop(self, stop: Stop) -> str | None:
        """Why no more trials should begin, in a sentence."""
        if stop.time_s is not None and self.busy_s >= stop.time_s:
            return f"Its {stop.time_s:g} s are used up."
        if stop.cost is not None and self.cost >= stop.cost:
            return f"Its cost has reached {self.cost:g} of {stop.cost:g}."
        if stop.failure_streak is not None and self.streak >= stop.failure_streak:
            return (
                f"The last {self.streak} trials failed, the last one with: "
                f"{self.message.rstrip('.')}."
            )
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
