"""The sampler of a study, with an in-memory copy of the study in which failures count.

Optuna's samplers ignore a failed trial and so propose similar ones again. In the copy a trial that
failed, was ended at a limit, or was pruned without a reported value is complete and infeasible: it
has the worst measured value and a positive constraint. So is each proposed point that a rule of the
space forbids. The study's own storage keeps the actual outcome.
"""

from __future__ import annotations

import bisect
import copy
import hashlib
import random
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmark.hpo.samplers.algorithms import LEARNS_PRUNED, sampler_of
from benchmark.hpo.storages.deleted_trials import blank
from benchmark.hpo.storages.optuna_private import (
    LazyRandomState,
    MemoryParts,
    forget_fits,
    put_trial,
    study_id_of,
    trial_id_of,
    turn_of,
    with_id,
)

CONSTRAINTS = "constraints"
_FAILED = "failed"
# It wants as many constraints of each trial.
_EVEN = ("gp",)


class Lessons(MemoryParts):
    """A storage that shows failures as infeasible trials."""

    def __init__(self, algorithm: str) -> None:
        super().__init__()
        self._learns_pruned = algorithm in LEARNS_PRUNED or ":" in algorithm
        self._even = algorithm in _EVEN
        self._failed: list[FrozenTrial] = []
        self._forbidden: list[FrozenTrial] = []
        self._measured: list[FrozenTrial] = []
        self._noted: list[FrozenTrial] = []
        self._worst: list[float] = []
        self._columns: dict[str, float] = {}
        self._shown: dict[int, FrozenTrial] | None = {}  # by number; None if not yet created

    def note(self, trial: FrozenTrial) -> None:
        """A trial has ended."""
        self._noted.append(trial)
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
            self._shown = None  # every failure is as bad as the worst value
        elif self._shown is not None and self._is_lesson(trial):
            self._shown[trial.number] = self._as_lesson(trial)

    def remove(self, trial_id: int) -> None:
        """Let nothing be learned from a trial that has ended; others keep their numbers."""
        with turn_of(self):
            number = self.get_trial_number_from_id(trial_id)
            put_trial(self, trial_id, with_id(blank(number), trial_id))
            noted = [trial for trial in self._noted if trial.number != number]
            self._noted, self._failed, self._measured = [], [], []
            self._worst, self._columns, self._shown = [], {}, None
            for trial in noted:
                self.note(trial)

    def forbid(
        self, number: int, params: dict[str, Any], distributions: dict[str, BaseDistribution]
    ) -> None:
        """Record a forbidden point that was proposed for the trial of that number."""
        trial = optuna.trial.create_trial(
            state=TrialState.PRUNED, params=params, distributions=distributions
        )
        trial.number = number - 1  # readers leave out the running trial by its number
        bisect.insort(self._forbidden, self._as_lesson(trial), key=lambda lesson: lesson.number)
        if self._even:
            self._shown = None

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        differs = self._failed or self._forbidden or self._even
        if not differs or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        with turn_of(self):
            shown = self._all_shown()
            trials = super().get_all_trials(study_id, deepcopy=False)
            trials = [shown.get(trial.number, trial) for trial in trials]
            if states is not None:
                trials = [trial for trial in trials if trial.state in states]
                # Not if all are requested: samplers infer the space from actual trials.
                if self._forbidden and TrialState.COMPLETE in states:
                    trials = sorted([*trials, *self._forbidden], key=lambda trial: trial.number)
        return copy.deepcopy(trials) if deepcopy else trials

    def _all_shown(self) -> dict[int, FrozenTrial]:
        """The trials that are shown differently, by number."""
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
        return [-1.0 if way == StudyDirection.MAXIMIZE else 1.0 for way in self.directions]


def _with_constraints(trial: FrozenTrial, columns: Mapping[str, float]) -> FrozenTrial:
    changed = copy.copy(trial)
    attrs = {k: v for k, v in trial.system_attrs.items() if k.partition(":")[0] != CONSTRAINTS}
    changed.system_attrs = attrs | {f"{CONSTRAINTS}:{name}": v for name, v in columns.items()}
    return changed


class Shadow:
    """A sampler with its copy of a study. A trial's place is its number in the copy.

    With a seed the next proposal depends only on the seed, the place and the trials, so a resumed
    study proposes the same as an uninterrupted one.
    """

    def __init__(
        self,
        directions: Sequence[Any],
        algorithm: str,
        seed: int | None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._seed = seed
        self._storage = Lessons(algorithm)
        sampler = sampler_of(algorithm, seed, options)
        self.study = optuna.create_study(
            storage=self._storage, directions=list(directions), sampler=sampler
        )

    @property
    def attrs(self) -> dict[str, Any]:
        """The sampler's state stored with the study."""
        kept = self._storage.get_study_system_attrs(study_id_of(self.study)).items()
        return {key: value for key, value in kept if not key.startswith("study:")}

    def keep(self, attrs: Mapping[str, Any]) -> None:
        """Restore a sampler's state stored with the study."""
        for key, value in attrs.items():
            if not key.startswith("study:"):
                self._storage.set_study_system_attr(study_id_of(self.study), key, value)

    def begin(self) -> random.Random:
        """Start a proposal: seed the sampler; return the generator for other draws."""
        if self._seed is None:
            return random.Random()  # noqa: S311  # nosec B311 # points
        place = len(self._storage.get_all_trials(study_id_of(self.study), deepcopy=False))
        digest = hashlib.sha256(f"{self._seed}/{place}".encode()).digest()
        _reseed(self.study.sampler, int.from_bytes(digest[:4], "big"))
        return random.Random(digest)  # noqa: S311  # nosec B311 # points

    def frozen(self, trial: optuna.trial.Trial) -> FrozenTrial:
        return self._storage.get_trial(trial_id_of(trial))

    def forget(self, trial: optuna.trial.Trial) -> None:
        """Reject a trial that was just asked."""
        self._storage.forget(trial_id_of(trial))

    def forbid(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        """Mark this trial's point as forbidden for the sampler, and return it."""
        frozen = self.frozen(trial)
        self._storage.forbid(frozen.number, frozen.params, frozen.distributions)
        return dict(frozen.params)

    def move(
        self, trial: optuna.trial.Trial, params: dict[str, Any], distributions: dict[str, Any]
    ) -> None:
        """Replace the point of a trial that was just asked."""
        self._storage.move(trial_id_of(trial), params, distributions)

    def drop(self, place: int) -> None:
        """Exclude a proposed but never assigned trial from the sampler's history."""
        self.study.tell(place, state=TrialState.FAIL)

    def adopt(
        self,
        trial: FrozenTrial,
        forbidden: Sequence[tuple[dict[str, Any], dict[str, Any]]],
        *,
        is_deleted: bool = False,
    ) -> int:
        """Add a trial of the study's storage and its forbidden points; return its place.

        Of a deleted one only the place is taken, so that a seed's later proposals are the same.
        """
        template = blank() if is_deleted else trial
        new = self._storage.create_new_trial(study_id_of(self.study), template_trial=template)
        adopted = self._storage.get_trial(new)
        for params, distributions in forbidden:
            self._storage.forbid(adopted.number, params, distributions)
        if template.state.is_finished():
            self._storage.note(adopted)
        return adopted.number

    def remove(self, place: int) -> None:
        """A trial was deleted in the study's storage."""
        study_id = study_id_of(self.study)
        self._storage.remove(self._storage.get_trial_id_from_study_id_trial_number(study_id, place))

    def finish(self, place: int, trial: FrozenTrial) -> None:
        """A trial has ended in the study's storage."""
        storage, study_id = self._storage, study_id_of(self.study)
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
    forget_fits(sampler)
    for part in list(vars(sampler).values()):
        if isinstance(part, LazyRandomState):
            part.rng.seed(seed)
        elif isinstance(part, np.random.RandomState):
            part.seed(seed)
        elif depth and (isinstance(part, BaseSampler) or "Strategy" in type(part).__name__):
            _reseed(part, seed, depth - 1)
