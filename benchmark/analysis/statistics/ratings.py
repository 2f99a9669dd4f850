"""Elo ratings by the Bradley-Terry model, with bootstrap intervals.

    ratings(means)["elo"]

Two frameworks meet once on every data set; the better mean gain wins, a tie is half a win each.
All meet all equally often, so the numbers of wins are sufficient and the fit needs no list of
matches.

A framework that has won (or lost) against all the others on every data set has no finite rating;
it is infinite here. In general that holds between the strongly connected parts of the graph of
wins (Ford, 1957); the part with the random forest, else the largest, has the finite ratings.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmark.analysis.statistics.imputation import FOREST, baseline
from benchmark.analysis.statistics.ranking import ranks

ANCHOR = 1000.0
PER_DECADE = 400.0
DRAWS = 500
# Without a finite maximum Newton's method would not end; this penalty on the squared log-strengths
# gives it one and moves ordinary ratings by less than 0.0001.
_RIDGE = 2e-7
_STEPS = 60
_PRECISE = 1e-9


def ratings(means: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame | None:
    """Elo and its 95 % interval by framework: columns `elo`, `low`, `high`.

    400 points are odds of 10 to 1. The random forest has 1000 (TabArena 2025); without one the mean
    of all finite ratings is 1000. Data sets are resampled. A resample is shifted to the ratings'
    mean and not to the forest's, so that the intervals do not depend on who has 1000, who has one
    too. None with fewer than two frameworks, or without a data set.

    Args:
        means: mean gains, a row per data set and a column per framework, without gaps.
        draws: bootstrap resamples.
        seed: of the resamples.
    """
    rows, columns = means.shape
    if columns < 2 or rows < 1:
        return None
    won = columns - ranks(means).to_numpy(float)
    random = np.random.default_rng(seed)
    weights = np.vstack(
        [np.ones((1, rows)), random.multinomial(rows, np.full(rows, 1 / rows), size=draws)]
    )
    wins = weights @ won
    elo = PER_DECADE * bradley_terry(wins, rows) / np.log(10)
    forest = baseline(means.columns, FOREST)
    anchor = list(means.columns).index(forest) if forest else None
    finite = connected(wins, rows, anchor)
    elo += ANCHOR - (elo[0][finite[0]].mean() if anchor is None else elo[0, anchor])
    own = finite & finite[0]
    shift = np.where(own, elo - elo[0], 0.0).sum(axis=1) / own.sum(axis=1)
    inner = np.where(finite, elo, 0.0).sum(axis=1) / finite.sum(axis=1)
    outer = np.copysign(np.inf, elo - inner[:, None])
    elo = np.where(finite, elo - shift[:, None], outer)
    low, high = np.percentile(elo[1:], [2.5, 97.5], axis=0, method="nearest")
    return pd.DataFrame({"elo": elo[0], "low": low, "high": high}, index=means.columns)


def connected(won: NDArray[np.float64], matches: int, anchor: int | None) -> NDArray[np.bool_]:
    """Which players have a finite rating in each fit: those of one part, the anchor's.

    Without an anchor it is the largest part of the first fit, and in each other fit what is left
    together of the most of its players.

    Players fall into parts where some win every match against all the others. By their numbers of
    wins from the most on, a part ends where the first m have won as often as they can (as in
    Landau's theorem on score sequences).

    Args:
        won: a row a fit, a column a player: the matches won, ties counted half.
        matches: how often every two players have met.
        anchor: the player whose rating is fixed.
    """
    players = won.shape[1]
    order = np.argsort(-won, axis=1, kind="stable")
    sums = np.cumsum(np.take_along_axis(won, order, axis=1), axis=1)
    first = np.arange(1, players + 1)
    most = matches * (first * (first - 1) / 2 + first * (players - first))
    ends = np.abs(sums - most) < _PRECISE * matches * players**2
    parts = np.empty(won.shape, dtype=np.int64)
    np.put_along_axis(parts, order, np.cumsum(ends, axis=1) - ends, axis=1)
    if anchor is None:
        together = parts[:, :, None] == parts[:, None, :]
        counted = together[0, together[0].sum(axis=1).argmax()]
        sizes = np.where(counted, together[:, :, counted].sum(axis=2), 0)
        chosen = np.take_along_axis(parts, sizes.argmax(axis=1)[:, None], axis=1)
    else:
        chosen = parts[:, [anchor]]
    found: NDArray[np.bool_] = parts == chosen
    return found


def bradley_terry(won: NDArray[np.float64], matches: int) -> NDArray[np.float64]:
    """Log-strengths by Newton's method, many fits at once; each row's mean is 0.

    Args:
        won: a row a fit, a column a player: the matches won, ties counted half.
        matches: how often every two players have met.
    """
    # Resamples of a few data sets are often the same.
    won, place = np.unique(won, axis=0, return_inverse=True)
    fits, players = won.shape
    strengths = np.zeros((fits, players))
    diagonal = np.arange(players)
    left = np.arange(fits)
    for _ in range(_STEPS):
        now = strengths[left]
        chances = 1 / (1 + np.exp(now[:, None, :] - now[:, :, None]))
        chances[:, diagonal, diagonal] = 0.0
        gradient = won[left] - matches * chances.sum(axis=2) - _RIDGE * now
        spread = matches * chances * (1 - chances)
        spread[:, diagonal, diagonal] = 0.0
        curvature = -spread
        curvature[:, diagonal, diagonal] = spread.sum(axis=2) + _RIDGE
        step = np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0]
        # Only the penalty holds the mean, which is 0 at the maximum; rounding moves it.
        step -= step.mean(axis=1, keepdims=True)
        # Far from the maximum a full step overshoots.
        step /= np.maximum(np.abs(step).max(axis=1, keepdims=True) / 2, 1.0)
        strengths[left] += step
        left = left[np.abs(step).max(axis=1) >= _PRECISE]
        if not left.size:
            break
    centred = strengths - strengths.mean(axis=1, keepdims=True)
    found: NDArray[np.float64] = centred[place]
    return found
