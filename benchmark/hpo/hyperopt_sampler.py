"""hyperopt's TPE as a sampler of Optuna's: `tpe.suggest` driven with Trials of our making."""

from __future__ import annotations

import math
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


class HyperoptSampler(BaseSampler):
    """hyperopt over the tunables that every trial has; the others at random."""

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
        told = (TrialState.COMPLETE, TrialState.RUNNING)
        found = [
            t
            for t in study.get_trials(deepcopy=False, states=told)
            if search_space.keys() <= t.params.keys() and t.number != trial.number
        ]
        done = [t for t in found if t.state == TrialState.COMPLETE and t.value is not None]
        if not search_space or len(done) < _STARTUP:
            return {}
        from hyperopt import tpe
        from hyperopt.base import JOB_STATE_DONE, Domain, Trials

        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        values = [sign * float(t.value or 0.0) for t in done]
        domain = Domain(lambda _: 0.0, {n: _expression(n, search_space[n]) for n in search_space})
        trials = Trials()
        documents = []
        for place, past in enumerate(found):
            # Those under way count as bad as the worst, so that many at once do not cluster.
            value = past.value if past.state == TrialState.COMPLETE else None
            loss = max(values) if value is None else sign * float(value)
            inner = {n: [_inner(search_space[n], past.params[n])] for n in search_space}
            documents.append(
                {
                    "state": JOB_STATE_DONE,
                    "tid": place,
                    "spec": None,
                    "result": {"status": "ok", "loss": loss},
                    "misc": {
                        "tid": place,
                        "cmd": domain.cmd,
                        "workdir": None,
                        "idxs": {n: [place] for n in search_space},
                        "vals": inner,
                    },
                    "exp_key": None,
                    "owner": None,
                    "version": 0,
                    "book_time": None,
                    "refresh_time": None,
                }
            )
        trials.insert_trial_docs(documents)
        trials.refresh()
        seed = ((self._seed or 0) + trial.number) % 2**31
        asked = tpe.suggest([len(found)], domain, trials, seed, n_startup_jobs=1)[0]
        drawn = asked["misc"]["vals"]
        return {n: _outer(search_space[n], drawn[n][0]) for n in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def _expression(name: str, distribution: Any) -> Any:
    from hyperopt import hp

    if isinstance(distribution, CategoricalDistribution):
        return hp.choice(name, list(range(len(distribution.choices))))
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution) and distribution.log:
        return hp.qloguniform(name, math.log(low), math.log(high), 1)
    if distribution.log:
        return hp.loguniform(name, math.log(low), math.log(high))
    if distribution.step is not None:
        return hp.quniform(name, 0, round((high - low) / distribution.step), 1)
    return hp.uniform(name, low, high)


def _is_stepped(distribution: Any) -> bool:
    return distribution.step is not None and not distribution.log


def _inner(distribution: Any, value: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return int(distribution.to_internal_repr(value))
    if _is_stepped(distribution):
        return round((value - distribution.low) / distribution.step)
    return value


def _outer(distribution: Any, value: Any) -> Any:
    """hyperopt gives numpy's scalars; out come Python's own."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    if _is_stepped(distribution):
        return distribution.low + round(float(value)) * distribution.step
    number = min(max(float(value), distribution.low), distribution.high)
    return float(number) if isinstance(distribution, FloatDistribution) else round(number)
