"""scikit-optimize as a sampler of Optuna's, which has none since version 4 of its integrations.

Forests in place of Gaussian processes, whose ask takes 16 s at 200 points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection
from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_STARTUP = 10
_HISTORY = 200


class SkoptSampler(BaseSampler):
    """Extra trees and expected improvement over the last points and the best ones."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._random = RandomSampler(seed=seed)
        self._space = IntersectionSearchSpace()

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
        states = (TrialState.COMPLETE,)
        done = [t for t in study.get_trials(deepcopy=False, states=states) if t.value is not None]
        done = [t for t in done if search_space.keys() <= t.params.keys()]
        if not search_space or len(done) < _STARTUP:
            return {}
        import numpy as np
        from skopt import Optimizer

        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        values = {t.number: sign * float(t.value or 0.0) for t in done}
        best = sorted(done, key=lambda t: values[t.number])[: _HISTORY // 2]
        kept = {t.number: t for t in [*best, *done[-_HISTORY // 2 :]]}
        seed = None if self._seed is None else (self._seed + trial.number) % 2**32
        optimizer = Optimizer(
            [_dimension(search_space[name]) for name in search_space],
            base_estimator="ET",
            n_initial_points=0,
            acq_func="EI",
            acq_optimizer="sampling",
            random_state=seed,
        )
        points = [
            [_inner(search_space[n], t.params[n]) for n in search_space] for t in kept.values()
        ]
        scores = [values[number] for number in kept]
        # Those under way count as bad as the worst, so that many asked at once do not cluster.
        for running in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if search_space.keys() <= running.params.keys():
                points.append([_inner(search_space[n], running.params[n]) for n in search_space])
                scores.append(max(values.values()))
        optimizer.tell(points, scores)
        asked = [v.item() if isinstance(v, np.generic) else v for v in optimizer.ask()]
        return {
            name: _outer(search_space[name], value)
            for name, value in zip(search_space, asked, strict=True)
        }

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _dimension(distribution: BaseDistribution) -> Any:
    """Steps and choices are counted from 0; the rest is as it is."""
    from skopt.space import Categorical, Integer, Real

    if isinstance(distribution, CategoricalDistribution):
        return Categorical(list(range(len(distribution.choices))))
    if isinstance(distribution, IntDistribution) and distribution.log:
        return Integer(distribution.low, distribution.high, prior="log-uniform")
    if isinstance(distribution, (IntDistribution, FloatDistribution)):
        if distribution.step is not None:
            return Integer(0, _steps(distribution))
        prior = "log-uniform" if distribution.log else "uniform"
        return Real(distribution.low, distribution.high, prior=prior)
    raise TypeError(f"{distribution} is no distribution of Optuna's")


def _steps(distribution: Any) -> int:
    count: int = round((distribution.high - distribution.low) / distribution.step)
    return count


def _is_stepped(distribution: Any) -> bool:
    return distribution.step is not None and not distribution.log


def _inner(distribution: Any, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return int(distribution.to_internal_repr(value))
    if _is_stepped(distribution):
        return round((value - distribution.low) / distribution.step)
    return value


def _outer(distribution: Any, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    if _is_stepped(distribution):
        return distribution.low + value * distribution.step
    return min(max(value, distribution.low), distribution.high)
