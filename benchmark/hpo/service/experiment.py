"""One experiment: trials asked under a lease, told once, kept before they are answered.

    given = experiment.ask(key="worker-7/12")       # Given(number, params, token, ...)
    experiment.heartbeat(given[0].number, given[0].token)
    experiment.tell(given[0].number, Ending("success", (0.5,)))

Every method may be called from many threads. What it changed is in the storage when it returns.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.optimizer import ExhaustedError, Optimizer
from benchmark.hpo.service.ahead import Ahead
from benchmark.hpo.service.endings import GIVEN, is_same, kept_in, status_of, told_of
from benchmark.hpo.service.errors import (
    BusyError,
    ConflictError,
    FinishedError,
    InvalidError,
    NotFoundError,
    PausedError,
)
from benchmark.hpo.service.giving import Giving, stored
from benchmark.hpo.service.tally import Tally
from benchmark.hpo.space import identity
from benchmark.hpo.stopping import STREAK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from optuna.trial import FrozenTrial

    from benchmark.hpo.service.endings import Ending
    from benchmark.hpo.service.giving import Given
    from benchmark.hpo.service.homes import Opened
    from benchmark.hpo.service.tally import Counts
    from benchmark.hpo.space import Params

State = Literal["running", "paused", "stopped"]

STATE, USED_UP = "service_state", "service_used_up"
MOST_WAITING = 64
_log = logging.getLogger("benchmark.hpo.service")
_CHUNK = 100


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
        self._state: State | None = None
        self._used_up: bool | None = None
        self._failing = 0
        self._tally = Tally(self.optimizer, opened.terms, opened.definition, alone=opened.alone)
        self._giving = Giving(self.optimizer, opened, self._tally)
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._ahead = Ahead(self.optimizer, opened.definition, background)
        if opened.alone:
            with opened.leases.exclusive():
                self._giving.promise_again()

    def is_current(self) -> bool:
        """Whether no other server has deleted the study, and founded another of its name."""
        if self._opened.alone:
            return True
        study = self.optimizer.study
        try:
            found = study._storage.get_study_id_from_name(self.definition.name)
        except KeyError:
            return False
        return bool(found == study._study_id)

    def close(self) -> None:
        """Give the experiment back; suggestions that nobody took are dropped."""
        self._ahead.close()
        self._opened.close.close()

    def ask(
        self, count: int = 1, key: str | None = None, lease_s: float | Literal["own"] | None = "own"
    ) -> list[Given]:
        """New trials, or those whose lease has ended; fewer where budgets or points are used up.

        The same key gives the same trials again. Nothing is given where all are in other hands, or
        as many as the experiment declares to be run at once.

        Raises:
            PausedError: a client has paused the experiment.
            FinishedError: it was stopped, or its budget is used up and every trial told.
            BusyError: too many clients wait for its sampler.
        """
        time_s = self.terms.lease_s if lease_s == "own" else lease_s
        given: list[Given] = []
        if not self._waiting.acquire(blocking=False):
            raise BusyError(
                f"{MOST_WAITING} clients wait for the sampler of '{self.terms.experiment}'; try "
                "again in a while."
            )
        try:
            while True:
                with self._opened.leases.exclusive(), self._tally.still():
                    if not given:
                        given += self._giving.earlier(key, time_s) if key else []
                        if given:
                            break
                        self._admit()
                        given += self._giving.ended_leases(count, key, time_s)
                    given += self._new(count - len(given), key, time_s)
                    if len(given) >= count or not self._tally.has_room():
                        break
                try:
                    self._ahead.make()
                except ExhaustedError:
                    if not self._used_up:
                        self._keep(USED_UP, True)
                    self._used_up = True
                    break
        finally:
            self._waiting.release()
        self._ahead.think()
        if not given and not self._tally.running():
            raise self._finished()
        return given

    def tell(self, number: int, ending: Ending, lease: str | None = None) -> bool:
        """End a trial; False where the same was told before.

        With the token of its lease a trial is ended only while no other client has it.

        Raises:
            NotFoundError: there is no such trial.
            InvalidError: the ending does not fit the study.
            ConflictError: the trial ended otherwise before, or another client has it now.
        """
        self.check(ending)

        def admit(trial: FrozenTrial) -> None:
            if lease is not None and kept_in(trial, GIVEN).get("lease") != lease:
                raise self._anothers(number)

        try:
            first = self.optimizer.tell(number, told_of(ending), admit)
        except KeyError:
            raise self._no_trial(number) from None
        if first:
            self._opened.leases.release(number)
            self._tally.ended(number, ending)
            self._failing = self._failing + 1 if ending.status == "failure" else 0
            if self._failing and not self._failing % STREAK:
                name = self.terms.experiment
                _log.warning("The last %d trials of '%s' failed.", self._failing, name)
            self._ahead.told()
            self._on_told(self, number)
            return True
        trial = self.trial(number)
        if is_same(trial, ending):
            return False
        raise ConflictError(
            f"Trial {number} of '{self.terms.experiment}' has ended as {status_of(trial)} with "
            "another content already; the first result counts."
        )

    def check(self, ending: Ending) -> None:
        """Refuse an ending that does not fit the study's directions."""
        wanted = len(self.definition.directions)
        if (ending.status == "success" or ending.values) and len(ending.values) != wanted:
            raise InvalidError(
                f"The {ending.status} has {len(ending.values)} values and the experiment {wanted} "
                "directions; give a value for each."
            )

    def heartbeat(self, number: int, token: str) -> float | None:
        """Begin the lease's time anew; returns it in seconds.

        Raises:
            NotFoundError: there is no such trial.
            ConflictError: the trial has ended, or another client has it now.
        """
        trial = self._unfinished(number)
        lease_s: float | None = kept_in(trial, GIVEN).get("lease_s")
        if not self._opened.leases.renew(number, token, lease_s):
            raise self._anothers(number)
        return lease_s

    def report(self, number: int, step: int, value: float) -> bool:
        """Keep an intermediate value; True where the pruner would end the trial.

        Raises:
            NotFoundError, ConflictError: there is no such trial, or it has ended.
        """
        from benchmark.hpo.algorithms import pruner_of
        from benchmark.hpo.trial_write import TrialWrite

        try:
            first = self.optimizer.write(number, TrialWrite(intermediate={step: value}))
        except KeyError:
            raise self._no_trial(number) from None
        if not first:
            raise self._ended(number)
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
        for place, (params, ending) in enumerate(entries):
            fault = self.definition.space.fault(params)
            if fault is not None:
                raise InvalidError(f"Result {place}: {fault}")
            self.check(ending)
        numbers: list[int] = []
        while len(numbers) < len(entries):
            # Others ask between two chunks.
            with self._opened.leases.exclusive():
                self._tally.look()
                had = self._tally.of_key(key, appended=True) if key else numbers
                self._check_repeated(had[len(numbers) :], entries[len(numbers) :])
                chunk = entries[len(had) : len(had) + _CHUNK]
                new = self._append_chunk(chunk, key)
                numbers = had + new
                self._tally.look()
            for number in new:
                self._on_told(self, number)
        self._ahead.told()
        return numbers

    def set_state(self, state: State) -> None:
        """Pause, resume or stop; what is in clients' hands may still be told.

        Raises:
            ConflictError: it was stopped before, which is for good.
        """
        if self.state == "stopped" and state != "stopped":
            raise ConflictError(f"'{self.terms.experiment}' was stopped, which is for good.")
        self._keep(STATE, state)
        self._state = state

    @property
    def state(self) -> State:
        """Running, paused or stopped, as the clients want it or an ending did."""
        if self._tally.counts().stopped:
            return "stopped"
        if self._state is None or not self._opened.alone:
            self._state = self._kept().get(STATE, "running")
        return self._state

    @property
    def is_finished(self) -> bool:
        """Whether it gives out no trials any more and none is in a client's hands."""
        if self._used_up is None or not (self._used_up or self._opened.alone):
            self._used_up = self._kept().get(USED_UP, False)
        return self._tally.is_over(ended=self._used_up or self.state == "stopped")

    def counts(self) -> Counts:
        return self._tally.counts()

    def running(self) -> list[int]:
        """The trials in clients' hands, the one first that was asked first."""
        return self._tally.running()

    def trial(self, number: int) -> FrozenTrial:
        """A trial as the storage has it.

        Raises:
            NotFoundError: there is none of that number.
        """
        try:
            return stored(self.optimizer, number)
        except KeyError:
            raise self._no_trial(number) from None

    def _keep(self, name: str, value: Any) -> None:
        study = self.optimizer.study
        study._storage.set_study_user_attr(study._study_id, name, value)

    def _kept(self) -> dict[str, Any]:
        study = self.optimizer.study
        return study._storage.get_study_user_attrs(study._study_id)

    def _no_trial(self, number: int) -> NotFoundError:
        return NotFoundError(f"There is no trial {number} in '{self.terms.experiment}'.")

    def _unfinished(self, number: int) -> FrozenTrial:
        trial = self.trial(number)
        if trial.state.is_finished():
            raise self._ended(number)
        return trial

    def _ended(self, number: int) -> ConflictError:
        return ConflictError(
            f"Trial {number} of '{self.terms.experiment}' has ended already; ask for a new one."
        )

    def _anothers(self, number: int) -> ConflictError:
        return ConflictError(
            f"Trial {number} of '{self.terms.experiment}' is another client's now; end it "
            "here and ask for a new one."
        )

    def _admit(self) -> None:
        state = self.state
        if state == "paused":
            raise PausedError(f"'{self.terms.experiment}' is paused; ask again later.")
        if state == "stopped":
            raise self._finished()

    def _new(self, count: int, key: str | None, lease_s: float | None) -> list[Given]:
        """As many new trials as there are suggestions ready and budgets left."""
        given: list[Given] = []
        while len(given) < count and self._tally.has_room():
            proposal = self._ahead.pop()
            if proposal is None:
                break
            if not self._opened.alone and self.optimizer.was_taken(proposal):
                self._ahead.drop(proposal)
                continue
            given.append(self._giving.take(proposal, key, lease_s))
        return given

    def _check_repeated(self, had: list[int], entries: Sequence[tuple[Params, Ending]]) -> None:
        """Refuse entries that are not those that were appended with the same key."""
        typed = {tunable.name: tunable.typed for tunable in self.definition.space.tunables}
        trials = [self.trial(number) for number in had]
        if len(had) > len(entries) or not all(
            identity(self.optimizer.params_of(trial))
            == identity({name: typed[name](value) for name, value in params.items()})
            and is_same(trial, ending)
            for trial, (params, ending) in zip(trials, entries, strict=False)
        ):
            raise ConflictError(
                "The idempotency key was sent with other results before; send a new key with new "
                "results."
            )

    def _append_chunk(self, entries: Sequence[tuple[Params, Ending]], key: str | None) -> list[int]:
        from benchmark.hpo.trial_write import create_trials

        study = self.optimizer.study
        trials = [self._appended(params, ending, key) for params, ending in entries]
        return create_trials(study._storage, study._study_id, trials)

    def _appended(self, params: Params, ending: Ending, key: str | None) -> FrozenTrial:
        import optuna

        told = told_of(ending)
        states = optuna.trial.TrialState
        state = {"success": states.COMPLETE, "failure": states.FAIL, "prune": states.PRUNED}
        by_name = {tunable.name: tunable for tunable in self.definition.space.tunables}
        attrs: dict[str, Any] = {GIVEN: {"appended": True}, **told.attrs}
        if key is not None:
            attrs[GIVEN]["key"] = key
        if told.metrics:
            attrs["metrics"] = told.metrics
        return optuna.trial.create_trial(
            state=state[told.status],
            values=list(told.values) if told.status == "success" else None,
            params=dict(params),
            distributions={name: by_name[name].distribution() for name in params},
            user_attrs=attrs,
            system_attrs={"constraints": list(told.constraints)} if told.constraints else {},
            intermediate_values=dict(told.intermediate),
        )

    def _finished(self) -> FinishedError:
        counts = self.counts()
        return FinishedError(
            f"The experiment '{self.terms.experiment}' gives out no more trials: {counts.told} of "
            f"{self.definition.trials} are told."
        )
