"""What an experiment has assigned and what has ended: counts, running trials, clients' keys.

One process that has the experiment alone counts what it does itself; several look into the storage
that they share, and of it only at what is new.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Literal

from optuna.trial import FrozenTrial

from benchmark.hpo.report import export
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Direction, signs_of
from benchmark.hpo.service.core.endings import ENDED, GIVEN, QUEUED, STOPS, Ending, kept_in
from benchmark.hpo.service.core.terms import Limits

Scored = tuple[tuple[float, ...], int, FrozenTrial]

APPENDED = "APPENDED"
KeyOf = Literal["asked", "appended", "queued"]


@dataclass
class Counts:
    """What the budgets look at; `stopped` by a trial's ending.

    `began_s` is the first ask by the monotonic clock: setting the wall clock changes no budget.
    """

    asked: int = 0
    told: int = 0
    cost: float = 0.0
    began_s: float | None = None
    stopped: bool = False


class Tally:
    """The counts of one experiment, for many threads."""

    def __init__(self, optimizer: Optimizer, limits: Callable[[], Limits], *, alone: bool) -> None:
        self._optimizer = optimizer
        self.limits = limits
        self._alone = alone
        self._counts = Counts()
        self._walked = 0
        self._deleted: set[int] = set()
        self._running: dict[int, None] = {}
        self._queued: dict[int, None] = {}
        self._keys: dict[tuple[str, KeyOf], dict[int, None]] = {}
        self._turn = threading.Lock()
        self._still_for: int | None = None
        self.seen = 0
        """How much of other processes' is in the counts."""
        self.look()

    def look(self, *, is_read: bool = False) -> None:
        """Take in what the storage has, whichever process put it there.

        `is_read`: the storage was read just now, or only this process has written to it since.
        """
        with self._turn:
            if not self._alone and not is_read:
                self._optimizer.refresh()
            self._walk()

    @contextlib.contextmanager
    def still(self, *, is_read: bool = False) -> Iterator[None]:
        """In it the storage is looked at once for this thread, which keeps other servers out."""
        if is_read or not self._alone:
            self.look(is_read=is_read)
        self._still_for = threading.get_ident()
        try:
            yield
        finally:
            self._still_for = None

    def counts(self) -> Counts:
        with self._turn:
            self._refresh()
            return Counts(**vars(self._counts))

    def running(self) -> list[int]:
        """The trials in clients' hands, the one first that was asked first."""
        with self._turn:
            self._refresh()
            return list(self._running)

    def queued(self) -> list[int]:
        """The points that clients want to be run next, the one first that was queued first."""
        with self._turn:
            self._refresh()
            return list(self._queued)

    def of_key(self, key: str, kind: KeyOf = "asked") -> list[int]:
        """The trials that a client was ever given, has appended or has queued under this key."""
        with self._turn:
            self._refresh()
            return list(self._keys.get((key, kind), ()))

    def has_room(self, taken: int = 0) -> bool:
        """Whether one more trial may be asked now: of the budgets, and beside those that run.

        `taken` are asked already, and not in the storage yet.
        """
        with self._turn:
            self._refresh()
            running = len(self._running) + taken
            parallel = self.limits().parallel
            full = parallel is not None and running >= parallel
            return not full and self._is_within(taken)

    def is_over(self, *, stopped: bool, used_up: bool) -> bool:
        """Whether no more may be asked, and nothing is in a client's hands.

        Of a space that is used up the points that are queued are run all the same.
        """
        with self._turn:
            self._refresh()
            ended = stopped or (used_up and not self._queued) or not self._is_within()
            return ended and not self._running

    def given(self, number: int, key: str | None) -> None:
        """A new trial, or one that was queued, is in a client's hands."""
        with self._turn:
            # Programs that are no servers ask trials too.
            if not self._alone and number != self._walked:
                self._walk()
                return
            self._queued.pop(number, None)
            self._running[number] = None
            self._counts.asked += 1
            if self._counts.began_s is None:
                self._counts.began_s = monotonic()
            self._walked = max(self._walked, number + 1)
            self._note(number, key)

    def given_again(self, number: int, key: str | None) -> None:
        """A running trial is in another client's hands now."""
        with self._turn:
            self._note(number, key)

    def ended(self, number: int, ending: Ending) -> None:
        """A trial has ended."""
        if not self._alone:
            return
        with self._turn:
            if number in self._queued:
                self._walk()
            elif self._running.pop(number, 0) is None:
                self._counts.told += 1
                self._counts.cost += ending.cost or 0.0
                self._counts.stopped |= ending.stops

    def _is_within(self, taken: int = 0) -> bool:
        counts, limits = self._counts, self.limits()
        if counts.asked + taken >= limits.trials:
            return False
        if limits.max_cost is not None and counts.cost >= limits.max_cost:
            return False
        if limits.max_time_s is None or counts.began_s is None:
            return True
        return monotonic() - counts.began_s < limits.max_time_s

    def _refresh(self) -> None:
        if not self._alone and self._still_for != threading.get_ident():
            self._optimizer.refresh()
            self._walk()

    def _walk(self) -> None:
        # Before anything is looked at: what is read meanwhile may be in some of the counts only.
        self.seen = getattr(self._optimizer.storage, "others", 0)
        # First: what is deleted had ended by then, or waited.
        deleted = self._optimizer.deleted
        trials = self._optimizer.by_number()
        for running in list(self._running):
            self._note(running, kept_in(trials[running], GIVEN).get("key"))
            if trials[running].state.is_finished():
                del self._running[running]
                self._count_end(trials[running])
        for queued in list(self._queued):
            if trials[queued].state.name != "WAITING" or queued in deleted:
                del self._queued[queued]
                self._count(trials[queued], is_deleted=queued in deleted)
        for number in deleted - self._deleted:
            if number < self._walked:
                self._deleted.add(number)
                if not kept_in(trials[number], GIVEN).get("appended"):
                    self._counts.asked -= 1
                    self._counts.told -= 1
        for trial in trials[self._walked :]:
            self._count(trial, is_deleted=trial.number in deleted)
        self._walked = len(trials)

    def _count(self, trial: FrozenTrial, *, is_deleted: bool) -> None:
        given = kept_in(trial, GIVEN)
        appended = given.get("appended", False)
        self._note(trial.number, given.get("key"), "appended" if appended else "asked")
        self._note(trial.number, kept_in(trial, QUEUED).get("key"), "queued")
        if is_deleted:
            self._deleted.add(trial.number)
            if not appended:
                self._spend(trial)
            return
        if appended:
            return
        if trial.state.name == "WAITING" and QUEUED in trial.user_attrs:
            self._queued[trial.number] = None
            return
        self._counts.asked += 1
        if trial.state.is_finished():
            self._count_end(trial)
        else:
            self._begin(trial)
            self._running[trial.number] = None

    def _note(self, number: int, key: str | None, kind: KeyOf = "asked") -> None:
        """The key of a trial, which is another one when the trial is given out again."""
        if key is not None:
            self._keys.setdefault((key, kind), {})[number] = None

    def _count_end(self, trial: FrozenTrial) -> None:
        self._counts.told += 1
        self._spend(trial)

    def _begin(self, trial: FrozenTrial) -> None:
        """Take the start of a trial that is stored for the first ask, if it is the first."""
        if self._counts.began_s is None and trial.datetime_start is not None:
            past = datetime.now(UTC) - trial.datetime_start.astimezone()
            self._counts.began_s = monotonic() - max(0.0, past.total_seconds())

    def _spend(self, trial: FrozenTrial) -> None:
        """What a trial took is spent, also where it is deleted later."""
        self._begin(trial)
        kept = kept_in(trial, ENDED)
        self._counts.cost += kept.get("cost") or 0.0
        self._counts.stopped |= kept.get(STOPS, False)


class Standing:
    """Where one experiment stands: states and the best trials. For many threads.

    Only trials that are new, or had not ended at the last look, are looked at: a summary of ten
    thousand trials takes no longer than one of ten.
    """

    def __init__(self, optimizer: Optimizer, directions: Iterable[Direction]) -> None:
        self._optimizer = optimizer
        self._signs = signs_of(directions)
        self._turn = threading.Lock()
        self._walked = 0
        self._open: set[int] = set()
        self._ended: Counter[str] = Counter()
        self._best: list[Scored] = []
        self._deleted: frozenset[int] = frozenset()

    def look(self) -> tuple[Counter[str], list[FrozenTrial]]:
        """Trials by Optuna's state, with those APPENDED counted once more, and the best of them.

        The best one that keeps its constraints, or of several directions the Pareto front.
        """
        with self._turn:
            deleted = self._optimizer.deleted
            if len(deleted) > len(self._deleted):
                self._begin_again(deleted)
            trials = self._optimizer.by_number()
            states = Counter[str]()
            for number in [*sorted(self._open), *range(self._walked, len(trials))]:
                trial = trials[number]
                if number in deleted:
                    continue
                if trial.state.is_finished():
                    self._open.discard(number)
                    self._ended[trial.state.name] += 1
                    self._ended[APPENDED] += bool(kept_in(trial, GIVEN).get("appended"))
                    self._judge(trial)
                else:
                    self._open.add(number)
                    states[trial.state.name] += 1
            self._walked = len(trials)
            return states + self._ended, [trial for _, _, trial in sorted(self._best, key=_order)]

    def _begin_again(self, deleted: frozenset[int]) -> None:
        """Count all over: a trial was deleted, which may have been the best one."""
        self._deleted = deleted
        self._walked = 0
        self._open.clear()
        self._ended.clear()
        self._best.clear()

    def _judge(self, trial: FrozenTrial) -> None:
        if trial.state.name != "COMPLETE":
            return
        if any(value > 0 for value in trial.system_attrs.get("constraints") or ()):
            return
        score = tuple(s * value for s, value in zip(self._signs, trial.values, strict=True))
        new = (score, trial.number, trial)
        if len(score) == 1:
            self._best = [min([*self._best, new], key=_order)]
        elif not any(export.dominates(other, score) for other, _, _ in self._best):
            kept = [one for one in self._best if not export.dominates(score, one[0])]
            self._best = [*kept, new]


def _order(scored: Scored) -> tuple[tuple[float, ...], int]:
    return scored[:2]
