"""The base of our own samplers: a model of another library behind Optuna's interface.

Steps and choices are numbers from 0 for the model, so that the library need not know them.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmark.hpo.storages.optuna_private import trial_id_of

STARTUP = 10


@dataclass(frozen=True)
class Known:
    """Points in the model's form with their losses; less is better.

    Running ones count as the worst, so that several asked at once do not cluster, and so do
    those that violate a constraint.
    """

    points: list[dict[str, Any]]
    losses: list[float]
    done: int


class ModelSampler(BaseSampler):
    """A model of the tunables that every trial has; the others, and ten first trials, at random."""

    history: int | None = None

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._random = RandomSampler(seed=seed)
        self._space = IntersectionSearchSpace()

    @abstractmethod
    def propose(
        self, known: Known, search_space: dict[str, BaseDistribution], seed: int | None
    ) -> dict[str, Any]:
        """The next point, in the model's form."""

    def reseed_rng(self) -> None:
        self._random.reseed_rng()

    def infer_relative_search_space(
        self,
        study: Study,
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        space = self._space.calculate(study)
        return {name: found for name, found in space.items() if not found.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        known = self._known(study, trial, search_space)
        if known.done < STARTUP:
            return {}
        seed = None if self._seed is None else (self._seed + trial.number) % 2**31
        drawn = self.propose(known, search_space, seed)
        return {name: outer(search_space[name], drawn[name]) for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def _known(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Known:
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        running: list[FrozenTrial] = []
        done: list[tuple[float, FrozenTrial]] = []
        states = (TrialState.COMPLETE, TrialState.RUNNING)
        for past in study.get_trials(deepcopy=False, states=states):
            if past.number == trial.number or not search_space.keys() <= past.params.keys():
                continue
            if past.state == TrialState.RUNNING:
                running.append(past)
            elif any(value > 0 for value in past.constraints.values()):
                done.append((math.inf, past))
            elif past.value is not None:
                done.append((sign * float(past.value), past))
        # A forbidden point was never assigned.
        count = sum(trial_id_of(past) >= 0 for _, past in done)
        if self.history is not None and len(done) > self.history:
            half = self.history // 2
            best = sorted(done[:-half], key=lambda pair: pair[0])[:half]
            done = [*best, *done[-half:]]
        worst = max((loss for loss, _ in done if loss < math.inf), default=0.0)
        return Known(
            points=[
                {name: inner(search_space[name], past.params[name]) for name in search_space}
                for past in (*(past for _, past in done), *running)
            ],
            losses=[min(loss, worst) for loss, _ in done] + [worst] * len(running),
            done=count,
        )


def is_stepped(distribution: BaseDistribution) -> bool:
    """Whether the model's form counts its steps."""
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        return False
    return distribution.step is not None and not distribution.log


def steps(distribution: IntDistribution | FloatDistribution) -> int:
    """The number of the last step, from 0."""
    return round((distribution.high - distribution.low) / (distribution.step or 1))


def inner(distribution: BaseDistribution, value: Any) -> Any:
    """A value in the model's form."""
    if isinstance(distribution, CategoricalDistribution):
        return int(distribution.to_internal_repr(value))
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise TypeError(f"{distribution} is not an Optuna distribution")
    if is_stepped(distribution):
        return round((value - distribution.low) / (distribution.step or 1))
    return value


def outer(distribution: BaseDistribution, value: Any) -> Any:
    """A model's value in Optuna's form, in Python's types: libraries return numpy's."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise TypeError(f"{distribution} is not an Optuna distribution")
    if is_stepped(distribution):
        number = distribution.low + round(float(value)) * (distribution.step or 1)
    else:
        number = min(max(float(value), distribution.low), distribution.high)
    return float(number) if isinstance(distribution, FloatDistribution) else round(number)
