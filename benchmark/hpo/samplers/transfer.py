"""Points for the start of a study from what earlier studies of similar spaces measured.

    transfer = Transfer(space, [[(params, score), …], …], seed=1)    # scores: less is better
    transfer.first(5)                     # to be measured first, in any case
    transfer.add(params, score)           # each own trial; the score is None if it has no value
    transfer.propose(running)             # a point; None: the study's algorithm is to choose

A study's scores become the normal quantiles of their ranks, so that studies of other machines and
metrics are comparable (Salinas, Shen and Perrone, ICML 2020); a Gaussian process per study predicts
them elsewhere. The first points are a portfolio: each is the one that improves the mean over the
studies of the best predicted score the most (Wistuba, Schilling and Schmidt-Thieme, DSAA 2015).

Later each study has a weight by how many pairs of own trials its process ranks rightly, as in RGPE
(Feurer, Letham and Bakshy, 2018). The own scores are that prediction, scaled, plus a process
of what it leaves; the point with the highest expected improvement is proposed. After ten trials the
algorithm proposes every second point, and all of them while the prediction has no significant rank
correlation with the own scores.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor

from benchmark.hpo.samplers.gaussian_process import fitted, lengths, without_noise
from benchmark.hpo.space.search_space import Params, Space, identity
from benchmark.hpo.space.tunables import Tunable, Value, coordinates, share_of, value_at

Array = NDArray[np.float64]

# Own trials: at first the past is used unchecked, then if related, and from _ENOUGH on not at all.
_UNCHECKED, _ENOUGH, _LEVEL = 10, 45, 0.05
# The slope of own scores over predicted ones before there are trials, and what that weighs.
_SLOPE, _SURE = 0.7, 0.3
# Bounds of the variance of the noise, of past scores and of what they leave of the own ones. With
# much of it a process expects nothing new, and the past alone would decide.
_MUCH, _LITTLE = (1e-4, 1.0), (1e-4, 0.1)
_MOST, _TOP = 100, 10
_DRAWN, _BEST, _NEAR = 200, 5, 60
_STEPS = (0.02, 0.07, 0.2)


class Transfer:
    """Earlier studies, each a list of points with scores, and the trials of the new one."""

    def __init__(
        self, space: Space, studies: Sequence[Sequence[tuple[Params, float]]], seed: int | None
    ) -> None:
        self._space, self._seed = space, seed
        self._studies = [study for study in studies if study]
        self._made: list[GaussianProcessRegressor] | None = None
        self._own: list[tuple[Params, float | None]] = []

    @property
    def _models(self) -> list[GaussianProcessRegressor]:
        """The process of each earlier study."""
        if self._made is None:
            self._made = []
            for study in self._studies:
                best = sorted(study, key=lambda one: one[1])
                # Good and bad ones: the middle tells the least.
                kept = best[: _MOST // 2] + best[_MOST // 2 :][-_MOST // 2 :]
                scores = _quantiles([score for _, score in kept])
                points = self._at([params for params, _ in kept])
                self._made.append(_process(points, scores, np.full(points.shape[1], 0.5), _MUCH))
        return self._made

    def _at(self, points: Iterable[Params]) -> Array:
        return np.array([coordinates(self._space.tunables, one) for one in points])

    def _candidates(self) -> list[Params]:
        """The best points of every earlier study."""
        best = (sorted(one, key=lambda pair: pair[1])[:_TOP] for one in self._studies)
        return list({identity(p): p for study in best for p, _ in study}.values())

    def first(self, count: int) -> list[Params]:
        """At most that many of the earlier studies' points, the most useful first."""
        candidates = self._candidates()
        if not candidates:
            return []
        predicted = np.array([model.predict(self._at(candidates)) for model in self._models])
        covered = np.full(len(self._models), np.inf)
        found: list[int] = []
        for _ in range(min(count, len(candidates))):
            gains = np.minimum(covered[:, None], predicted).mean(axis=0)
            gains += 1e-3 * predicted.mean(axis=0)  # where none improves any, the best on average
            gains[found] = np.inf
            found.append(int(gains.argmin()))
            covered = np.minimum(covered, predicted[:, found[-1]])
        return [candidates[place] for place in found]

    def add(self, params: Params, score: float | None) -> None:
        """An own trial has ended."""
        self._own.append((params, score))

    def propose(self, running: Sequence[Params] = ()) -> Params | None:
        """The point that promises most, none of the own or running ones; None: not from the past.

        With a seed it depends on that, the trials and the earlier studies only.
        """
        number = len(self._own) + len(running)
        measured = [score for _, score in self._own if score is not None]
        if not self._studies or number >= _ENOUGH or len(set(measured)) < 2:
            return None
        if number >= _UNCHECKED and number % 2:
            return None
        weights = self._weights()
        if weights is None:
            return None
        key = None if self._seed is None else f"{self._seed}/{number}"
        generator = random.Random(key)  # noqa: S311  # nosec B311 # points
        return self._most_promising(weights, running, generator)

    def _weights(self) -> Array | None:
        """The weight of each earlier study; None if they are not related."""
        measured = [(params, score) for params, score in self._own if score is not None]
        scores = rankdata([score for _, score in measured])  # huge ones have no finite difference
        points = self._at(params for params, _ in measured)
        predicted = np.array([model.predict(points) for model in self._models])
        one, other = np.triu_indices(len(scores), 1)
        order = np.sign(scores[one] - scores[other])
        agreement = (np.sign(predicted[:, one] - predicted[:, other]) * order).mean(axis=1)
        weights: Array = np.maximum(agreement, 0.0) ** 2
        if weights.sum() == 0:
            return None
        weights /= weights.sum()
        together = weights @ predicted
        if len(scores) >= _UNCHECKED and (
            np.ptp(together) == 0
            or spearmanr(together, scores, alternative="greater").pvalue > _LEVEL
        ):
            return None
        return weights

    def _most_promising(
        self, weights: Array, running: Sequence[Params], generator: random.Random
    ) -> Params | None:
        values = [score for _, score in self._own if score is not None]
        scores = _quantiles([max(values) if score is None else score for _, score in self._own])
        points = self._at(params for params, _ in self._own)
        known = self._predicted(points, weights)
        middle = known.mean()
        # Few trials tell little of it, and good ones alone nearly nothing.
        slope = (_SLOPE * _SURE + (known - middle) @ scores) / (
            _SURE + ((known - middle) ** 2).sum()
        )
        slope = max(slope, 0.0)

        def expected(at: Array) -> Array:
            found: Array = slope * (self._predicted(at, weights) - middle)
            return found

        candidates = self._near_and_far(generator, [*(p for p, _ in self._own), *running])
        if not candidates:
            return None
        at = self._at(candidates)
        # In which tunables a value matters is as in the past.
        scale = np.exp(weights @ np.log([lengths(model) for model in self._models]))
        left = scores - expected(points)
        model = _process(points / scale, left, 1.0, _LITTLE)
        if running:  # they count as measured, with what is expected of them
            also = self._at(running) / scale
            left = np.append(left, model.predict(also))
            model = model.__class__(model.kernel_, optimizer=None)
            model.fit(np.vstack([points / scale, also]), left)
        without_noise(model)  # the improvement is of the function
        best = (model.predict(points / scale) + expected(points)).min()
        mean, spread = model.predict(at / scale, return_std=True)
        spread = np.maximum(spread, 1e-9)
        gain = (best - mean - expected(at)) / spread
        improvement = spread * (gain * norm.cdf(gain) + norm.pdf(gain))
        return candidates[int(improvement.argmax())]

    def _predicted(self, at: Array, weights: Array) -> Array:
        """What the earlier studies predict together, in quantiles."""
        found: Array = weights @ np.array([model.predict(at) for model in self._models])
        return found

    def _near_and_far(self, generator: random.Random, known: Iterable[Params]) -> list[Params]:
        """New allowed points: random ones, the earlier studies' best, some near the own best."""
        measured = [(params, score) for params, score in self._own if score is not None]
        found = [self._space.draw(generator) for _ in range(_DRAWN)] + self._candidates()
        for params, _ in sorted(measured, key=lambda one: one[1])[:_BEST]:
            found += [self._changed(params, generator) for _ in range(_NEAR)]
        new = {identity(point): point for point in found}
        for point in known:
            new.pop(identity(point), None)
        return [point for point in new.values() if self._space.forbidding(point) is None]

    def _changed(self, params: Params, generator: random.Random) -> Params:
        """The point with about half of its values changed, numbers by a little."""
        step = generator.choice(_STEPS)

        def value_of(tunable: Tunable) -> Value:
            if tunable.name not in params:
                return tunable.draw(generator)
            value = params[tunable.name]
            if generator.random() < 0.5:
                return value
            if tunable.kind == "categorical":
                return tunable.draw(generator) if generator.random() < 0.3 else value
            share = share_of(tunable, value) + generator.gauss(0.0, step)
            number = value_at(tunable, min(max(share, 0.0), 1.0))
            number = min(max(number, tunable.low or 0), tunable.high or 0)
            return tunable.typed(round(number) if tunable.kind == "integer" else number)

        return self._space.build(value_of)


def _quantiles(scores: Sequence[float]) -> Array:
    """The normal quantile of each score's rank."""
    found: Array = norm.ppf((rankdata(scores) - 0.5) / len(scores))
    return found


def _process(
    points: Array, scores: Array, length: float | Array, noise: tuple[float, float]
) -> GaussianProcessRegressor:
    """A Gaussian process of scores, from the first length and between the bounds of the noise."""
    return fitted(
        points,
        scores,
        amplitude=(1.0, (0.05, 20.0)),
        length=(length, (0.05, 10.0)),
        noise=(noise[1] / 10, noise),
    )
