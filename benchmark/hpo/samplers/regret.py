"""How much more trials could improve the best value: a bound on the regret.

    bound = RegretBound(space, "minimize", seed=1)
    bound.add(params, value)
    bound.value                                # None before 20 trials

The bound of Makarova et al., Automatic Termination for Hyperparameter Optimization (AutoML 2022):
under a Gaussian process of the better half of the trials, the smallest upper confidence bound of a
trial less the smallest lower confidence bound of any point, with probability 0.9. The factor of
the bounds is divided by 5, as there. Optuna's terminator does the same with PyTorch and will be
removed in Optuna 6; this one has scikit-learn's process.
"""

from __future__ import annotations

import math
import random

from benchmark.hpo.samplers.gaussian_process import fitted, without_noise
from benchmark.hpo.samplers.proposal import Direction, signs_of
from benchmark.hpo.space.search_space import Params, Space
from benchmark.hpo.space.tunables import coordinates

LEAST = 20
_MOST, _DRAWN, _DELTA = 200, 1000, 0.1
# Around the best of the drawn points, in parts of the range: random points alone miss the optimum.
_STEPS, _NEAR = (0.1, 0.03, 0.01, 0.003), 200


class RegretBound:
    """Computed again when the trials have become 10 % more: a fit takes a second for hundreds."""

    def __init__(self, space: Space, direction: Direction, seed: int | None) -> None:
        self._space, self._seed = space, seed or 0
        (self._sign,) = signs_of([direction])
        self._points: list[list[float]] = []
        self._values: list[float] = []
        self._next = LEAST
        self._bound: float | None = None

    def add(self, params: Params, value: float) -> None:
        """A feasible trial."""
        self._points.append(coordinates(self._space.tunables, params))
        self._values.append(self._sign * value)

    @property
    def count(self) -> int:
        return len(self._values)

    @property
    def best(self) -> float:
        return self._sign * min(self._values)

    @property
    def value(self) -> float | None:
        """The bound, in the unit of the values; None before there are enough trials."""
        if len(self._values) >= self._next:
            self._next = math.ceil(1.1 * len(self._values))
            from threadpoolctl import threadpool_limits

            with threadpool_limits(1):  # trials that run meanwhile are being measured
                self._bound = self._compute()
        return self._bound

    def _compute(self) -> float:
        import numpy as np

        order = np.argsort(self._values, kind="stable")
        top = order[: min(_MOST, max(LEAST, len(order) // 2))]
        points, values = np.array(self._points)[top], np.array(self._values)[top]
        scale = float(values.std()) or 1e-10
        size = points.shape[1]
        model = fitted(
            points,
            (values - values.mean()) / scale,
            amplitude=(1.0, (1e-5, 1e5)),
            length=(np.ones(size), (0.05, 5.0)),
            noise=(1e-2, (1e-6, 1.0)),
            restarts=3,
            seed=self._seed,
        )
        without_noise(model)  # the regret is of the function
        generator = random.Random(self._seed)  # noqa: S311  # nosec B311 # points
        drawn = [self._space.draw(generator) for _ in range(_DRAWN)]
        anywhere = np.array([coordinates(self._space.tunables, one) for one in drawn])
        width = math.sqrt(2 * math.log(size * len(top) ** 2 * math.pi**2 / 6 / _DELTA) / 5)
        mean, spread = model.predict(points, return_std=True)
        upper = float((mean + width * spread).min())
        numbers = [[t.kind != "categorical"] * len(t.choices or "n") for t in self._space.tunables]
        is_number = np.concatenate(numbers)
        normal, lowest = np.random.default_rng(self._seed).normal, math.inf
        around = np.vstack([points, anywhere])
        for step in (*_STEPS, 0.0):
            mean, spread = model.predict(around, return_std=True)
            lower = mean - width * spread
            place = int(lower.argmin())
            lowest = min(lowest, float(lower[place]))
            moved = normal(0.0, step, (_NEAR, size)) * is_number
            around = np.clip(around[place] + moved, 0.0, 1.0)
        return scale * max(0.0, upper - lowest)
