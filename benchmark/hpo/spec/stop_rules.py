"""When a study is over before its last trial: time, cost, or no improvement.

    stop: {time: 1h, cost: 5, target: 800, no_improvement: 30, failures: 5, failure_streak: 20}

`time` counts the seconds in which trials ran, of all drives together; a pause costs nothing.
`target` is a value that is good enough, in a study of one direction; `regret` how much more trials
may improve the best one, by a model of them (samplers/regret.py).
`cost` is the sum of what the objective's expression `cost` gives for each trial. `failures` of the
same message at the start, without one trial that measured something, are a mistake in the study and
no bad points. `failure_streak` is how many trials may fail one after the other, at any time and
whatever their messages; a long one is warned of in any case. Imported trials count for `target`,
`regret` and as the best to improve on, but as none of the trials that improve nothing or fail.
"""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from benchmark.files.spelling import check_keys
from benchmark.hpo.objectives.metrics.measured_values import finite_number
from benchmark.hpo.objectives.warm_up import share
from benchmark.hpo.samplers.regret import RegretBound
from benchmark.hpo.spec.limits import with_unit
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.samplers.proposal import Direction
    from benchmark.hpo.space.search_space import Params, Space
    from benchmark.records.results import Record

# A label of trials that printed and measured nothing.
EMPTY = "empty"
# A label of trials whose Python objective called `study.stop()`.
STOPS = "stops"
# A label of trials that were measured elsewhere: which row they were.
IMPORTED = "imported"
KEYS = ("time", "cost", "no_improvement", "failures", "failure_streak", "target", "regret")
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
    target: float | None = None
    regret: float | None = None
    regret_share: float | None = None

    def regret_bound(
        self, space: Space, directions: Mapping[str, Direction], seed: int | None
    ) -> RegretBound | None:
        """What `regret` looks at; None without it."""
        if self.regret is None and self.regret_share is None:
            return None
        return RegretBound(space, next(iter(directions.values())), seed)

    def why_regret(self, bound: RegretBound | None, progress: Progress) -> str | None:
        """Why no more trials should begin, if the bound is small enough."""
        if bound is None:
            return None
        for record in progress.feasible[bound.count :]:
            bound.add(record.labels["params"], record.labels["values"][0])
        found = bound.value
        if found is None:
            return None
        limit = self.regret if self.regret_share is None else self.regret_share * abs(bound.best)
        if limit is None or found > limit:
            return None
        return (
            f"More trials can improve the best value, {bound.best:g}, by {found:.3g} at most (a "
            f"bound on the regret, with probability 0.9), and 'regret' is {limit:.3g}."
        )


def read_stop(
    entry: Any,
    has_cost: bool,
    directions: int,
    faults: list[str],
    *,
    declares: bool = True,
) -> Stop:
    """The `stop` of a study file."""
    entry = {} if entry is None else entry
    if not isinstance(entry, dict):
        faults.append(f"'stop' is {entry!r}; it takes {', '.join(KEYS)}.")
        return Stop()
    before = len(faults)
    entry = dict(entry)
    check_keys(entry, KEYS, "'stop'", faults)
    if len(faults) > before:
        return Stop()
    if "time" in entry:
        entry = entry | {"time": with_unit("stop: time", entry["time"], "s", faults)}
    target = entry.get("target")
    if target is not None and (finite_number(target) is None or directions > 1):
        faults.append(
            f"'stop' has {target!r} as 'target'; write a number, in a study of one direction."
        )
        return Stop()
    regret = entry.pop("regret", None)
    in_share = share(regret) if isinstance(regret, str) else None
    number = finite_number(regret) or 0.0
    good = (in_share is not None or number > 0) and directions < 2 and declares
    if regret is not None and not good:
        faults.append(
            f"'stop' has {regret!r} as 'regret'; write a number above 0 or a share such as 1%, in "
            "a study of one direction with declared tunables."
        )
        return Stop()
    for key, value in entry.items():
        if key == "target":
            continue
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
        None if target is None else float(target),
        number or None,
        in_share,
    )


@dataclass
class DriveStop:
    """What ends this drive alone: a request, or first trials that all fail in the same way.

    Fed with each record as it comes. An objective or a callback requests it by `study.stop()`.
    `works` once a trial measured something, or was pruned or ended at a limit: that is a point's.
    """

    most: int
    works: bool = False
    message: str = ""
    _count: int = 0
    _requested: str | None = None

    def request(self, why: str) -> None:
        """End this drive, for the reason in a sentence."""
        self._requested = why

    def add(self, record: Record) -> None:
        if record.labels.get(IMPORTED):
            return
        if record.labels.get(STOPS):
            self.request(f"Trial {record.task} called study.stop().")
        is_unready = (record.labels.get("stopped") or {}).get("step") == "wait_ready"
        failed = record.status == "failure" and (record.cause == Cause.FRAMEWORK or is_unready)
        if not failed and not record.labels.get(EMPTY):
            self.works = True
            return
        same = without_numbers(record.message) == without_numbers(self.message)
        self._count = self._count + 1 if same else 1
        self.message = record.message

    @property
    def why_stop(self) -> str | None:
        """Why no more trials should begin, in a sentence."""
        if self._requested is not None:
            return self._requested
        if self.works or not self.most or self._count < self.most:
            return None
        return (
            f"The first {self._count} trials all ended the same way: {self.message.rstrip('.')}. "
            "Fix it and start over; stop: {failures: 0} lets a study continue."
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
    busy_s: float = 0.0
    feasible: list[Record] = field(default_factory=list)
    _spans: list[tuple[float, float]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, record: Record) -> None:
        """Another trial has ended."""
        if record.task in self._seen:
            return
        self._seen.add(record.task)
        is_own = not record.labels.get(IMPORTED)
        if is_own:
            self._count(record)
        feasible = all(value <= 0 for value in record.labels.get("constraints") or ())
        if record.status == "success" and feasible:
            self.feasible.append(record)
            is_better = self._look(tuple(record.labels["values"]), record.labels.get("params"))
            if is_better and is_own:
                self.improved = self.told

    def _count(self, record: Record) -> None:
        """Add what a trial of this study itself has taken."""
        self.told += 1
        self.cost += record.labels.get("cost") or 0.0
        self.message = record.message
        self.streak = self.streak + 1 if measured_nothing(record) else 0
        if record.begun and record.ended:
            times = (datetime.fromisoformat(text) for text in (record.begun, record.ended))
            begun, ended = (moment.timestamp() for moment in times)
            self._was_busy(begun, max(begun, ended))

    def _was_busy(self, begun: float, ended: float) -> None:
        """Add to `busy_s`, the seconds in which one trial at least was running.

        The spans are disjoint and in order, so that a trial costs as much after thousands.
        """
        first = bisect.bisect_left(self._spans, begun, key=lambda span: span[1])
        last = bisect.bisect_right(self._spans, ended, key=lambda span: span[0])
        for other in self._spans[first:last]:
            begun, ended = min(begun, other[0]), max(ended, other[1])
            self.busy_s -= other[1] - other[0]
        self._spans[first:last] = [(begun, ended)]
        self.busy_s += ended - begun

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
        if stop.target is not None and self._reaches(stop.target):
            return f"The target of {stop.target:g} is reached."
        without = self.told - self.improved
        if stop.no_improvement is not None and without >= stop.no_improvement:
            return f"The last {without} trials brought no improvement."
        return None

    def _reaches(self, target: float) -> bool:
        """Whether the best value is as good as the target, in a study of one direction."""
        sign = 1.0 if next(iter(self.directions.values())) == "minimize" else -1.0
        return any(score[0] <= sign * target for score in self._front)

    def _look(self, values: tuple[float, ...], params: Params | None) -> bool:
        """Whether no earlier trial is as good in everything; `best` is the last that was so."""
        signs = [1.0 if way == "minimize" else -1.0 for way in self.directions.values()]
        score = tuple(sign * value for sign, value in zip(signs, values, strict=True))
        if any(all(a <= b for a, b in zip(known, score, strict=True)) for known in self._front):
            return False
        self._front = [
            known
            for known in self._front
            if not all(a <= b for a, b in zip(score, known, strict=True))
        ]
        self._front.append(score)
        self.best = params
        return True
