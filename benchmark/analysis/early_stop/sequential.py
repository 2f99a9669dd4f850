"""Sequential inference on a finite grid: the mean of bounded paired differences, at every look.

    values = paired_ranks(means)                          # or paired_wins, paired_scores
    low, high = confidence_sequences(values[order][:looks], len(values), alpha=0.05)

The population is the full grid. Its data sets are drawn in a random order without replacement, and
each one gives every pair of frameworks a difference in -1...1, as a value (1 + difference) / 2 in
0...1. A test martingale per directed pair holds the evidence, and may be looked at after every
data set.

The martingale of the null "the total of all values is at most T" is the betting martingale for
sampling without replacement of Waudby-Smith & Ramdas (2023, "Estimating means of bounded random
variables by betting", section 5): M_t = prod_{i<=t} (1 + lambda_i (x_i - C_i)), where
C_i = (T - sum_{j<i} x_j) / (N - i + 1) is the mean of what is left under the null (Waudby-Smith &
Ramdas 2020, "Confidence sequences for sampling without replacement", section 2). The bets are
lambda_i = c / C_i, averaged over a grid of c: with constant c the martingale is non-increasing in
T, so that rejecting T rejects every smaller total, too. By Ville's inequality a true null ever has
M_t >= 1/a with probability at most a.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

FRACTIONS = np.linspace(0.1, 1.0, 10)
# Capital is cut off here: more than any threshold, and products of it stay finite.
_MOST = 1e100
POINTS = 200
"""Of the intervals of many pairs, whose ends are multiples of 1 / POINTS."""


def paired_wins(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether the row's framework beats the column's on a data set: 1, 0, or 1/2 for a tie.

    Args:
        means: (N, K), larger is better, no NaN.

    Returns:
        (N, K, K)
    """
    first, second = means[:, :, None], means[:, None, :]
    wins: NDArray[np.float64] = (first > second) + 0.5 * (first == second)
    return wins


def paired_ranks(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how many of the K - 1 ranks the row's framework is ahead; shapes as of `paired_wins`."""
    wins = paired_wins(means)
    beaten = wins.sum(axis=2)
    return _as_values(beaten / max(1, wins.shape[1] - 1))


def paired_scores(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how much of the span from the worst to the best the row's framework is ahead."""
    lowest, highest = means.min(axis=1, keepdims=True), means.max(axis=1, keepdims=True)
    span = highest - lowest
    return _as_values((means - lowest) / np.where(span > 0, span, 1.0))


def _as_values(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = (1 + scores[:, :, None] - scores[:, None, :]) / 2
    return values


def null_total(size: int, margin: float = 0.0) -> float:
    """The largest sum of `size` wins, ties and losses whose mean is below 1/2 - margin."""
    return (math.ceil(round(2 * size * (0.5 - margin), 9)) - 1) / 2


def capital(
    values: NDArray[np.float64], size: int, null: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Evidence against a total of at most `null`, after each value (see the module's docstring).

    Args:
        values: (n, ...) in 0...1, drawn without replacement from a population of `size`.
        size: N >= n.
        null: the largest total under the null; its shape broadcasts to that of a value.

    Returns:
        (n + 1, ...), 1 at first; `_MOST` once the null is impossible.
    """
    shape = np.broadcast_shapes(values.shape[1:], np.shape(null))
    fractions = FRACTIONS.reshape(-1, *(1 for _ in shape))
    wealth = np.ones((len(FRACTIONS), *shape))
    left = np.broadcast_to(np.asarray(null, dtype=float), shape).copy()
    found = np.empty((len(values) + 1, *shape))
    found[0] = np.where(left < 0, _MOST, 1.0)
    for place, value in enumerate(values):
        mean = left / (size - place)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(mean > 0, value / mean, 1.0)
        wealth *= 1 - fractions + fractions * ratio
        np.minimum(wealth, _MOST, out=wealth)
        left -= value
        # Below 0 for good: the sum so far exceeds the null. Rounding of sums stays far below 1e-9.
        found[place + 1] = np.where(left < -1e-9, _MOST, wealth.mean(axis=0))
    return found


def lower_bounds(
    values: NDArray[np.float64], size: int, alpha: float, points: int = 1000
) -> NDArray[np.float64]:
    """One-sided confidence sequences for the population's means: each holds at all times together.

    Args:
        values: (n, ...) in 0...1, drawn without replacement.
        size: of the population.
        alpha: error probability over all times.
        points: the bounds are multiples of 1 / points, rounded down.

    Returns:
        (n + 1, ...), non-decreasing, 0 at first.
    """
    grid = np.linspace(0, 1, points + 1)
    nulls = (grid * size).reshape(-1, *(1 for _ in values.shape[1:]))
    evidence = np.maximum.accumulate(capital(values[:, None], size, nulls), axis=0)
    rejected = evidence >= 1 / alpha
    # The rejected totals are the smallest; the largest of them is the bound.
    bounds: NDArray[np.float64] = grid[np.maximum(rejected.sum(axis=1) - 1, 0)]
    return bounds


def confidence_sequences(
    values: NDArray[np.float64], size: int, alpha: float, points: int = POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two-sided confidence sequences for all pairs: all hold at all times together (Bonferroni).

    Args:
        values: (n, K, K) of `paired_wins`, `paired_ranks` or `paired_scores`, the least that they
            can be.
        size, points: as of `lower_bounds`.
        alpha: the probability that any interval of any pair at any time is wrong.

    Returns:
        The lower and the upper ends, each (n + 1, K, K).
    """
    count = values.shape[1]
    low = lower_bounds(values, size, alpha / max(1, count * (count - 1)), points)
    return low, 1 - low.transpose(0, 2, 1)
