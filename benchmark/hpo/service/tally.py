"""What an experiment has given out and been told: counts, running trials, clients' keys.

One process that has the experiment alone counts what it does itself; several look into the storage
that they share, and of it only at what is new.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from benchmark.hpo.service.endings import ENDED, GIVEN, STOPS, kept_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.trial import FrozenTrial

    from benchmark.hpo.optimizer import Optimizer
    from benchmark.hpo.service.endings import Ending
    from benchmark.hpo.service.terms import Terms
    from benchmark.hpo.study_file import StudyDefinition


@dataclass
class Counts:
    """What the budgets look at; `stopped` by a trial's ending."""

    asked: int = 0
    told: int = 0
    cost: float = 0.0
    begun: datetime | None = None
    stopped: bool = False


def declared_parallel(definition: StudyDefinition) -> int | None:
    """How many trials may run at once; None where the study does not say so."""
    return definition.parallel if definition.source.get("parallel") else None


class Tally:
    """The counts of one experiment, for many threads."""

    def __init__(
        self, optimizer: Optimizer, terms: Terms, definition: StudyDefinition, *, alone: bool
    ) -> None:
        self._optimizer = optimizer
        self._terms = terms
        self._trials = definition.trials
        self._parallel = declared_parallel(definition)
        self._alone = alone
        self._counts = Counts()
        self._walked = 0
        self._running: dict[int, None] = {}
        self._keys: dict[tuple[str, bool], dict[int, None]] = {}
        self._turn = threading.Lock()
        self._still_for: int | None = None
        self.look()

    def look(self) -> None:
        """Take in what the storage has, whoever put it there."""
        with self._turn:
            self._walk()

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """In it the storage is looked at once for this thread, which keeps other servers out."""
        if not self._alone:
            self.look()
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

    def of_key(self, key: str, *, appended: bool = False) -> list[int]:
        """The trials that a client was ever given, or has appended, under this key."""
        with self._turn:
            self._refresh()
            return list(self._keys.get((key, appended), ()))

    def has_room(self) -> bool:
        """Whether one more trial may be asked now: of the budgets, and beside those that run."""
        with self._turn:
            self._refresh()
            full = self._parallel is not None and len(self._running) >= self._parallel
            return not full and self._is_within()

    def is_over(self, *, ended: bool) -> bool:
        """Whether no more may be asked, and nothing is in a client's hands."""
        with self._turn:
            self._refresh()
            return (ended or not self._is_within()) and not self._running

    def given(self, number: int, key: str | None) -> None:
        """A new trial is in a client's hands."""
        with self._turn:
            # Programs that are no servers ask trials too.
            if not self._alone and number != self._walked:
                self._walk()
                return
            self._running[number] = None
            self._counts.asked += 1
            self._counts.begun = self._counts.begun or datetime.now()
            self._walked = max(self._walked, number + 1)
            self._note(number, key)

    def given_again(self, number: int, key: str | None) -> None:
        """A running trial is in another client's hands now."""
        with self._turn:
            self._note(number, key)

    def ended(self, number: int, ending: Ending) -> None:
        """A trial was told."""
        if not self._alone:
            return
        with self._turn:
            if self._running.pop(number, 0) is None:
                self._counts.told += 1
                self._counts.cost += ending.cost or 0.0
                self._counts.stopped |= ending.stops

    def _is_within(self) -> bool:
        counts, terms = self._counts, self._terms
        if counts.asked >= self._trials:
            return False
        if terms.max_cost is not None and counts.cost >= terms.max_cost:
            return False
        if terms.max_time_s is None or counts.begun is None:
            return True
        return (datetime.now() - counts.begun).total_seconds() < terms.max_time_s

    def _refresh(self) -> None:
        if not self._alone and self._still_for != threading.get_ident():
            self._walk()

    def _walk(self) -> None:
        trials = self._optimizer.trials()
        for running in list(self._running):
            self._note(running, kept_in(trials[running], GIVEN).get("key"))
            if trials[running].state.is_finished():
                del self._running[running]
                self._count_end(trials[running])
        for trial in trials[self._walked :]:
            self._count(trial)
        self._walked = len(trials)

    def _count(self, trial: FrozenTrial) -> None:
        given = kept_in(trial, GIVEN)
        self._note(trial.number, given.get("key"), appended=given.get("appended", False))
        if given.get("appended"):
            return
        self._counts.asked += 1
        self._counts.begun = self._counts.begun or trial.datetime_start
        if trial.state.is_finished():
            self._count_end(trial)
        else:
            self._running[trial.number] = None

    def _note(self, number: int, key: str | None, *, appended: bool = False) -> None:
        """The key of a trial, which is another one when the trial is given out again."""
        if key is not None:
            self._keys.setdefault((key, appended), {})[number] = None

    def _count_end(self, trial: FrozenTrial) -> None:
        self._counts.told += 1
        kept = kept_in(trial, ENDED)
        self._counts.cost += kept.get("cost") or 0.0
        self._counts.stopped |= kept.get(STOPS, False)
