"""scikit-optimize as an Optuna sampler, which Optuna's integrations lack since version 4.

It uses forests instead of Gaussian processes, which take 16 s per ask at 200 points.
"""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from benchmark.hpo.samplers.model_sampler import Known, ModelSampler, is_stepped, steps


class SkoptSampler(ModelSampler):
    """Extra trees and expected improvement over the last points and the best ones."""

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


def _dimension(distribution: BaseDistribution) -> Any:
    from skopt.space import Categorical, Integer, Real

    if isinstance(distribution, CategoricalDistribution):
        return Categorical(list(range(len(distribution.choices))))
    if not isinstance(distribution, (IntDistribution, FloatDistribution)):
        raise TypeError(f"{distribution} is not an Optuna distribution")
    if is_stepped(distribution):
        return Integer(0, steps(distribution))
    prior = "log-uniform" if distribution.log else "uniform"
    kind = Integer if isinstance(distribution, IntDistribution) else Real
    return kind(distribution.low, distribution.high, prior=prior)
