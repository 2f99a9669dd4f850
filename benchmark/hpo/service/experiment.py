"""One experiment: trials asked under a lease, told once, kept before they are answered.

    given = experiment.ask(key="worker-7/12")       # Given(number, params, token, ...)
    experiment.heartbeat(given[0].number, given[0].token)
    experiment.tell(given[0].number, Ending("success", (0.5,)))

Every method may be called from many threads. What it changed is in the storage when it returns.
"""

from __future__ import annotations

import itertools
import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.optimizer import ExhaustedError, Optimizer, Told
from benchmark.hpo.service.ahead import Ahead
from benchmark.hpo.service.errors import (
    BusyError,
    ConflictError,
    FinishedError,
    InvalidError,
    NotFoundError,
    PausedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from optuna.trial import FrozenTrial

    from benchmark.hpo.optimizer import Proposal
    from benchmark.hpo.service.homes import Opened
    from benchmark.hpo.space import Params

Status = Literal["success", "failure", "prune", "infeasible"]
State = Literal["running", "paused", "stopped"]

GIVEN, ENDED, STATE = "service", "told", "service_state"
MOST_WAITING = 64


@dataclass(frozen=True)
class Given:
    """A trial in a client's hands. `again` where another had it before and let its lease end."""

    number: int
    params: Params
    token: str
    lease_s: float | None
    again: bool = False


@dataclass(frozen=True)
class Ending:
    """How a client says that a trial ended: a value for each direction on success."""

    status: Status
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    constraints: tuple[float, ...] = ()
    intermediate: dict[int, float] = field(default_factory=dict)
    cost: float | None = None
    message: str = ""


@dataclass
class Counts:
    """What the budgets look at."""

    asked: int = 0
    told: int = 0
    cost: float = 0.0
    begun: datetime | None = None


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
        self._counts = Counts()
        self._walked = 0
        self._running: dict[int, None] = {}
        self._keys: dict[str, list[int]] = {}
        self._counting = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._ahead = Ahead(self.optimizer, opened.definition, background)
        self._look()
        self._promise_again()

    def close(self) -> None:
        """Give the experiment back; suggestions that nobody took are dropped."""
        self._ahead.close()
        self._opened.close.close()

    def ask(
        self, count: int = 1, key: str | None = None, lease_s: float | Literal["own"] | None = "own"
    ) -> list[Given]:
        """New trials, or those whose lease has ended; fewer where budgets or points are used up.

        The same key gives the same trials again. Nothing is given where all are in other hands.

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
                with self._opened.leases.exclusive():
                    if not given:
                        given += self._earlier(key, time_s)
                        if given:
                            break
                        self._admit()
                        given += self._ended_leases(count, time_s)
                    given += self._new(count - len(given), key, time_s)
                    if len(given) >= count or not self._may_ask():
                        break
                try:
                    self._ahead.make()
                except ExhaustedError:
                    break
        finally:
            self._waiting.release()
        self._ahead.think()
        if not given and not self._running_now():
            raise self._finished()
        return given

    def tell(self, number: int, ending: Ending, key: str | None = None) -> bool:
        """End a trial; False where the same was told before.

        Raises:
            NotFoundError: there is no such trial.
            InvalidError: the ending does not fit the study.
            ConflictError: the trial ended otherwise before.
        """
        self.check(ending)
        try:
            first = self.optimizer.tell(number, _told(ending, key))
        except KeyError:
            raise self._no_trial(number) from None
        if first:
            self._opened.leases.release(number)
            self._learn_of(number, ending.cost)
            return True
        trial = self.trial(number)
        if (key is not None and _kept(trial, ENDED).get("key") == key) or _same(trial, ending):
            return False
        raise ConflictError(
            f"Trial {number} of '{self.terms.experiment}' has ended as "
            f"{_kept(trial, ENDED).get('status') or trial.state.name.lower()} already; the first "
            "result counts."
        )

    def check(self, ending: Ending) -> None:
        """Refuse an ending that does not fit the study's directions."""
        wanted = len(self.definition.directions)
        if ending.status == "success" and len(ending.values) != wanted:
            raise InvalidError(
                f"The success has {len(ending.values)} values and the experiment {wanted} "
                "directions; give a value for each."
            )

    def heartbeat(self, number: int, token: str) -> float | None:
        """Begin the lease's time anew; returns it in seconds.

        Raises:
            NotFoundError: there is no such trial.
            ConflictError: the trial has ended, or another client has it now.
        """
        trial = self._unfinished(number)
        lease_s: float | None = _kept(trial, GIVEN).get("lease_s")
        if not self._opened.leases.renew(number, token, lease_s):
            raise ConflictError(
                f"Trial {number} of '{self.terms.experiment}' is another client's now; end it "
                "here and ask for a new one."
            )
        return lease_s

    def report(self, number: int, step: int, value: float) -> bool:
        """Keep an intermediate value; True where the pruner would end the trial.

        Raises:
            NotFoundError, ConflictError: there is no such trial, or it has ended.
        """
        from optuna.exceptions import UpdateFinishedTrialError

        from benchmark.hpo.algorithms import pruner_of

        trial = self._unfinished(number)
        storage = self.optimizer.study._storage
        try:
            storage.set_trial_intermediate_value(trial._trial_id, step, value)
        except UpdateFinishedTrialError:
            raise self._ended(number) from None
        chosen = dict(self.definition.pruner)
        if not chosen or len(self.definition.directions) > 1:
            return False
        pruner = pruner_of(chosen.pop("name", "none"), chosen)
        return bool(pruner.prune(self.optimizer.study, self.trial(number)))

    def append(self, entries: Sequence[tuple[Params, Ending]], key: str | None = None) -> list[int]:
        """Results that were measured before or elsewhere, as trials beyond the budget.

        Raises:
            InvalidError: a point is none of the space's; then nothing is appended.
        """
        for place, (params, ending) in enumerate(entries):
            fault = self.definition.space.fault(params)
            if fault is not None:
                raise InvalidError(f"Result {place}: {fault}")
            self.check(ending)
        with self._opened.leases.exclusive():
            self._look()
            had = list(self._keys.get(key, ())) if key else []
            numbers = had + [
                self._append_one(params, ending, key) for params, ending in entries[len(had) :]
            ]
            self._look()
        self._ahead.told()
        for number in numbers[len(had) :]:
            self._on_told(self, number)
        return numbers

    def set_state(self, state: State) -> None:
        """Pause, resume or stop; what is in clients' hands may still be told.

        Raises:
            ConflictError: it was stopped before, which is for good.
        """
        if self.state == "stopped" and state != "stopped":
            raise ConflictError(f"'{self.terms.experiment}' was stopped, which is for good.")
        study = self.optimizer.study
        study._storage.set_study_user_attr(study._study_id, STATE, state)
        self._state = state

    @property
    def state(self) -> State:
        """Running, paused or stopped, as the clients want it."""
        if self._state is None or not self._opened.alone:
            study = self.optimizer.study
            attrs = study._storage.get_study_user_attrs(study._study_id)
            self._state = attrs.get(STATE, "running")
        return self._state

    @property
    def is_finished(self) -> bool:
        """Whether it gives out no trials any more and none is in a client's hands."""
        with self._counting:
            self._refresh()
            over = self.state == "stopped" or not self._has_budget()
            return over and not self._running

    def counts(self) -> Counts:
        with self._counting:
            self._refresh()
            return Counts(**vars(self._counts))

    def running(self) -> list[int]:
        """The trials in clients' hands, the one first that was asked first."""
        return self._running_now()

    def trial(self, number: int) -> FrozenTrial:
        """A trial as the storage has it.

        Raises:
            NotFoundError: there is none of that number.
        """
        study = self.optimizer.study
        storage = study._storage
        try:
            if number < 0:
                raise KeyError(number)
            trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
            return storage.get_trial(trial_id)
        except KeyError:
            raise self._no_trial(number) from None

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

    def _earlier(self, key: str | None, lease_s: float | None) -> list[Given]:
        """What the same key was given before, with its time begun anew."""
        with self._counting:
            self._refresh()
        given = []
        for number in self._keys.get(key, ()) if key else ():
            trial = self.trial(number)
            kept = _kept(trial, GIVEN)
            if not trial.state.is_finished():
                self._opened.leases.grant(number, kept["lease"], lease_s)
            params = self.optimizer.params_of(trial)
            given.append(Given(number, params, kept["lease"], kept.get("lease_s"), again=True))
        return given

    def _admit(self) -> None:
        state = self.state
        if state == "paused":
            raise PausedError(f"'{self.terms.experiment}' is paused; ask again later.")
        if state == "stopped":
            raise self._finished()

    def _ended_leases(self, count: int, lease_s: float | None) -> list[Given]:
        """Trials whose client has not been heard of for too long, with their configuration."""
        holders = self._opened.leases.holders(self._running_now())
        free = [number for number, lease in holders.items() if lease is None]
        again = (self._again(number, lease_s) for number in free)
        return list(itertools.islice((given for given in again if given is not None), count))

    def _again(self, number: int, lease_s: float | None) -> Given | None:
        """Give a trial out once more; None where it was told this very moment."""
        from optuna.exceptions import UpdateFinishedTrialError

        trial = self.trial(number)
        if trial.state.is_finished():
            return None
        token = secrets.token_hex(8)
        kept = _kept(trial, GIVEN) | {"lease": token, "lease_s": lease_s}
        storage = self.optimizer.study._storage
        try:
            storage.set_trial_user_attr(trial._trial_id, GIVEN, kept)
        except UpdateFinishedTrialError:
            return None
        self._opened.leases.grant(number, token, lease_s)
        return Given(number, self.optimizer.params_of(trial), token, lease_s, again=True)

    def _new(self, count: int, key: str | None, lease_s: float | None) -> list[Given]:
        """As many new trials as there are suggestions ready and budgets left."""
        given: list[Given] = []
        while len(given) < count and self._may_ask():
            proposal = self._ahead.pop()
            if proposal is None:
                break
            if not self._opened.alone and self.optimizer.was_taken(proposal):
                self._ahead.drop(proposal)
                continue
            given.append(self._take(proposal, key, lease_s))
        return given

    def _take(self, proposal: Proposal, key: str | None, lease_s: float | None) -> Given:
        token = secrets.token_hex(8)
        kept: dict[str, Any] = {"lease": token, "lease_s": lease_s}
        if key is not None:
            kept["key"] = key
        asked = self.optimizer.take(proposal, {GIVEN: kept})
        self._opened.leases.grant(asked.number, token, lease_s)
        with self._counting:
            self._refresh(asked.number, key)
        return Given(asked.number, asked.params, token, lease_s)

    def _append_one(self, params: Params, ending: Ending, key: str | None) -> int:
        import optuna

        told = _told(ending, key)
        states = optuna.trial.TrialState
        state = {"success": states.COMPLETE, "failure": states.FAIL, "prune": states.PRUNED}
        by_name = {tunable.name: tunable for tunable in self.definition.space.tunables}
        attrs: dict[str, Any] = {GIVEN: {"appended": True}, **told.attrs}
        if key is not None:
            attrs[GIVEN]["key"] = key
        if told.metrics:
            attrs["metrics"] = told.metrics
        trial = optuna.trial.create_trial(
            state=state[told.status],
            values=list(told.values) if told.status == "success" else None,
            params=dict(params),
            distributions={name: by_name[name].distribution() for name in params},
            user_attrs=attrs,
            system_attrs={"constraints": list(told.constraints)} if told.constraints else {},
            intermediate_values=dict(told.intermediate),
        )
        storage, study_id = self.optimizer.study._storage, self.optimizer.study._study_id
        created = storage.create_new_trial(study_id, template_trial=trial)
        return int(storage.get_trial_number_from_id(created))

    def _may_ask(self) -> bool:
        with self._counting:
            self._refresh()
            return self._has_budget()

    def _has_budget(self) -> bool:
        counts, terms = self._counts, self.terms
        if counts.asked >= self.definition.trials:
            return False
        if terms.max_cost is not None and counts.cost >= terms.max_cost:
            return False
        if terms.max_time_s is None or counts.begun is None:
            return True
        return (datetime.now() - counts.begun).total_seconds() < terms.max_time_s

    def _finished(self) -> FinishedError:
        counts = self.counts()
        return FinishedError(
            f"The experiment '{self.terms.experiment}' gives out no more trials: {counts.told} of "
            f"{self.definition.trials} are told."
        )

    def _running_now(self) -> list[int]:
        with self._counting:
            self._refresh()
            return list(self._running)

    def _learn_of(self, number: int, cost: float | None) -> None:
        if self._opened.alone:
            with self._counting:
                if self._running.pop(number, 0) is None:
                    self._counts.told += 1
                    self._counts.cost += cost or 0.0
        self._ahead.told()
        self._on_told(self, number)

    def _look(self) -> None:
        with self._counting:
            self._refresh(whole=True)

    def _refresh(
        self, number: int | None = None, key: str | None = None, *, whole: bool = False
    ) -> None:
        """Bring the counts up to date: by what this process did, or from the shared storage."""
        if self._opened.alone and not whole and number is None:
            return
        if self._opened.alone and number is not None:
            self._running[number] = None
            self._counts.asked += 1
            self._counts.begun = self._counts.begun or datetime.now()
            self._walked = max(self._walked, number + 1)
            if key is not None:
                self._keys.setdefault(key, []).append(number)
            return
        trials = self.optimizer.trials()
        for running in list(self._running):
            if trials[running].state.is_finished():
                del self._running[running]
                self._count_end(trials[running])
        for trial in trials[self._walked :]:
            self._count(trial)
        self._walked = len(trials)

    def _count(self, trial: FrozenTrial) -> None:
        given = _kept(trial, GIVEN)
        if "key" in given:
            self._keys.setdefault(given["key"], []).append(trial.number)
        if given.get("appended"):
            return
        self._counts.asked += 1
        self._counts.begun = self._counts.begun or trial.datetime_start
        if trial.state.is_finished():
            self._count_end(trial)
        else:
            self._running[trial.number] = None

    def _count_end(self, trial: FrozenTrial) -> None:
        self._counts.told += 1
        self._counts.cost += _kept(trial, ENDED).get("cost") or 0.0

    def _promise_again(self) -> None:
        """After a restart each client has its time once more; what none was promised is free."""
        if not self._opened.alone:
            return
        with self._opened.leases.exclusive():
            for number in self._running:
                kept = _kept(self.trial(number), GIVEN)
                if "lease" in kept:
                    self._opened.leases.grant(number, kept["lease"], kept.get("lease_s"))


def _kept(trial: FrozenTrial, name: str) -> dict[str, Any]:
    found: dict[str, Any] = trial.user_attrs.get(name) or {}
    return found


def _told(ending: Ending, key: str | None) -> Told:
    """As the optimizer is told; an infeasible point with values is a point that breaks a rule."""
    status, constraints = ending.status, ending.constraints
    kept: dict[str, Any] = {"status": status}
    if ending.cost is not None:
        kept["cost"] = ending.cost
    if ending.message:
        kept["message"] = ending.message
    if key is not None:
        kept["key"] = key
    if status == "infeasible":
        status = "success" if ending.values else "failure"
        constraints = constraints or (1.0,)
    return Told(
        status=status,
        values=ending.values if status == "success" else (),
        constraints=constraints,
        intermediate=ending.intermediate,
        metrics=ending.metrics,
        attrs={ENDED: kept} if len(kept) > 1 or ending.status == "infeasible" else {},
    )


def _same(trial: FrozenTrial, ending: Ending) -> bool:
    """Whether the trial ended just so."""
    told = _told(ending, None)
    names = {"success": "COMPLETE", "failure": "FAIL", "prune": "PRUNED"}
    values = tuple(trial.values or ()) if trial.state.name == "COMPLETE" else ()
    status = _kept(trial, ENDED).get("status", told.status)
    infeasible = "infeasible" in (status, ending.status) and status != ending.status
    return trial.state.name == names[told.status] and values == told.values and not infeasible
