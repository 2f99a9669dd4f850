"""One ask/tell door to every algorithm.

    optimizer = Optimizer(space, ["minimize"], "optuna_tpe", seed=1, storage=storage, name="s")
    trial = optimizer.ask()                    # Asked(number, params), already durable
    optimizer.tell(trial.number, Told("success", (0.5,)))

Optuna's storage is the durable history. The sampler itself works on a copy of it in memory
(shadow.py), where failures teach, and an asked point enters the storage whole and at once: a kill
cannot leave half a trial. A point that a rule forbids is moved to an admitted one near it.

An ask is two steps, which a caller that thinks ahead takes one at a time:

    proposal = optimizer.propose()             # the sampler's work, in memory only
    trial = optimizer.take(proposal)           # durable; or optimizer.drop(proposal)

What was told is learnt when the next point is proposed, and of the history only what is new is
looked at.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.algorithms import GRID
from benchmark.hpo.expressions import same
from benchmark.hpo.space import LARGEST_GRID, SpaceError, identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from benchmark.hpo.space import Params, Space
    from benchmark.hpo.trial_write import Admit, TrialWrite

Direction = Literal["minimize", "maximize"]
Status = Literal["success", "failure", "prune"]

_TRIES = 20
FORBIDDEN = "forbidden"
"""Of a trial in the storage: the points that a rule forbade before this one was proposed."""


class ExhaustedError(SpaceError):
    """Every admitted point of a countable space has been asked."""


@dataclass(frozen=True)
class Asked:
    """A trial to run: its number in the study, and the values of the tunables that are active."""

    number: int
    params: Params


@dataclass(frozen=True)
class Told:
    """How a trial ended: a value for each direction on success; constraints hold where <= 0."""

    status: Status
    values: tuple[float, ...] = ()
    constraints: tuple[float, ...] = ()
    intermediate: dict[int, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A point that nobody has been given yet: the shadow's trial, and what goes with it."""

    place: int
    params: Params
    frozen: FrozenTrial
    study_attrs: dict[str, Any]
    forbidden: tuple[Params, ...] = ()


class Optimizer:
    """Asks and tells one study; several processes may share a storage.

    One thread at a time may propose and drop; meanwhile others may take and tell.
    """

    def __init__(  # noqa: PLR0917
        self,
        space: Space,
        directions: Sequence[Direction],
        algorithm: str,
        seed: int | None,
        storage: BaseStorage,
        name: str,
    ) -> None:
        import optuna

        from benchmark.hpo.shadow import Shadow

        self.space = space
        self.study = optuna.create_study(
            study_name=name, storage=storage, directions=list(directions), load_if_exists=True
        )
        self._optuna = optuna
        self._seed = seed
        self._algorithm = algorithm
        self._size = space.size() or 0
        self._countable = 0 < self._size <= LARGEST_GRID
        self._next = 0
        self._places: dict[int, int] = {}
        self._open: set[int] = set()
        self._waiting: set[int] = set()
        self._walked = 0
        self._joining = threading.Lock()
        self._asked: set[Any] = set()
        self._points: list[Params] | None = None
        self._forbidden: list[Params] = []
        self._shadow = Shadow(directions, algorithm, seed)
        self._shadow.keep(self._durable_attrs())
        self._learn()

    def trials(self) -> list[FrozenTrial]:
        """Every trial of the storage."""
        return self.study.get_trials(deepcopy=False)

    def running(self) -> list[Asked]:
        """The trials that were asked and not told: what a killed driver left."""
        state = self._optuna.trial.TrialState.RUNNING
        running = (trial for trial in self.trials() if trial.state == state)
        return [Asked(trial.number, self.params_of(trial)) for trial in running]

    def params_of(self, trial: FrozenTrial) -> Params:
        """The values as they were declared: a stepped double exact to its step."""
        by_name = {tunable.name: tunable for tunable in self.space.tunables}
        return {
            name: by_name[name].typed(trial.params[name])
            for name in self.space.names
            if name in trial.params
        }

    def ask(self, params: Params | None = None, held: Params | None = None) -> Asked:
        """A new trial, in the storage when this returns; the point is the sampler's or `params`.

        The tunables in `held` have these values, and the sampler chooses the others.

        Raises:
            ExhaustedError: a countable space, or what `held` leaves of it, has no point left.
        """
        return self.take(self.propose(params, held))

    def propose(self, params: Params | None = None, held: Params | None = None) -> Proposal:
        """A point, the sampler's or `params`, that is in no storage yet.

        Raises:
            ExhaustedError: a countable space has no point left.
        """
        self._learn()
        self._generator = self._shadow.begin()
        self._forbidden = []
        if params is not None:
            trial = self._given(params)
        else:
            trial = self._part(held) if held else self._proposed()
        frozen = self._shadow.frozen(trial)
        found = self.params_of(frozen)
        self._asked.add(identity(found))
        forbidden = tuple(self._forbidden)
        return Proposal(trial.number, found, frozen, self._shadow.attrs, forbidden)

    def drop(self, proposal: Proposal) -> None:
        """Forget a proposal that nobody took."""
        self._shadow.drop(proposal.place)
        self._asked.discard(identity(proposal.params))
        self._next = 0

    def was_taken(self, proposal: Proposal) -> bool:
        """Whether another process has asked this point meanwhile, where a point is asked once."""
        if not self._size:
            return False
        mine = identity(proposal.params)
        return any(
            identity(self.params_of(trial)) == mine
            for trial in self.trials()[self._walked :]
            if trial.number not in self._places
        )

    def take(self, proposal: Proposal, attrs: dict[str, Any] | None = None) -> Asked:
        """The proposal as a trial of the storage, whole and at once, with these user attributes."""
        storage, frozen = self.study._storage, proposal.frozen
        if proposal.study_attrs:
            durable = self._durable_attrs()
            for key, value in proposal.study_attrs.items():
                if durable.get(key) != value:
                    storage.set_study_system_attr(self.study._study_id, key, value)
        template = self._optuna.trial.FrozenTrial(
            number=-1,
            state=self._optuna.trial.TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params=frozen.params,
            distributions=frozen.distributions,
            user_attrs=attrs or {},
            system_attrs={k: v for k, v in frozen.system_attrs.items() if k != "fixed_params"}
            | ({FORBIDDEN: list(proposal.forbidden)} if proposal.forbidden else {}),
            intermediate_values={},
            trial_id=-1,
        )
        with self._joining:
            trial_id = storage.create_new_trial(self.study._study_id, template_trial=template)
            number = storage.get_trial_number_from_id(trial_id)
            self._places[number] = proposal.place
            self._open.add(number)
        return Asked(number, proposal.params)

    def tell(self, number: int, told: Told, admit: Admit | None = None) -> bool:
        """End a trial in one write; False where it had ended before, and nothing changes.

        `admit` is called with the trial before the write, and may raise to prevent it.
        """
        from benchmark.hpo.shadow import CONSTRAINTS
        from benchmark.hpo.trial_write import TrialWrite

        states = self._optuna.trial.TrialState
        ends = {"success": states.COMPLETE, "failure": states.FAIL, "prune": states.PRUNED}
        write = TrialWrite(
            state=ends[told.status],
            values=told.values if told.status == "success" else None,
            intermediate=told.intermediate,
            user_attrs=told.attrs | ({"metrics": told.metrics} if told.metrics else {}),
            system_attrs={CONSTRAINTS: list(told.constraints)} if told.constraints else {},
        )
        return self.write(number, write, admit)

    def write(self, number: int, write: TrialWrite, admit: Admit | None = None) -> bool:
        """Write to a trial that has not ended; False where it has, and nothing changes."""
        from benchmark.hpo.trial_write import write_trial

        storage = self.study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        return write_trial(storage, trial_id, write, admit)

    def begin_with(self) -> list[Params]:
        """The points of the default and of `initial` that were not asked yet."""
        default = self.space.default()
        points = ([default] if default is not None else []) + [*self.space.initial]
        self._learn()
        new = {identity(point): point for point in points if identity(point) not in self._asked}
        return list(new.values())

    def _given(self, params: Params) -> optuna.trial.Trial:
        fault = self.space.fault(params)
        if fault is not None:
            raise SpaceError(fault)
        return self._fixed(params)

    def _proposed(self) -> optuna.trial.Trial:
        """The sampler's next point that is admitted and, where that can be, new."""
        if self._algorithm == GRID or self._nearly_exhausted():
            return self._fixed(self._next_point())
        for _ in range(_TRIES):
            trial = self._shadow.ask()
            point = self._admitted(trial, self._suggested(trial))
            if point is not None and self._is_new(point):
                return trial
            self._shadow.forget(trial)
        if self._countable:
            return self._fixed(self._next_point())
        drawn = (self.space.draw(self._generator) for _ in range(_TRIES))
        found = next(filter(self._is_new, drawn), None)
        return self._fixed(self.space.draw(self._generator) if found is None else found)

    def _admitted(
        self, trial: optuna.trial.Trial, params: Params, held: Iterable[str] = ()
    ) -> Params | None:
        """The point; where a rule forbids it the sampler learns so, and an admitted one near it."""
        if self.space.forbidding(params) is None:
            return params
        self._forbidden.append(self._shadow.forbid(trial))
        near = self.space.near(params, self._generator, [*held])
        if near is not None:
            self._shadow.move(trial, near, self.space.distributions(near))
        return near

    def _is_new(self, params: Params) -> bool:
        """Whether the point was not asked yet; where points are uncountable each is as good."""
        return not self._size or identity(params) not in self._asked

    def _suggested(self, trial: optuna.trial.Trial) -> Params:
        return self.space.build(lambda tunable: tunable.suggest(trial))

    def _part(self, held: Params) -> optuna.trial.Trial:
        """The sampler's next point with some tunables held; each point once."""
        import warnings

        from optuna.samplers import PartialFixedSampler

        study = self._shadow.study
        sampler = study.sampler
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls it experimental
            study.sampler = PartialFixedSampler(held, sampler)
        try:
            for _ in range(0 if self._algorithm == GRID else _TRIES):
                trial = self._shadow.ask()
                point = self._admitted(trial, self._suggested(trial), held)
                if point is not None and identity(point) not in self._asked:
                    return trial
                self._shadow.forget(trial)
        finally:
            study.sampler = sampler
        for point in self._all_points() if self._countable else ():
            if identity(point) not in self._asked and _agrees(point, held):
                return self._fixed(point)
        raise ExhaustedError("All points that the held tunables leave have been asked.")

    def _nearly_exhausted(self) -> bool:
        """Whether so few points are left that to propose them is to search for them."""
        if not self._countable or 2 * len(self._asked) < self._size:
            return False
        return len(self._all_points()) - len(self._asked) <= _TRIES

    def _all_points(self) -> list[Params]:
        """Every admitted point in an order of its own; made only where it is needed: it is long."""
        if self._points is None:
            self._points = list(self.space.points())
            random.Random(self._seed or 0).shuffle(self._points)  # noqa: S311  # nosec B311 # points
        return self._points

    def _next_point(self) -> Params:
        if not self._countable:
            for tunable in self.space.tunables:
                if tunable.steps is None:
                    raise SpaceError(
                        f"The tunable '{tunable.name}' has no step, which grid needs; give it one."
                    )
            raise SpaceError(
                f"The space has {self.space.size()} points and grid goes through {LARGEST_GRID} "
                "at most; choose another algorithm."
            )
        points = self._all_points()
        while self._next < len(points):
            if identity(points[self._next]) not in self._asked:
                return points[self._next]
            self._next += 1
        raise ExhaustedError(f"All {len(points)} points of the space have been asked.")

    def _fixed(self, params: Params) -> optuna.trial.Trial:
        """A trial of the shadow at a point that is not the sampler's."""
        self._shadow.study.enqueue_trial(dict(params))
        trial = self._shadow.ask()
        self.space.build(lambda tunable: tunable.suggest(trial))
        return trial

    def _durable_attrs(self) -> dict[str, Any]:
        return self.study._storage.get_study_system_attrs(self.study._study_id)

    def _learn(self) -> None:
        """Bring what the storage has and the shadow has not into the shadow."""
        with self._joining:
            trials = self.trials()
            for number in sorted(self._open):
                if trials[number].state.is_finished():
                    self._open.discard(number)
                    self._shadow.finish(self._places[number], trials[number])
            waiting = self._optuna.trial.TrialState.WAITING
            for number in [*sorted(self._waiting), *range(self._walked, len(trials))]:
                if trials[number].state == waiting:
                    self._waiting.add(number)
                    continue
                self._waiting.discard(number)
                if number not in self._places:
                    self._adopt(trials[number])
            self._walked = len(trials)

    def _adopt(self, trial: FrozenTrial) -> None:
        """A trial of another process, or of an earlier one."""
        self._asked.add(identity(self.params_of(trial)))
        forbidden = [
            (params, self.space.distributions(params))
            for params in trial.system_attrs.get(FORBIDDEN) or ()
        ]
        self._places[trial.number] = self._shadow.adopt(trial, forbidden)
        if not trial.state.is_finished():
            self._open.add(trial.number)


def _agrees(point: Params, held: Params) -> bool:
    """Whether the point has the held values, as far as those tunables are active in it."""
    return all(same(point[name], value) for name, value in held.items() if name in point)
