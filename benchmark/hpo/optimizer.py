"""One ask/tell door to every algorithm.

    optimizer = Optimizer(space, ["minimize"], "optuna_tpe", seed=1, storage=storage, name="s")
    trial = optimizer.ask()                    # Asked(number, params), already durable
    optimizer.tell(trial.number, Told("success", (0.5,)))

Optuna's storage is the durable history. The sampler itself works on a copy of it in memory, so that
an asked point enters the storage whole and at once (a kill cannot leave half a trial), and points
that a rule forbids, or that were asked before, are turned down without leaving a trace there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.algorithms import GRID, sampler_of
from benchmark.hpo.space import LARGEST_GRID, SpaceError, identity

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

    from benchmark.hpo.space import Params, Space

Direction = Literal["minimize", "maximize"]
Status = Literal["success", "failure", "prune"]

_TRIES = 20
_CONSTRAINTS = "constraints"


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


class Optimizer:
    """Asks and tells one study. Not for several threads; several processes may share a storage."""

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

        self.space = space
        self.study = optuna.create_study(
            study_name=name, storage=storage, directions=list(directions), load_if_exists=True
        )
        self._optuna = optuna
        self._seed = seed
        self._algorithm = algorithm
        size = space.size()
        self._countable = size is not None and size <= LARGEST_GRID
        self._places: dict[int, int] = {}
        self._asked: set[Any] = set()
        self._points: list[Params] | None = None
        past = len(self.trials())
        # A resumed study must not draw what its first part drew.
        self._generator = random.Random(f"{seed}/{past}" if seed is not None else None)  # noqa: S311
        drawn_with = None if seed is None else (seed + past) % 2**32
        self._shadow = optuna.create_study(
            directions=list(directions), sampler=sampler_of(algorithm, drawn_with)
        )
        for key, value in self._durable_attrs().items():
            if not key.startswith("study:"):
                self._shadow._storage.set_study_system_attr(self._shadow._study_id, key, value)
        self._learn()

    def trials(self) -> list[FrozenTrial]:
        """Every trial of the storage."""
        return self.study.get_trials(deepcopy=False)

    def running(self) -> list[Asked]:
        """The trials that were asked and not told: what a killed driver left."""
        state = self._optuna.trial.TrialState.RUNNING
        return [
            Asked(trial.number, self.params_of(trial))
            for trial in self.trials()
            if trial.state == state
        ]

    def params_of(self, trial: FrozenTrial) -> Params:
        """The values as they were declared: a stepped double exact to its step."""
        by_name = {tunable.name: tunable for tunable in self.space.tunables}
        return {
            name: by_name[name].typed(trial.params[name])
            for name in self.space.names
            if name in trial.params
        }

    def ask(self, params: Params | None = None) -> Asked:
        """A new trial, in the storage when this returns; the point is the sampler's or `params`.

        Raises:
            ExhaustedError: a countable space has no point left.
        """
        self._learn()
        trial = self._given(params) if params is not None else self._proposed()
        return self._store(trial)

    def tell(self, number: int, told: Told) -> bool:
        """End a trial; False where it had ended before, and nothing changes."""
        states = self._optuna.trial.TrialState
        state = {
            "success": states.COMPLETE,
            "failure": states.FAIL,
            "prune": states.PRUNED,
        }[told.status]
        storage = self.study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        if storage.get_trial(trial_id).state.is_finished():
            return False
        for step, value in told.intermediate.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        if told.constraints:
            storage.set_trial_system_attr(trial_id, _CONSTRAINTS, list(told.constraints))
        if told.metrics:
            storage.set_trial_user_attr(trial_id, "metrics", told.metrics)
        values = list(told.values) if told.status == "success" else None
        if not storage.set_trial_state_values(trial_id, state, values):
            return False
        self._learn()
        return True

    def mark(self, number: int, key: str, value: Any) -> None:
        """A user attribute of a trial that has not ended; one that has keeps those it has."""
        storage = self.study._storage
        trial_id = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        if not storage.get_trial(trial_id).state.is_finished():
            storage.set_trial_user_attr(trial_id, key, value)

    def _given(self, params: Params) -> optuna.trial.Trial:
        fault = self.space.fault(params)
        if fault is not None:
            raise SpaceError(fault)
        return self._fixed(params)

    def _proposed(self) -> optuna.trial.Trial:
        """The sampler's next point that is admitted and, where that can be, new."""
        if self._countable and self._points is None:
            self._points = list(self.space.points())
            random.Random(self._seed or 0).shuffle(self._points)  # noqa: S311
        if self._algorithm == GRID or self._nearly_exhausted():
            return self._fixed(self._next_point())
        for _ in range(_TRIES):
            trial = self._shadow.ask()
            params = self.space.build(lambda tunable, on=trial: tunable.suggest(on))  # type: ignore[misc]
            new = not self._countable or identity(params) not in self._asked
            if new and self.space.forbidding(params) is None:
                return trial
            self._shadow.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        if self._countable:
            return self._fixed(self._next_point())
        return self._fixed(self.space.draw(self._generator))

    def _nearly_exhausted(self) -> bool:
        """Whether so few points are left that to propose them is to search for them."""
        return self._points is not None and len(self._points) - len(self._asked) <= _TRIES

    def _next_point(self) -> Params:
        if self._points is None:
            for tunable in self.space.tunables:
                if tunable.steps is None:
                    raise SpaceError(
                        f"The tunable '{tunable.name}' has no step, which grid needs; give it one."
                    )
            raise SpaceError(
                f"The space has {self.space.size()} points and grid goes through {LARGEST_GRID} "
                "at most; choose another algorithm."
            )
        for params in self._points:
            if identity(params) not in self._asked:
                return params
        raise ExhaustedError(f"All {len(self._points)} points of the space have been asked.")

    def _fixed(self, params: Params) -> optuna.trial.Trial:
        """A trial of the shadow at a point that is not the sampler's."""
        self._shadow.enqueue_trial(dict(params))
        trial = self._shadow.ask()
        self.space.build(lambda tunable: tunable.suggest(trial))
        return trial

    def _store(self, trial: optuna.trial.Trial) -> Asked:
        """The shadow's trial, whole, into the storage."""
        storage, shadow = self.study._storage, self._shadow._storage
        frozen = shadow.get_trial(trial._trial_id)
        durable = self._durable_attrs()
        for key, value in shadow.get_study_system_attrs(self._shadow._study_id).items():
            if not key.startswith("study:") and durable.get(key) != value:
                storage.set_study_system_attr(self.study._study_id, key, value)
        kept = {k: v for k, v in frozen.system_attrs.items() if k != "fixed_params"}
        template = self._optuna.trial.FrozenTrial(
            number=-1,
            state=self._optuna.trial.TrialState.RUNNING,
            value=None,
            datetime_start=frozen.datetime_start,
            datetime_complete=None,
            params=frozen.params,
            distributions=frozen.distributions,
            user_attrs={},
            system_attrs=kept,
            intermediate_values={},
            trial_id=-1,
        )
        trial_id = storage.create_new_trial(self.study._study_id, template_trial=template)
        number = storage.get_trial_number_from_id(trial_id)
        self._places[number] = trial.number
        params = self.params_of(frozen)
        self._asked.add(identity(params))
        return Asked(number, params)

    def _durable_attrs(self) -> dict[str, Any]:
        return self.study._storage.get_study_system_attrs(self.study._study_id)

    def _learn(self) -> None:
        """Bring what the storage has and the shadow has not into the shadow."""
        states = self._optuna.trial.TrialState
        shadow = {trial.number: trial for trial in self._shadow.get_trials(deepcopy=False)}
        for trial in self.trials():
            place = self._places.get(trial.number)
            if place is None:
                if trial.state == states.WAITING:
                    continue
                self._asked.add(identity(self.params_of(trial)))
                storage = self._shadow._storage
                new = storage.create_new_trial(self._shadow._study_id, template_trial=trial)
                self._places[trial.number] = storage.get_trial_number_from_id(new)
            elif trial.state.is_finished() and not shadow[place].state.is_finished():
                self._finish(place, trial)

    def _finish(self, place: int, trial: FrozenTrial) -> None:
        storage = self._shadow._storage
        study_id = self._shadow._study_id
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, place)
        for step, value in trial.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        if _CONSTRAINTS in trial.system_attrs:
            values = trial.system_attrs[_CONSTRAINTS]
            storage.set_trial_system_attr(trial_id, _CONSTRAINTS, values)
        frozen = storage.get_trial(trial_id)
        self._shadow.sampler.after_trial(self._shadow, frozen, trial.state, trial.values)
        storage.set_trial_state_values(trial_id, trial.state, trial.values)
