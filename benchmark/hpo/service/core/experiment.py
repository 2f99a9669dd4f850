"""One experiment: trials asked under a lease, ended once, kept before they are answered.

    given = experiment.ask(key="worker-7/12")       # AssignedTrial(number, params, token, ...)
    experiment.tell(given[0].number, Ending("success", (0.5,)))

Every method may be called from many threads. What it changed is in the storage when it returns.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Literal

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

from benchmark.hpo.samplers.algorithms import pruner_of
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import ExhaustedError
from benchmark.hpo.service.core.additions import Additions
from benchmark.hpo.service.core.assignment import AssignedTrial, Assignment, Wanted, stored
from benchmark.hpo.service.core.backend import Opened
from benchmark.hpo.service.core.counts import Counts, Standing, Tally
from benchmark.hpo.service.core.endings import (
    GIVEN,
    Ending,
    Endings,
    Tell,
    anothers,
    kept_in,
    no_trial,
)
from benchmark.hpo.service.core.errors import (
    BusyError,
    ConflictError,
    FinishedError,
    PausedError,
)
from benchmark.hpo.service.core.suggestions import Suggestions
from benchmark.hpo.service.core.terms import Changes, Limits, declared
from benchmark.hpo.space.search_space import Params
from benchmark.hpo.spec.stop_rules import STREAK
from benchmark.hpo.storages.batching import Batching
from benchmark.hpo.storages.trial_write import TrialWrite

State = Literal["running", "paused", "stopped"]

STATE, USED_UP = "service_state", "service_used_up"
MOST_WAITING = 64
_log = logging.getLogger("benchmark.hpo.service")


class WouldWaitError(Exception):
    """An answer needs a sampler that computes."""


class Experiment:
    """A study that clients ask and tell. `on_told` is called with each number that ended."""

    def __init__(
        self,
        opened: Opened,
        background: Executor,
        on_told: Callable[[Experiment, int], None],
    ) -> None:
        self.definition = opened.definition
        self.terms = opened.terms
        self.run = opened.run
        self._opened = opened
        self._on_told = on_told
        self.optimizer = Optimizer(
            opened.definition.space,
            list(opened.definition.directions.values()),
            opened.definition.algorithm,
            opened.definition.seed,
            opened.storage,
            opened.definition.name,
        )
        self.is_in_memory = isinstance(opened.storage, InMemoryStorage)
        self._state: State | None = None
        self._used_up: bool | None = None
        self._failing = 0
        founded = declared(opened.definition, opened.terms)
        self._changes = Changes(self.optimizer, founded, alone=opened.alone)
        self._tally = Tally(self.optimizer, self._changes.limits, alone=opened.alone)
        self._suggestions = Suggestions(self.optimizer, opened.definition, background)
        self._assignment = Assignment(
            self.optimizer, opened, self._tally, self._suggestions, self._admit
        )
        self.standing = Standing(self.optimizer, opened.definition.directions.values())
        self._additions = Additions(self.optimizer, opened, self._tally)
        self._endings = Endings(self.optimizer, opened, self.trial, self.is_current)
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._give: Batching[Wanted, bool] = Batching(self._assignment.assign)
        if opened.alone:
            with opened.leases.exclusive():
                self._assignment.promise_again()

    def is_current(self) -> bool:
        """Whether no other server has deleted the study, and founded another of its name."""
        if self._opened.alone:
            return True
        try:
            self.optimizer.refresh()
            found = self.optimizer.storage.get_study_id_from_name(self.definition.name)
        except KeyError:
            return False
        return bool(found == self.optimizer.study_id)

    def close(self) -> None:
        """Give the experiment back; suggestions that no one took are dropped."""
        self._suggestions.close()
        self._opened.close.close()

    def ask(
        self,
        count: int = 1,
        key: str | None = None,
        lease_s: float | Literal["own"] | None = "own",
        *,
        at_once: bool = False,
    ) -> list[AssignedTrial]:
        """New trials, or those whose lease has ended; fewer where budgets or points are used up.

        The same key gives the same trials again. Nothing is given where all are in other hands, or
        as many as the experiment declares to be run at once. With `at_once`, for one trial, no
        sampler is waited for.

        Raises:
            WouldWaitError: `at_once`, and no suggestion is ready; nothing is given.
            PausedError: a client has paused the experiment.
            FinishedError: it was stopped, or its budget is used up and every trial has ended.
            BusyError: too many clients wait for its sampler.
        """
        wanted = Wanted(count, key, lease_s)
        if not self._waiting.acquire(blocking=False):
            raise BusyError(
                f"{MOST_WAITING} clients wait for the sampler of '{self.terms.experiment}'; try "
                "again in a while."
            )
        try:
            while not self._give(wanted):
                if at_once:
                    raise WouldWaitError
                try:
                    self._suggestions.make()
                except ExhaustedError:
                    if not self._used_up:
                        self._changes.keep(USED_UP, True)
                    self._used_up = True
                    break
        finally:
            self._waiting.release()
        self._suggestions.think()
        return self._answered(wanted)

    def ask_at_once(self, asks: Sequence[Wanted]) -> list[list[AssignedTrial] | Exception]:
        """`ask` for several clients, of one trial each; WouldWaitError where none is ready."""
        found: list[list[AssignedTrial] | Exception] = []
        for wanted, is_all in zip(asks, self._give.all(asks), strict=True):
            try:
                if isinstance(is_all, BaseException):
                    raise is_all
                if not is_all:
                    raise WouldWaitError
                found.append(self._answered(wanted))
            except Exception as error:
                found.append(error)
        self._suggestions.think()
        return found

    def _answered(self, wanted: Wanted) -> list[AssignedTrial]:
        if not wanted.given and not self._tally.running():
            raise self._finished()
        return wanted.given

    def tell(self, number: int, ending: Ending, lease: str | None = None) -> bool:
        """End a trial; False where it ended with the same result before.

        With the token of its lease a trial is ended only while no other client has it.

        Raises:
            NotFoundError: there is no such trial.
            InvalidError: the ending does not fit the study.
            ConflictError: the trial ended otherwise before, or another client has it now.
        """
        (first,) = self.tell_all([Tell(number, ending, lease)])
        if isinstance(first, Exception):
            raise first
        return first

    def tell_all(self, tells: Sequence[Tell]) -> list[bool | Exception]:
        """`tell` for several trials by one write; an error is among the answers."""
        found = self._endings.end_all(tells)
        for place, (tell, first) in enumerate(zip(tells, found, strict=True)):
            if isinstance(first, Exception):
                continue
            try:
                if first:
                    self._ended(tell.number, tell.ending)
                # The first tell may have left no record.
                self._on_told(self, tell.number)
                if not first:
                    self._endings.check_same(tell)
            except Exception as error:
                found[place] = error
        return found

    def _ended(self, number: int, ending: Ending) -> None:
        self._opened.leases.release(number)
        self._tally.ended(number, ending)
        self._failing = self._failing + 1 if ending.status == "failure" else 0
        if self._failing and not self._failing % STREAK:
            name = self.terms.experiment
            _log.warning("The last %d trials of '%s' failed.", self._failing, name)
        self._suggestions.mark_old()

    def heartbeat(self, number: int, token: str) -> float | None:
        """Begin the lease's time again; returns it in seconds.

        Raises:
            NotFoundError: there is no such trial.
            ConflictError: the trial has ended, or another client has it now.
        """
        lease_s: float | None = kept_in(self._unfinished(number), GIVEN).get("lease_s")
        renewed = self._opened.leases.renew(number, token, lease_s)
        if not renewed and not self._assignment.renew(number, token, lease_s):
            raise anothers(number, self.terms.experiment)
        return lease_s

    def report(self, number: int, step: int, value: float) -> bool:
        """Keep an intermediate value; True where the pruner would end the trial.

        Raises:
            NotFoundError, ConflictError: there is no such trial, or it has ended.
        """
        try:
            first = self.optimizer.write(number, TrialWrite(intermediate={step: value}))
        except KeyError:
            raise no_trial(number, self.terms.experiment) from None
        if not first:
            self._unfinished(number)
        chosen = dict(self.definition.pruner)
        if not chosen or len(self.definition.directions) > 1:
            return False
        pruner = pruner_of(chosen.pop("name", "none"), chosen)
        return bool(pruner.prune(self.optimizer.study, self.trial(number)))

    def append(self, entries: Sequence[tuple[Params, Ending]], key: str | None = None) -> list[int]:
        """Results that were measured before or elsewhere, as trials beyond the budget.

        Raises:
            InvalidError: a point is none of the space's; then nothing is appended.
            ConflictError: other results were appended with the same key.
        """
        numbers = self._additions.append(entries, key, partial(self._on_told, self))
        self._suggestions.mark_old()
        return numbers

    def enqueue(self, points: Sequence[Params], key: str | None = None) -> list[int]:
        """Points to run next, before what the sampler suggests; they count towards the budget.

        Raises:
            InvalidError: a point is none of the space's; then nothing is queued.
            ConflictError: the experiment was stopped, or other points were sent with the same key.
        """
        if self.state == "stopped":
            raise self._finished()
        return self._additions.enqueue(points, key)

    @property
    def limits(self) -> Limits:
        """The budgets and terms as they are now."""
        return self._changes.limits()

    def change(self, new: Mapping[str, Any]) -> None:
        """Change some of the limits, by their names."""
        with self._opened.leases.exclusive() as is_read:
            self._tally.look(is_read=is_read)
            self._changes.change(new)

    def attributes(self) -> Callable[[int], dict[str, Any]]:
        """What clients noted about each trial, by its number; read once for all of them."""
        return self._changes.attributes()

    def annotate(self, number: int, new: Mapping[str, Any]) -> None:
        """Set attributes of a trial, finished or not; None removes one.

        Raises:
            NotFoundError: there is no such trial.
        """
        with self._opened.leases.exclusive() as is_read:
            self._tally.look(is_read=is_read)
            self.trial(number)
            self._changes.annotate(number, new)

    def delete_trial(self, number: int) -> None:
        """Delete a trial that has ended or is queued; no later one gets its number.

        One more may be asked in its place, also at its point; what it took stays spent.

        Raises:
            NotFoundError: there is no such trial.
            ConflictError: a client may be running it.
        """

        def check(trial: FrozenTrial) -> None:
            if trial.state.name == "RUNNING":
                of = f"Trial {number} of '{self.terms.experiment}'"
                raise ConflictError(f"{of} is running; end it before you delete it.")

        with self._opened.leases.exclusive() as is_read:
            self._tally.look(is_read=is_read)
            check(self.trial(number))
            if self._changes.kept().get(USED_UP):
                self._changes.keep(USED_UP, False)
            self._used_up = None
            self.optimizer.delete(number, check)
            self._tally.look(is_read=True)
        self._suggestions.mark_old()
        self._on_told(self, number)

    def set_state(self, state: State) -> None:
        """Pause, resume or stop; clients may still end the trials that they run.

        Raises:
            ConflictError: it was stopped before, which is for good.
        """
        if self.state == "stopped" and state != "stopped":
            raise ConflictError(f"'{self.terms.experiment}' was stopped, which is for good.")
        self._changes.keep(STATE, state)
        self._state = state

    @property
    def state(self) -> State:
        """Running, paused or stopped, as the clients want it or an ending did."""
        if self._tally.counts().stopped:
            return "stopped"
        if self._state is None or not self._opened.alone:
            self._state = self._changes.kept().get(STATE, "running")
        return self._state

    @property
    def is_finished(self) -> bool:
        """Whether it gives out no trials any more and none is in a client's hands."""
        if self._used_up is None or not self._opened.alone:
            self._used_up = self._changes.kept().get(USED_UP, False)
        return self._tally.is_over(stopped=self.state == "stopped", used_up=self._used_up)

    def counts(self) -> Counts:
        return self._tally.counts()

    def queued(self) -> list[int]:
        """The points that wait to be asked, the one first that was queued first."""
        return self._tally.queued()

    def running(self) -> list[int]:
        """The trials in clients' hands, the one first that was asked first."""
        return self._tally.running()

    def trial(self, number: int) -> FrozenTrial:
        """A trial as the storage has it.

        Raises:
            NotFoundError: there is none of that number.
        """
        try:
            if number not in self.optimizer.deleted:
                return stored(self.optimizer, number)
        except KeyError:
            pass
        raise no_trial(number, self.terms.experiment)

    def _unfinished(self, number: int) -> FrozenTrial:
        trial = self.trial(number)
        if trial.state.is_finished():
            name = self.terms.experiment
            raise ConflictError(f"Trial {number} of '{name}' has ended already; ask for a new one.")
        return trial

    def _admit(self) -> None:
        state = self.state
        if state == "paused":
            raise PausedError(f"'{self.terms.experiment}' is paused; ask again later.")
        if state == "stopped":
            raise self._finished()

    def _finished(self) -> FinishedError:
        counts = self.counts()
        return FinishedError(
            f"The experiment '{self.terms.experiment}' gives out no more trials: {counts.told} of "
            f"{self.limits.trials} are told."
        )
