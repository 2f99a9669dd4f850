"""Tests of whether frameworks differ: Friedman, Nemenyi, Wilcoxon and Holm, Bayesian signed rank.

Pure functions on tables with a row per data set and a column per framework, without gaps; larger
is better. Where a test cannot be computed its function returns None.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ALPHA = 0.05
ROPE = 0.01
SAMPLES = 10_000
# Up to so many differences the signed-rank distribution is exact; the normal one is close beyond.
MOST_EXACT = 128
# Differences that are equal but for rounding are ties.
_DECIMALS = 12


@dataclass(frozen=True)
class Friedman:
    """The Friedman test of any difference. `p` is of chi-squared with k - 1 degrees."""

    statistic: float
    p: float
    frameworks: int
    datasets: int

    @property
    def text(self) -> str:
        """As "p = 0.023"; a p below the smallest float is 0 and is not shown as that."""
        return f"p = {self.p:.2g}" if self.p > 0 else "p < 1e-300"


def friedman(ranks: pd.DataFrame) -> Friedman | None:
    """The test with its correction for ties (Demsar, JMLR 2006).

    None with fewer than three frameworks or two data sets, or where all is tied.
    """
    from scipy.special import chdtrc

    values = ranks.to_numpy(float)
    rows, columns = values.shape
    if columns < 3 or rows < 2 or np.isnan(values).any():
        return None
    middle = (columns + 1) / 2
    between = rows * ((values.mean(axis=0) - middle) ** 2).sum()
    within = ((values - middle) ** 2).sum() / (rows * (columns - 1))
    if within == 0:
        return None
    statistic = float(between / within)
    return Friedman(statistic, float(chdtrc(columns - 1, statistic)), columns, rows)


def critical_difference(frameworks: int, datasets: int, alpha: float = ALPHA) -> float:
    """Nemenyi's: mean ranks that are farther apart differ at `alpha` (Demsar, JMLR 2006)."""
    quantile = range_quantile(frameworks, alpha) / np.sqrt(2)
    return float(quantile * np.sqrt(frameworks * (frameworks + 1) / (6 * datasets)))


def range_quantile(count: int, alpha: float) -> float:
    """The studentized range's upper quantile, infinitely many degrees of freedom.

    The range of `count` standard normals is below q with probability
    count * integral of pdf(z) * (cdf(z) - cdf(z - q)) ** (count - 1). scipy's own function gives
    the same, and takes seconds for 25.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    points = np.linspace(-8.0, 8.0 + 10.0, 3601)
    density, below = np.exp(-(points**2) / 2.0) / np.sqrt(2 * np.pi), ndtr(points)

    def beyond(quantile: float) -> float:
        inside = below - ndtr(points - quantile)
        covered = np.trapezoid(density * inside ** (count - 1), points)
        return float(1 - count * covered - alpha)

    return float(brentq(beyond, 1e-3, 30.0, xtol=1e-10))


def groups(mean_ranks: pd.Series[float], difference: float) -> list[tuple[str, ...]]:
    """The largest sets of frameworks whose mean ranks lie within a critical difference.

    As a critical-difference diagram joins them by bars; sets of one are left out.
    """
    ordered = mean_ranks.dropna().sort_values(kind="stable")
    values, names = ordered.to_numpy(float), [str(name) for name in ordered.index]
    ends = np.searchsorted(values, values + difference, side="right")
    found: list[tuple[str, ...]] = []
    reached = 0
    for start, end in enumerate(ends):
        if end > reached and end - start > 1:
            found.append(tuple(names[start:end]))
        reached = max(reached, int(end))
    return found


def wilcoxon_holm(scores: pd.DataFrame) -> pd.DataFrame | None:
    """p of every pair by Wilcoxon's signed ranks, adjusted by Holm; a symmetric table.

    A pair that ties on every data set has p = 1. None with fewer than two frameworks or data sets.
    """
    names = list(scores.columns)
    values = scores.to_numpy(float)
    if len(names) < 2 or len(scores) < 2:
        return None
    upper = np.triu_indices(len(names), 1)
    raw = np.ones(len(upper[0]))
    for place, (first, second) in enumerate(zip(*upper, strict=True)):
        raw[place] = signed_rank(_differences(values[:, first], values[:, second])).two_sided
    table = np.full((len(names), len(names)), np.nan)
    table[upper] = holm(raw)
    table.T[upper] = table[upper]
    return pd.DataFrame(table, names, names)


@dataclass(frozen=True)
class Wilcoxon:
    """p of Wilcoxon's signed-rank test.

    `two_sided` is of any difference, `less` of differences below 0 (one-sided), `least` the
    smallest `less` that as many differences can have.
    """

    two_sided: float
    less: float
    least: float


def signed_rank(differences: NDArray[np.float64]) -> Wilcoxon:
    """Wilcoxon's test with its exact distribution, ties and zeros included.

    Every difference is as likely to have either sign; all 2^n choices of signs are counted, with
    average ranks for ties and Pratt's treatment of zeros (ranked, then left out). Beyond MOST_EXACT
    differences that are not 0 the normal distribution is taken, with the variance that the ties
    leave. Without any such difference p is 1.
    """
    from scipy.special import ndtr

    values = np.where(np.isfinite(differences), np.round(differences, _DECIMALS), differences)
    counted = values != 0
    _, place, ties = np.unique(np.abs(values), return_inverse=True, return_counts=True)
    # Average ranks are multiples of 1/2, and doubled here.
    ranks = (2 * ties.cumsum() - ties + 1)[place][counted]
    count, total = len(ranks), int(ranks.sum())
    if not count:
        return Wilcoxon(1.0, 1.0, 1.0)
    positive = int(ranks[values[counted] > 0].sum())
    if count > MOST_EXACT:
        z = (positive - total / 2) / (np.sqrt((ranks.astype(float) ** 2).sum()) / 2)
        below, above = float(ndtr(z)), float(ndtr(-z))
    else:
        fewer = min(positive, total - positive)
        tail, rest = _tails(np.sort(ranks), fewer)
        below, above = (tail, rest) if positive == fewer else (rest, tail)
    return Wilcoxon(min(1.0, 2 * min(below, above)), min(1.0, below), 0.5**count)


def _tails(ranks: NDArray[np.int64], fewer: int) -> tuple[float, float]:
    """The chances that the sum of ranks, each counted with a chance of 1/2, is at most `fewer`,
    and at least: the distribution is symmetric.

    Args:
        ranks: sorted.
        fewer: a sum of at most half of all ranks.
    """
    total, unit = int(ranks.sum()), int(np.gcd.reduce(ranks))
    steps = ranks // unit
    # Without ties one distribution serves all pairs with as many zeros.
    shared = bool((np.diff(ranks) > 0).all())
    if shared:
        sums = _lower_sums(steps.tobytes(), int(steps.sum()) // 2)
    else:
        sums = _sums(steps, fewer // unit)
    rest = 1.0 - float(sums[(fewer - 1) // unit]) if fewer else 1.0
    return (float(sums[fewer // unit]) if 2 * fewer < total else rest), rest


@functools.lru_cache(maxsize=128)
def _lower_sums(ranks: bytes, most: int) -> NDArray[np.float64]:
    return _sums(np.frombuffer(ranks, dtype=np.int64), most)


def _sums(ranks: NDArray[np.int64], most: int) -> NDArray[np.float64]:
    """By sums from 0 to `most`: the chance of at most that. Larger sums add nothing to them."""
    counts = np.zeros(most + 1)
    counts[0], reach = 1.0, 0
    for rank in ranks.tolist():
        if rank > most:
            break
        reach = min(reach + rank, most)
        counts[rank : reach + 1] += counts[: reach + 1 - rank]
    sums: NDArray[np.float64] = counts.cumsum() * 0.5 ** len(ranks)
    return sums


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down adjustment: sorted p times the number of hypotheses left, non-decreasing."""
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


@dataclass(frozen=True)
class SignedRank:
    """Probabilities that the first is practically better, that both are alike, that it is worse."""

    better: float
    alike: float
    worse: float


def bayesian_signed_rank(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    rope: float = ROPE,
    samples: int = SAMPLES,
    seed: int = 0,
) -> SignedRank | None:
    """The Bayesian signed-rank test (Benavoli, Corani, Demsar & Zaffalon, JMLR 2017).

    A Dirichlet process with strength 0.5 on a difference of 0; differences within `rope` of 0 count
    as alike. None without data sets.

    Args:
        first: scores of one framework, one a data set.
        second: scores of the other.
        rope: half the width of the region of practical equivalence, in scores.
        samples: Monte Carlo draws; the error of a probability is below 0.5 / sqrt(samples).
        seed: of the draws.
    """
    return bayesian_signed_ranks(first, second[:, None], rope, samples, seed)[0]


def bayesian_signed_ranks(
    first: NDArray[np.float64],
    others: NDArray[np.float64],
    rope: float = ROPE,
    samples: int = SAMPLES,
    seed: int = 0,
) -> list[SignedRank | None]:
    """`bayesian_signed_rank` of one framework against each column; equally many data sets share
    their draws.
    """
    differences = [_differences(first, other) for other in others.T]
    tallies = np.zeros((len(differences), 3))
    for count in {len(one) for one in differences} - {0}:
        tests = [place for place, one in enumerate(differences) if len(one) == count]
        sorted_of = {place: _sorted(differences[place], rope) for place in tests}
        strengths = np.append(np.ones(count), 0.5)  # The last one is the prior's.
        random = np.random.default_rng(seed)
        for size in _chunks(samples, 250_000 // len(strengths)):
            weights = np.ascontiguousarray(random.dirichlet(strengths, size=size).T)
            mine, sums = np.empty_like(weights), np.empty_like(weights)
            upto = np.zeros((len(weights) + 1, size))
            for place, (order, not_above, below) in sorted_of.items():
                np.take(weights, order, axis=0, out=mine, mode="clip")
                np.cumsum(mine, axis=0, out=upto[1:])
                np.take(upto, not_above, axis=0, out=sums, mode="clip")
                better = 1 - np.einsum("ij,ij->j", sums, mine)
                np.take(upto, below, axis=0, out=sums, mode="clip")
                worse = np.einsum("ij,ij->j", sums, mine)
                shares = np.stack([better, 1 - better - worse, worse])
                tallies[place] += np.bincount(shares.argmax(axis=0), minlength=3)
    chances = (tallies / samples).tolist()
    return [
        SignedRank(*three) if len(one) else None
        for three, one in zip(chances, differences, strict=True)
    ]


def _sorted(differences: NDArray[np.float64], rope: float) -> tuple[NDArray[np.int64], ...]:
    """The order of the differences, a 0 among them, and for each in that order: with how many of
    the smallest its sum is not above the region, and with how many below.
    """
    values = np.append(differences, 0.0)
    order = np.argsort(values, kind="stable")
    with np.errstate(invalid="ignore"):  # Two infinite ones of either sign cancel: alike.
        sums = values[order, None] + values[None, order]
    return order, (~(sums > 2 * rope)).sum(axis=1), (sums < -2 * rope).sum(axis=1)


def _chunks(total: int, most: int) -> list[int]:
    most = max(most, 1)
    return [min(most, total - start) for start in range(0, total, most)]


def _differences(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """first - second; two infinite values that are equal differ by 0."""
    with np.errstate(invalid="ignore"):
        differences: NDArray[np.float64] = np.where(first == second, 0.0, first - second)
    return differences[~np.isnan(differences)]
