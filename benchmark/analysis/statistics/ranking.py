"""Means over seeds, ranks over data sets, and what is counted from them.

Pure functions. `means` has a row per data set and a column per framework; larger is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.results.metrics import optimum

DECIMALS = 9
_ROUNDING = 1e-9
_HALVED = 2.0**-64


def mean(values: Iterable[float]) -> float:
    """The mean of what is not NaN, its sum rounded once: equal values tie in any order.

    NaN without a value, and of both infinities.
    """
    there = [value for value in values if not math.isnan(value)]
    if not there:
        return math.nan
    try:
        return math.fsum(there) / len(there)
    except OverflowError:  # Only the sum is too large.
        return math.fsum(value * _HALVED for value in there) / len(there) / _HALVED
    except ValueError:
        return math.nan


def seed_means(gains: pd.DataFrame) -> pd.DataFrame:
    """The mean gain over the seeds of each data set; what is missing is not counted."""
    places, names = gains.index.get_level_values(0).factorize(sort=True)
    order = np.argsort(places, kind="stable")
    values = gains.to_numpy(float)[order]
    means = np.empty((len(names), values.shape[1]))
    start = 0
    for place, seeds in enumerate(np.bincount(places, minlength=len(names)).tolist()):
        block = values[start : start + seeds]
        start += seeds
        there = ~np.isnan(block)
        columns = np.where(there, block, 0.0).T.tolist()
        try:
            sums = [math.fsum(column) for column in columns]
        except (OverflowError, ValueError):  # They are too large, or of both infinities.
            means[place] = [mean(column) for column in block.T.tolist()]
            continue
        with np.errstate(invalid="ignore"):
            means[place] = np.array(sums) / there.sum(axis=0)
    index = pd.Index(names, name=gains.index.names[0])
    return pd.DataFrame(means, index, gains.columns)


def ranks(means: pd.DataFrame) -> pd.DataFrame:
    """Ranks within each row, 1 the best; ties take the average of the ranks they span."""
    return means.rank(axis=1, ascending=False, method="average")


def wins(means: pd.DataFrame) -> pd.Series[int]:
    """On how many rows a framework is best; where several tie for best, each has the win."""
    return means.eq(means.max(axis=1), axis=0).sum().astype(int)


def win_matrix(means: pd.DataFrame) -> pd.DataFrame:
    """The share of data sets on which the row's framework beats the column's; ties count half.

    A data set on which one of the two is missing is not counted. The diagonal is NaN.
    """
    return _shares(means.to_numpy(float), means.columns)


def win_rate(means: pd.DataFrame) -> pd.Series[float]:
    """The mean share of the other frameworks that one beats on a data set; ties count half.

    With n frameworks and mean rank r it is (n - r) / (n - 1). NaN for a framework alone.
    """
    others = means.notna().sum(axis=1) - 1
    beaten = (others + 1).to_numpy()[:, None] - ranks(means)
    shares = pd.DataFrame(beaten).div(others.where(others > 0), axis=0)
    return shares.mean()


def reciprocal_rank(means: pd.DataFrame) -> pd.Series[float]:
    """The mean of 1 / rank over data sets (MRR)."""
    return (1.0 / ranks(means)).mean()


def improvability(means: pd.DataFrame, metrics: Mapping[str, str]) -> pd.Series[float]:
    """By which share a framework's error would shrink if the best's were had, mean over data sets.

    (error - best error) / error, 0…1, as TabArena (2025) defines it; the error is the distance to
    the metric's best possible value. NaN where no data set has a metric with a known one.

    Args:
        means: mean gains.
        metrics: the metric by data set.
    """
    best_possible = [optimum(metrics.get(name, "")) for name in means.index]
    known = np.array([value is not None for value in best_possible], dtype=bool)
    ends = np.array([np.nan if value is None else value for value in best_possible])
    errors = ends[:, None] - means.to_numpy(float)
    # A value beyond it is of a metric of the user's own that only has a known one's name.
    known &= ~(errors < -_ROUNDING).any(axis=1)
    smallest = np.fmin.reduce(errors, axis=1, initial=np.inf)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = 1 - np.where(np.isinf(errors), 0.0, smallest / errors)
    shares = np.where(errors == smallest, 0.0, shares)
    shares[~known] = np.nan
    return pd.DataFrame(shares, means.index, means.columns).mean()


def bootstrap_means(values: pd.DataFrame, draws: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """The columns' means in resamples of the rows, which are drawn with replacement.

    A row per resample."""
    random = np.random.default_rng(seed)
    rows = len(values)
    weights = random.multinomial(rows, np.full(rows, 1 / rows), size=draws) / rows
    result: NDArray[np.float64] = weights @ values.to_numpy(float)
    return result


def positions(mean_ranks: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places by mean rank in each row, 1 the best; ties share the smaller."""
    places = pd.DataFrame(np.round(mean_ranks, DECIMALS)).rank(axis=1, method="min")
    return places.to_numpy(np.int64)


def _shares(values: NDArray[np.float64], names: pd.Index) -> pd.DataFrame:
    size = values.shape[1]
    shares = np.full((size, size), np.nan)
    for column in range(size):
        own = values[:, [column]]
        both = ~np.isnan(own) & ~np.isnan(values)
        won = (own > values) + 0.5 * (own == values)
        counted = both.sum(axis=0)
        with np.errstate(invalid="ignore"):
            shares[column] = np.where(both, won, 0.0).sum(axis=0) / np.where(
                counted, counted, np.nan
            )
        shares[column, column] = np.nan
    return pd.DataFrame(shares, names, names)
