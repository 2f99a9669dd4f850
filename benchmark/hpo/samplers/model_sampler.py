"""Our own samplers: models of hyperopt and scikit-optimize behind Optuna's interface.

Steps and choices are numbers from 0 for a model, so that the library need not know them.
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
        return {name: _outer(search_space[name], drawn[name]) for name in search_space}

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
                {name: _inner(search_space[name], past.params[name]) for name in search_space}
                for past in (*(past for _, past in done), *running)
            ],
            losses=[min(loss, worst) for loss, _ in done] + [worst] * len(running),
            done=count,
        )


def _is_stepped(distribution: IntDistribution | FloatDistribution) -> bool:
    """Whether the model's form counts its steps."""
    return distribution.step is not None and not distribution.log


def _steps(distribution: IntDistribution | FloatDistribution) -> int:
    """The number of the last step, from 0."""
    return round((distribution.high - distribution.low) / (distribution.step or 1))


def _inner(distribution: Any, value: Any) -> Any:
    """A value in the model's form."""
    if isinstance(distribution, CategoricalDistribution):
        return int(distribution.to_internal_repr(value))
    if _is_stepped(distribution):
        return round((value - distribution.low) / (distribution.step or 1))
    return value


def _outer(distribution: Any, value: Any) -> Any:
    """A model's value in Optuna's form, in Python's types: libraries return numpy's."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(value)]
    if _is_stepped(distribution):
        number = distribution.low + round(float(value)) * (distribution.step or 1)
    else:
        number = min(max(float(value), distribution.low), distribution.high)
    return float(number) if isinstance(distribution, FloatDistribution) else round(number)


class HyperoptSampler(ModelSampler):
    """hyperopt's TPE: `tpe.suggest` called with Trials that are built here."""

    def propose(
        self, known: Known, search_space: dict[str, BaseDistribution], seed: int | None
    ) -> dict[str, Any]:
        from hyperopt import tpe
        from hyperopt.base import Domain, Trials

        domain = Domain(lambda _: 0.0, {n: _expression(n, search_space[n]) for n in search_space})
        trials = Trials()
        pairs = zip(known.points, known.losses, strict=True)
        trials.insert_trial_docs(
            [_document(place, domain, point, loss) for place, (point, loss) in enumerate(pairs)]
        )
        trials.refresh()
        asked = tpe.suggest([len(known.points)], domain, trials, seed or 0, n_startup_jobs=1)[0]
        return {name: values[0] for name, values in asked["misc"]["vals"].items()}


def _document(place: int, domain: Any, point: dict[str, Any], loss: float) -> dict[str, Any]:
    """A past trial in hyperopt's form."""
    from hyperopt.base import JOB_STATE_DONE

    return {
        "state": JOB_STATE_DONE,
        "tid": place,
        "spec": None,
        "result": {"status": "ok", "loss": loss},
        "misc": {
            "tid": place,
            "cmd": domain.cmd,
            "workdir": None,
            "idxs": {name: [place] for name in point},
            "vals": {name: [value] for name, value in point.items()},
        },
        "exp_key": None,
        "owner": None,
        "version": 0,
        "book_time": None,
        "refresh_time": None,
    }


def _expression(name: str, distribution: Any) -> Any:
    from hyperopt import hp

    if isinstance(distribution, CategoricalDistribution):
        return hp.choice(name, list(range(len(distribution.choices))))
    if _is_stepped(distribution):
        return hp.quniform(name, 0, _steps(distribution), 1)
    low, high = distribution.low, distribution.high
    if isinstance(distribution, IntDistribution):
        return hp.qloguniform(name, math.log(low), math.log(high), 1)
    if distribution.log:
        return hp.loguniform(name, math.log(low), math.log(high))
    return hp.uniform(name, low, high)


class SkoptSampler(ModelSampler):
    """scikit-optimize's extra trees and expected improvement over the last and the best points.

    Its Gaussian processes take 16 s per ask at 200 points. Optuna's integrations have none of it
    since version 4.
    """

    history = 200

    def propose(
        self, known: Known, search_space: dict[str, BaseDistribution], seed: int | None
    ) -> dict[str, Any]:
        from skopt import Optimizer

        optimizer = Optimizer(
            [_dimension(search_space[name]) for name in search_space],
            base_estimator="ET",
            n_initial_points=0,
            acq_func="EI",
            acq_optimizer="sampling",
            random_state=seed,
        )
        points = [[point[name] for name in search_space] for point in known.points]
        optimizer.tell(points, known.losses)
        return dict(zip(search_space, optimizer.ask(), strict=True))


def _dimension(distribution: Any) -> Any:
    from skopt.space import Categorical, Integer, Real

    if isinstance(distribution, CategoricalDistribution):
        return Categorical(list(range(len(distribution.choices))))
    if _is_stepped(distribution):
        return Integer(0, _steps(distribution))
    prior = "log-uniform" if distribution.log else "uniform"
    kind = Integer if isinstance(distribution, IntDistribution) else Real
    return kind(distribution.low, distribution.high, prior=prior)
