"""Makes scores of different data sets comparable: scaled scores, the classic scaling, notches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.statistics.imputation import CONSTANT, FOREST, TUNED_FOREST, baseline


def scaled(gains: pd.DataFrame) -> pd.DataFrame:
    """Each row scaled: 0 is the constant predictor's gain and 1 the best of the row.

    Nothing is clipped: what is worse than the constant predictor is negative, an infinite loss
    minus infinity. Without a (finite) constant predictor the row's worst finite gain is 0. Where
    nothing beats the zero point the worst is -1, and where all are equal (a framework alone, too)
    all are 0.
    """
    values = gains.to_numpy(float)
    finite = np.where(np.isfinite(values), values, np.nan)
    any_finite = ~np.isnan(finite).all(axis=1)
    best = np.nanmax(finite, axis=1, initial=-np.inf, where=~np.isnan(finite))
    worst = np.nanmin(finite, axis=1, initial=np.inf, where=~np.isnan(finite))
    source = baseline(gains.columns, CONSTANT)
    zero = finite[:, list(gains.columns).index(source)] if source else np.full(len(gains), np.nan)
    zero = np.where(np.isnan(zero), worst, zero)
    with np.errstate(invalid="ignore"):
        span = np.where(best > zero, best - zero, zero - worst)
        span = np.where(span > 0, span, 1.0)
        result = (values - zero[:, None]) / span[:, None]
    result[~any_finite] = 0.0
    return pd.DataFrame(np.where(np.isnan(values), np.nan, result), gains.index, gains.columns)


def between(gains: pd.DataFrame, zero: str, one: str) -> pd.DataFrame:
    """Each row scaled between two frameworks of it: (gain - zero) / (one - zero).

    Missing where the two are equal or one of them is missing.
    """
    span = gains[one] - gains[zero]
    return gains.sub(gains[zero], axis=0).div(span.where(span != 0), axis=0)


def amlb_2019(gains: pd.DataFrame) -> pd.DataFrame | None:
    """0 = constant predictor, 1 = tuned random forest, per fold; None where one is not there."""
    zero, one = (baseline(gains.columns, role) for role in (CONSTANT, TUNED_FOREST))
    return between(gains, zero, one) if zero and one else None


def amlb_2024(means: pd.DataFrame) -> pd.DataFrame | None:
    """0 = random forest, 1 = the best, per data set; None without a random forest."""
    zero = baseline(means.columns, FOREST)
    if zero is None:
        return None
    best = means.max(axis=1)
    span = best - means[zero]
    return means.sub(means[zero], axis=0).div(span.where(span > 0), axis=0)


def classic(gains: pd.DataFrame) -> pd.DataFrame:
    """The scaling of Balaji & Allen (2018): z-scores per data set, then 0…1 over all of them.

    The z-score takes every framework and seed of a data set; where all are equal it is 0. Gains
    that are not finite are left out.
    """
    values = gains.replace([np.inf, -np.inf], np.nan)
    totals = values.sum(axis=1).groupby(level=0).transform("sum")
    counts = values.count(axis=1).groupby(level=0).transform("sum")
    mean = totals / counts
    squares = values.sub(mean, axis=0).pow(2).sum(axis=1).groupby(level=0).transform("sum")
    spread = (squares / counts).pow(0.5)
    scores = values.sub(mean, axis=0).div(spread.where(spread > 0, 1.0), axis=0)
    numbers = scores.to_numpy(float)
    if np.isnan(numbers).all():
        return scores
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    return (scores - low) / ((high - low) or 1.0)


def median_notch(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """The median and its notch, median ± 1.57·IQR/√N (McGill, Tukey & Larsen 1978).

    Returns:
        median, lower and upper end; NaN without values, the whole line where the IQR is infinite.
    """
    array = np.asarray(values, dtype=float)
    array = array[~np.isnan(array)]
    if not array.size:
        return (np.nan, np.nan, np.nan)
    low, median, high = (float(value) for value in quartiles(array))
    half = 1.57 * (high - low) / np.sqrt(array.size) if high > low else 0.0
    if np.isinf(half):
        return median, -np.inf, np.inf
    return median, float(median - half), float(median + half)


def quartiles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The three quartiles; an infinite value counts as the farthest, never as NaN."""
    shares = np.array([0.25, 0.5, 0.75])
    if np.isfinite(values).all():
        points = np.quantile(values, shares)
    else:
        points = np.quantile(values, shares, method="closest_observation")
    return np.asarray(points, dtype=float)
