"""When a study is over before its last trial: time, cost, or no improvement.

    stop: {time: 1h, cost: 5, target: 800, no_improvement: 30, failures: 5, failure_streak: 20}

`time` counts the seconds in which trials ran, of all drives together; a pause costs nothing.
`target` is a value that is good enough, in a study of one direction; `regret` how much more trials
may improve the best one, by a model of them (samplers/regret.py).
`cost` is the sum of what the objective's expression `cost` gives for each trial. `failures` of the
same message at the start, without one trial that measured something, are a mistake in the study and
no bad points. `failure_streak` is how many trials may fail one after the other, at any time and
whatever their messages; a long one is warned of in any case, and so is half of the latest trials
that fail between successes. Imported trials count for `target`,
`regret` and as the best to improve on, but as none of the trials that improve nothing or fail.
"""

from __future__ import annotations

import bisect
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from benchmark.files.declared import Declared
from benchmark.files.numbers import plain_number
from benchmark.files.value_faults import OWN
from benchmark.hpo.objectives.metrics.measured_values import finite_number, share
from benchmark.hpo.samplers.proposal import Direction, signs_of
from benchmark.hpo.samplers.regret import RegretBound
from benchmark.hpo.space.search_space import Params, Space
from benchmark.hpo.space.units import IN_SECONDS
from benchmark.records.results import Cause, Record

# A label of trials that printed and measured nothing.
EMPTY = "empty"
# A label of trials that read their output, and show a mistake in their study file.
WRONG = "study_is_wrong"
# Its value where the mistake is a unit.
WRONG_UNIT = "unit"
# A label of trials whose Python objective called `study.stop()`.
STOPS = "stops"
# A label of trials that were measured elsewhere: which row they were.
IMPORTED = "imported"
FAILURES = 5
# Warned of when it is so long, twice, four times, and so on.
STREAK = 10
# Of so many latest trials, at least STREAK, half may fail before that is warned of.
_WINDOW = 20


def _bound(value: Any) -> Any:
    """A number above 0; a share such as 1% is unchanged."""
    is_share = isinstance(value, str) and share(value) is not None
    if value is not None and not is_share and not (finite_number(value) or 0.0) > 0:
        raise PydanticCustomError(OWN, "a number above 0 or a share such as 1%")
    return value


_Count = Annotated[int, Field(ge=1, lt=10**12)]


class Stop(Declared):
    """The limits; None where there is none. Seconds, the user's money, trials."""

    time_s: Annotated[float, IN_SECONDS] | None = Field(default=None, alias="time", gt=0, lt=1e12)
    cost: float | None = Field(default=None, gt=0, lt=1e12)
    no_improvement: _Count | None = None
    failures: int = Field(default=FAILURES, ge=0, lt=10**12)
    failure_streak: _Count | None = None
    target: float | None = None
    regret: Annotated[float | str | None, BeforeValidator(_bound)] = None

    def regret_bound(
        self, space: Space, directions: Mapping[str, Direction], seed: int | None
    ) -> RegretBound | None:
        """What `regret` looks at; None without it."""
        if self.regret is None:
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
        relative = share(self.regret) if isinstance(self.regret, str) else None
        limit = float(self.regret or 0) if relative is None else relative * abs(bound.best)
        if found > limit:
            return None
        return (
            f"More trials can improve the best value, {plain_number(bound.best)}, by "
            f"{_rounded(found)} at most (a bound on the regret, with probability 0.9), and "
            f"'regret' is {_rounded(limit)}."
        )


def check_stop(stop: Stop, directions: int, *, has_cost: bool, declares: bool) -> Iterator[str]:
    """The faults of limits in a study of so many directions, which `declares` tunables or not."""
    if stop.target is not None and directions > 1:
        yield (
            f"'stop' has {stop.target:g} as 'target'; write a number, in a study of one direction."
        )
    if stop.regret is not None and (directions > 1 or not declares):
        yield (
            f"'stop' has {stop.regret!r} as 'regret'; write a number above 0 or a share such as "
            "1%, in a study of one direction with declared tunables."
        )
    if stop.cost is not None and not has_cost:
        yield (
            "'stop' has a cost, and nothing says what a trial costs; give the objective a 'cost', "
            "such as '0.34 * hours'."
        )


def _rounded(value: float) -> str:
    """An estimate, to three digits."""
    return plain_number(float(f"{value:.3g}"))


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
    _wrong: bool | str = False
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
        self._wrong = record.labels.get(WRONG) or False

    @property
    def why_stop(self) -> str | None:
        """Why no more trials should begin, in a sentence."""
        if self._requested is not None:
            return self._requested
        if self.works or not self.most or (self._count < self.most and not self._wrong):
            return None
        if self._wrong:
            is_unit = self._wrong == WRONG_UNIT
            why = "its units do not fit" if is_unit else "what the study file names was not found"
            return (
                f"No trial can measure anything, because {why}: {self.message} Fix it and start "
                "over; stop: {failures: 0} lets a study continue."
            )
        return (
            f"This session's first {self._count} trials all ended the same way: "
            f"{self.message.rstrip('.')}. "
            "Fix it and start over; stop: {failures: 0} lets a study continue."
        )


def without_numbers(text: str) -> str:
    """A message without the values of its trial and the paths of its folder, for comparing."""
    return re.sub(r"-?\d[\d.e+-]*", "#", re.sub(r"/[^\s'\":,;)]+", "/", text))


@dataclass
class Progress:
    """What the trials of a study have taken and brought so far; fed with each record once."""

    directions: Mapping[str, Direction]
    cost: float = 0.0
    own_trials: int = 0
    improved: int = 0
    best: Params | None = None
    streak: int = 0
    message: str = ""
    _front: list[tuple[float, ...]] = field(default_factory=list)
    busy_s: float = 0.0
    feasible: list[Record] = field(default_factory=list)
    _spans: list[tuple[float, float]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_WINDOW))
    _failed_with: str = ""
    _quiet_until: int = 0
    warning: str | None = None
    """What should be printed after the last trial, in a sentence."""

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
                self.improved = self.own_trials

    def _count(self, record: Record) -> None:
        """Add what a trial of this study itself has taken."""
        self.own_trials += 1
        self.cost += record.labels.get("cost") or 0.0
        self.message = record.message
        # Whatever the cause, and also where it was pruned because it printed nothing.
        has_failed = record.status == "failure" or record.labels.get(EMPTY)
        self.streak = self.streak + 1 if has_failed else 0
        self._recent.append(self.streak > 0)
        self._failed_with = record.message.rstrip(".") if self.streak else self._failed_with
        self.warning = self._streak_warning() or self._share_warning()
        if self.warning:
            self._quiet_until = 2 * self.own_trials
        if record.begun and record.ended:
            times = (datetime.fromisoformat(text) for text in (record.begun, record.ended))
            start, end = (moment.timestamp() for moment in times)
            # Its time by the monotonic clock: the wall clock may have been set while it ran.
            self._was_busy(
                start, max(start, end if record.total_s is None else start + record.total_s)
            )

    def _was_busy(self, start: float, end: float) -> None:
        """Add to `busy_s`, the seconds in which one trial at least was running.

        The spans are disjoint and in order, so that a trial costs as much after thousands.
        """
        first = bisect.bisect_left(self._spans, start, key=lambda span: span[1])
        last = bisect.bisect_right(self._spans, end, key=lambda span: span[0])
        for other in self._spans[first:last]:
            start, end = min(start, other[0]), max(end, other[1])
            self.busy_s -= other[1] - other[0]
        self._spans[first:last] = [(start, end)]
        self.busy_s += end - start

    def _streak_warning(self) -> str | None:
        """A long streak of failures in a sentence, as often as it has doubled."""
        times, rest = divmod(self.streak, STREAK)
        if rest or times.bit_count() != 1:
            return None
        return (
            f"The last {self.streak} trials failed, the last one with: {self.message.rstrip('.')}. "
            "stop: {failure_streak: N} ends a study after N failures in a row."
        )

    def _share_warning(self) -> str | None:
        """That half of the latest trials failed with successes between, at doubled distances."""
        count, failed = len(self._recent), sum(self._recent)
        is_often = count >= STREAK and 2 * failed >= count and self.streak < STREAK // 2
        if not is_often or self.own_trials < self._quiet_until:
            return None
        return (
            f"{failed} of the last {count} trials failed, one with: {self._failed_with}. Others "
            "succeeded between them, so failure_streak does not end the study; if a region fails, "
            "narrow the bounds or declare it in 'forbidden'."
        )

    def why_stop(self, stop: Stop) -> str | None:
        """Why no more trials should begin, in a sentence."""
        if stop.time_s is not None and self.busy_s >= stop.time_s:
            return f"Its {stop.time_s:g} s are used up."
        if stop.cost is not None and self.cost >= stop.cost:
            return f"Its cost has reached {plain_number(self.cost)} of {plain_number(stop.cost)}."
        if stop.failure_streak is not None and self.streak >= stop.failure_streak:
            return (
                f"The last {self.streak} trials failed, the last one with: "
                f"{self.message.rstrip('.')}."
            )
        if stop.target is not None and self._reaches(stop.target):
            return f"The target of {plain_number(stop.target)} is reached."
        without = self.own_trials - self.improved
        if stop.no_improvement is not None and without >= stop.no_improvement:
            return f"The last {without} trials brought no improvement."
        return None

    def _reaches(self, target: float) -> bool:
        """Whether the best value is as good as the target, in a study of one direction."""
        sign, *_ = signs_of(self.directions.values())
        return any(score[0] <= sign * target for score in self._front)

    def _look(self, values: tuple[float, ...], params: Params | None) -> bool:
        """Whether no earlier trial is as good in everything; `best` is the last that was so."""
        signs = signs_of(self.directions.values())
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
