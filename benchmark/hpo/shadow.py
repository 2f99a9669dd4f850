"""The sampler of a study, and what it sees of the study: a copy in memory where failures teach.

Optuna's samplers pass over a trial that failed and so propose its like again. In the copy a trial
that failed, was ended at a limit, or was pruned without having reported a value is complete: with
the worst value measured and a positive constraint, as an infeasible one. So is each point that was
proposed and that a rule of the space forbids. The study's own storage keeps what happened.

Written for Optuna 5.0, of which it uses private names.
"""

from __future__ import annotations

import bisect
import copy
import hashlib
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmark.hpo.algorithms import LEARNS_PRUNED, sampler_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from optuna.distributions import BaseDistribution

CONSTRAINTS = "constraints"
_FAILED = "failed"
# It wants as many constraints of each trial.
_EVEN = ("gp",)


class Lessons(InMemoryStorage):
    """A storage whose reader sees failures as infeasible trials."""

    def __init__(self, algorithm: str) -> None:
        super().__init__()
        self._learns_pruned = algorithm in LEARNS_PRUNED or ":" in algorithm
        self._even = algorithm in _EVEN
        self._failed: list[FrozenTrial] = []
        self._forbidden: list[FrozenTrial] = []
        self._measured: list[FrozenTrial] = []
        self._worst: list[float] = []
        self._columns: dict[str, float] = {}
        self._shown: dict[int, FrozenTrial] | None = {}  # by number; None where it is to be made

    def note(self, trial: FrozenTrial) -> None:
        """A trial has ended."""
        columns, worst = dict(self._columns), self._worst
        for name, value in trial.constraints.items():
            columns[name] = max(value, columns.get(name, 0.0))
        if trial.state == TrialState.COMPLETE:
            values = [s * value for s, value in zip(self._signs(), trial.values, strict=True)]
            worst = [max(pair) for pair in zip(values, worst or values, strict=True)]
            self._measured.append(trial)
        elif self._is_lesson(trial):
            self._failed.append(trial)
        is_as_bad = (worst, columns) == (self._worst, self._columns)
        self._worst, self._columns = worst, columns
        if self._even or not is_as_bad:
            self._shown = None  # every lesson is as bad as the worst
        elif self._shown is not None and self._is_lesson(trial):
            self._shown[trial.number] = self._as_lesson(trial)

    def forbid(
        self, number: int, params: dict[str, Any], distributions: dict[str, BaseDistribution]
    ) -> None:
        """A point that a rule forbids was proposed for the trial of that number."""
        trial = optuna.trial.create_trial(
            state=TrialState.PRUNED, params=params, distributions=distributions
        )
        trial.number = number - 1  # readers leave out the trial under way by its number
        bisect.insort(self._forbidden, self._as_lesson(trial), key=lambda lesson: lesson.number)
        if self._even:
            self._shown = None

    def forget(self, trial_id: int) -> None:
        """Take back the newest trial, as if it had never been asked."""
        with self._lock:
            study_id, number = self._trial_id_to_study_id_and_number.pop(trial_id)
            trials = self._studies[study_id].trials
            if number != len(trials) - 1 or trial_id != self._max_trial_id:
                raise ValueError(f"Trial {number} is not the newest one.")
            trials.pop()
            self._max_trial_id -= 1
            known = self._prev_waiting_trial_number
            known[study_id] = min(known[study_id], number)

    def move(self, trial_id: int, params: dict[str, Any], distributions: dict[str, Any]) -> None:
        """Give a trial under way another point."""
        with self._lock:
            trial = copy.copy(self._get_trial(trial_id))
            trial.params, trial.distributions = dict(params), dict(distributions)
            self._set_trial(trial_id, trial)

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        if not (self._failed or self._forbidden or self._even) or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        with self._lock:
            shown = self._all_shown()
            trials = super().get_all_trials(study_id, deepcopy=False)
            trials = [shown.get(trial.number, trial) for trial in trials]
            if states is not None:
                trials = [trial for trial in trials if trial.state in states]
                # Not where all are asked for: samplers learn the space from what was really tried.
                if self._forbidden and TrialState.COMPLETE in states:
                    trials = sorted([*trials, *self._forbidden], key=lambda trial: trial.number)
        return copy.deepcopy(trials) if deepcopy else trials

    def _all_shown(self) -> dict[int, FrozenTrial]:
        """The trials that are shown otherwise than they are, by number."""
        if self._shown is None:
            self._shown = {trial.number: self._as_lesson(trial) for trial in self._failed}
            self._forbidden = [self._as_lesson(trial) for trial in self._forbidden]
            if self._even and (self._failed or self._forbidden or self._columns):
                self._shown |= {trial.number: self._as_feasible(trial) for trial in self._measured}
        return self._shown

    def _is_lesson(self, trial: FrozenTrial) -> bool:
        if trial.state == TrialState.PRUNED:
            return bool(trial.params) and not (self._learns_pruned and trial.intermediate_values)
        return trial.state == TrialState.FAIL and bool(trial.params)

    def _as_lesson(self, trial: FrozenTrial) -> FrozenTrial:
        own = trial.constraints
        columns = {name: own.get(name, worst) for name, worst in self._columns.items()}
        lesson = _with_constraints(trial, columns | {_FAILED: 1.0})
        lesson.state = TrialState.COMPLETE
        signs = self._signs()
        worst = self._worst or [0.0] * len(signs)
        lesson.values = [sign * value for sign, value in zip(signs, worst, strict=True)]
        lesson.intermediate_values = {}
        return lesson

    def _as_feasible(self, trial: FrozenTrial) -> FrozenTrial:
        own = trial.constraints
        columns = {name: own.get(name, 0.0) for name in self._columns}
        failed = {_FAILED: -1.0} if self._failed or self._forbidden else {}
        return _with_constraints(trial, columns | failed)

    def _signs(self) -> list[float]:
        (study,) = self._studies.values()
        return [-1.0 if way == StudyDirection.MAXIMIZE else 1.0 for way in study.directions]


def _with_constraints(trial: FrozenTrial, columns: Mapping[str, float]) -> FrozenTrial:
    changed = copy.copy(trial)
    attrs = {k: v for k, v in trial.system_attrs.items() if k.partition(":")[0] != CONSTRAINTS}
    changed.system_attrs = attrs | {f"{CONSTRAINTS}:{name}": v for name, v in columns.items()}
    return changed


class Shadow:
    """A sampler with its copy of a study. Trials have places in it, which are its own numbers.

    With a seed what is proposed next depends on that, the place and the trials alone, and so a
    study that goes on proposes what an uninterrupted one would have.
    """

    def __init__(self, directions: Sequence[Any], algorithm: str, seed: int | None) -> None:
        self._seed = seed
        self._storage = Lessons(algorithm)
        self.study = optuna.create_study(
            storage=self._storage, directions=list(directions), sampler=sampler_of(algorithm, seed)
        )

    @property
    def attrs(self) -> dict[str, Any]:
        """What the sampler keeps with the study."""
        kept = self._storage.get_study_system_attrs(self.study._study_id).items()
        return {key: value for key, value in kept if not key.startswith("study:")}

    def keep(self, attrs: Mapping[str, Any]) -> None:
        """Take over what a sampler had kept with the study."""
        for key, value in attrs.items():
            if not key.startswith("study:"):
                self._storage.set_study_system_attr(self.study._study_id, key, value)

    def begin(self) -> random.Random:
        """Begin to propose: seed the sampler; returns what else is drawn from."""
        if self._seed is None:
            return random.Random()  # noqa: S311  # nosec B311 # points
        place = len(self._storage.get_all_trials(self.study._study_id, deepcopy=False))
        digest = hashlib.sha256(f"{self._seed}/{place}".encode()).digest()
        _reseed(self.study.sampler, int.from_bytes(digest[:4], "big"))
        return random.Random(digest)  # noqa: S311  # nosec B311 # points

    def ask(self) -> optuna.trial.Trial:
        return self.study.ask()

    def frozen(self, trial: optuna.trial.Trial) -> FrozenTrial:
        return self._storage.get_trial(trial._trial_id)

    def forget(self, trial: optuna.trial.Trial) -> None:
        """Turn down a trial that was just asked."""
        self._storage.forget(trial._trial_id)

    def forbid(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        """Let the sampler learn that a rule forbids this trial's point, which is returned."""
        frozen = self.frozen(trial)
        self._storage.forbid(frozen.number, frozen.params, frozen.distributions)
        return dict(frozen.params)

    def move(
        self, trial: optuna.trial.Trial, params: dict[str, Any], distributions: dict[str, Any]
    ) -> None:
        """Give a trial that was just asked another point."""
        self._storage.move(trial._trial_id, params, distributions)

    def drop(self, place: int) -> None:
        """Let a trial that was proposed and never given out teach nothing."""
        self.study.tell(place, state=TrialState.FAIL)

    def adopt(
        self, trial: FrozenTrial, forbidden: Sequence[tuple[dict[str, Any], dict[str, Any]]]
    ) -> int:
        """A trial of the study's storage, with points that were forbidden before it; its place."""
        new = self._storage.create_new_trial(self.study._study_id, template_trial=trial)
        adopted = self._storage.get_trial(new)
        for params, distributions in forbidden:
            self._storage.forbid(adopted.number, params, distributions)
        if trial.state.is_finished():
            self._storage.note(adopted)
        return adopted.number

    def finish(self, place: int, trial: FrozenTrial) -> None:
        """A trial has ended in the study's storage."""
        storage, study_id = self._storage, self.study._study_id
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, place)
        for step, value in trial.intermediate_values.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        for key, found in trial.system_attrs.items():
            if key.partition(":")[0] == CONSTRAINTS:
                storage.set_trial_system_attr(trial_id, key, found)
        frozen = storage.get_trial(trial_id)
        self.study.sampler.after_trial(self.study, frozen, trial.state, trial.values)
        storage.set_trial_state_values(trial_id, trial.state, trial.values)
        storage.note(storage.get_trial(trial_id))


def _reseed(sampler: Any, seed: int, depth: int = 3) -> None:
    """Seed every generator of a sampler, and of the samplers and strategies in it."""
    for name, part in list(vars(sampler).items()):
        if isinstance(part, LazyRandomState):
            part.rng.seed(seed)
        elif isinstance(part, np.random.RandomState):
            part.seed(seed)
        elif name in ("_gprs_cache_list", "_constraints_gprs_cache_list"):
            setattr(sampler, name, None)  # where a fit begins
        elif depth and (isinstance(part, BaseSampler) or "Strategy" in type(part).__name__):
            _reseed(part, seed, depth - 1)
