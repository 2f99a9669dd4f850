"""Where a study may look safely: near the best safe point, and where a model expects no breach.

    region = SafeRegion(space, safe, sign=1.0)     # sign: -1 to maximize
    region.add(params, score)                      # each trial; the score None if it has no value
    region.near(params, generator)                 # an allowed point in its direction, or None

The limit is the median of the latest runs of the default plus the margin. A point is expected to be
safe if the mean of a Gaussian process of all trials plus two standard deviations is within the
limit, as in SafeOpt (Sui et al., ICML 2015). The process has a fixed amplitude of 1.5 margins, so
that nothing far from every trial is safe. SafeOpt would choose the most uncertain safe point; here
the study's own sampler chooses a direction, and the point is the farthest safe one in it, at most a
step away. A change of a choice is tried alone, because it has no direction.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from benchmark.hpo.samplers.gaussian_process import fitted, without_noise
from benchmark.hpo.space.operators import same
from benchmark.hpo.space.search_space import Params, Space, identity
from benchmark.hpo.space.tunables import Tunable, Value, coordinates, share_of, value_at

if TYPE_CHECKING:
    import random

    from sklearn.gaussian_process import GaussianProcessRegressor


ALL = "*"
_STEP = 0.1
_LATEST, _MOST = 5, 200
_WIDTH, _AMPLITUDE, _CLIP = 2.0, 1.5, 3.0
_FARTHER = 1.5
_LEAST_NOISE = 1e-3
_SHORTER = (1.0, 0.5, 0.25, 0.125)


class Step(BaseModel):
    """How far a trial may go in one tunable: a share of its range, or an amount in its unit."""

    model_config = ConfigDict(frozen=True)
    share: float | None = None
    amount: float | None = None


class Safe(BaseModel):
    """The key `safe` of a study: by which share of the default's value a trial may be worse."""

    model_config = ConfigDict(frozen=True)
    margin: float = Field(gt=0, lt=1)
    step: dict[str, Step] = {}

    def step_of(self, tunable: Tunable) -> Step:
        return self.step.get(tunable.name) or self.step.get(ALL) or Step(share=_STEP)


class SafeRegion:
    """The trials of a study so far, and what they say of other points. Scores: less is better."""

    def __init__(self, space: Space, safe: Safe, sign: float) -> None:
        self._space, self._safe, self.sign = space, safe, sign
        self.default: Params = space.default() or {}
        self._at_default: list[float] = []
        self._trials: list[tuple[Params, float | None]] = []
        self._model: GaussianProcessRegressor | None = None
        self._best: Params | None = None

    def add(self, params: Params, score: float | None) -> None:
        """A trial has ended."""
        self._trials.append((params, score))
        self._model = self._best = None
        if score is not None and identity(params) == identity(self.default):
            self._at_default.append(score)

    @property
    def limit(self) -> float | None:
        """The worst score that is safe; None before the default has one."""
        if not self._at_default:
            return None
        base = statistics.median(self._at_default[-_LATEST:])
        return base + self._safe.margin * abs(base)

    def breaches(self, score: float | None) -> bool:
        """Whether a trial with that score is not safe: also one that failed."""
        return score is None or (self.limit is not None and score > self.limit)

    @property
    def best(self) -> Params:
        """The point with the best mean score, without a breach; the default before there is one."""
        if self._best is None:
            self._best = self._found_best()
        return self._best

    def _found_best(self) -> Params:
        scores: dict[Any, list[float | None]] = {}
        points = {identity(params): params for params, _ in self._trials}
        for params, score in self._trials:
            scores.setdefault(identity(params), []).append(score)
        means = {
            key: statistics.mean(score for score in found if score is not None)
            for key, found in scores.items()
            if not any(map(self.breaches, found))
        }
        return points[min(means, key=means.__getitem__)] if means else self.default

    def near(self, params: Params, generator: random.Random) -> Params | None:
        """The farthest point towards `params` that is expected to be safe; None if none is."""
        best = self.best
        changed = [
            t.name
            for t in self._space.tunables
            if t.kind == "categorical"
            and {t.name} <= params.keys() & best.keys()
            and not same(params[t.name], best[t.name])
        ]
        # Each changed choice, or all numbers together.
        turn = generator.randrange(len(changed) + 1)
        if turn < len(changed):
            point = self._allowed(best | {changed[turn]: params[changed[turn]]})
            return point if point is not None and self._is_safe(point) else None
        for part in _SHORTER:
            point = self._allowed(self._towards(best, params, part))
            if point is None or identity(point) == identity(best):
                continue
            if self._is_safe(point):
                return point
        return None

    def _allowed(self, values: Params) -> Params | None:
        """The point with the defaults of what became active; None if it is forbidden."""
        point = self._space.build(lambda t: values.get(t.name, t.default))
        return None if self._space.forbidding(point) else point

    def _towards(self, best: Params, goal: Params, part: float) -> Params:
        """The point that far along the line to the goal, no farther than a step in any tunable."""
        numbers = [
            t
            for t in self._space.tunables
            if t.kind != "categorical" and {t.name} <= goal.keys() & best.keys()
        ]
        reach = {t.name: self._reach(t, best[t.name], goal[t.name]) for t in numbers}
        length = part * min(reach.values(), default=1.0)
        found = dict(best)
        for t in numbers:
            begin, end = share_of(t, best[t.name]), share_of(t, goal[t.name])
            value = value_at(t, begin + length * (end - begin))
            found[t.name] = t.typed(round(value) if t.kind == "integer" else value)
            if self._reach(t, best[t.name], found[t.name]) < 1.0:  # rounded to beyond the step
                found[t.name] = best[t.name]
        return found

    def _reach(self, tunable: Tunable, begin: Value, end: Value) -> float:
        """The part of the way from one value to another that a step allows."""
        step = self._safe.step_of(tunable)
        way = abs(share_of(tunable, end) - share_of(tunable, begin))
        if step.share is not None:
            return min(1.0, max(step.share, _one(tunable, begin, end)) / way) if way else 1.0
        amount = abs(float(end or 0) - float(begin or 0))
        if not amount or step.amount is None or amount <= step.amount:
            return 1.0
        if not tunable.log:
            return step.amount / amount
        sign = 1.0 if float(end or 0) > float(begin or 0) else -1.0
        last = max(float(begin or 0) + sign * step.amount, float(tunable.low or 0))
        return abs(share_of(tunable, last) - share_of(tunable, begin)) / way

    def _is_safe(self, point: Params) -> bool:
        if self.limit is None:
            return False
        self._model = self._model or self._fitted(self.limit)
        at = coordinates(self._space.tunables, point)
        mean, spread = self._model.predict([at], return_std=True)
        return bool(mean[0] + _WIDTH * spread[0] <= 1.0) and not self._is_near_breach(at)

    def _is_near_breach(self, at: list[float]) -> bool:
        """Whether a breach is about as near as a safe trial: a cliff is not smooth."""
        near = {True: math.inf, False: math.inf}
        for params, score in self._trials:
            is_breach = self.breaches(score)
            far = math.dist(at, coordinates(self._space.tunables, params))
            near[is_breach] = min(near[is_breach], far)
        return near[True] < _FARTHER * near[False]

    def _noise(self, margin: float) -> float:
        """The variance of points that ran several times, in margins."""
        scores: dict[object, list[float]] = {}
        for params, score in self._trials:
            if score is not None:
                scores.setdefault(identity(params), []).append(score / margin)
        again = [found for found in scores.values() if len(found) > 1]
        squares = sum((len(found) - 1) * statistics.variance(found) for found in again)
        return max(_LEAST_NOISE, squares / max(1, sum(len(found) - 1 for found in again)))

    def _fitted(self, limit: float) -> GaussianProcessRegressor:
        """The process of the scores in margins above the default, so that 1 is the limit."""
        import numpy as np

        base = statistics.median(self._at_default[-_LATEST:])
        margin = (limit - base) or 1.0
        trials = self._trials[-_MOST:]
        points = np.array([coordinates(self._space.tunables, params) for params, _ in trials])
        values = [_CLIP if score is None else (score - base) / margin for _, score in trials]
        model = fitted(
            points,
            np.clip(values, -_CLIP, _CLIP),
            amplitude=(_AMPLITUDE**2, "fixed"),
            length=(np.full(points.shape[1], 0.5), (0.1, 1.0)),
            noise=(self._noise(margin), "fixed"),
        )
        return without_noise(model)  # the limit is for the function


def _one(tunable: Tunable, begin: Value, end: Value) -> float:
    """The share of the range that the next of its values is away; 0 if it has any value."""
    step = tunable.step or (1 if tunable.kind == "integer" else 0)
    number = float(begin or 0)
    after = number + (step if float(end or 0) > number else -step)
    # Rounded down to this value, not to the one before it.
    return abs(share_of(tunable, after) - share_of(tunable, number)) * (1 + 1e-9)
