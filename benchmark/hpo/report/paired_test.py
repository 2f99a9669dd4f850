"""A sequential test of paired measurements, valid after any number of looks.

    evidence(default - best)                # (n,) evidence that the best is smaller, by pairs
    interval(best - default)                # 95 % for the difference, valid at every n

The order within a pair is a fair coin. So if the configuration makes no difference, the sign of
each difference is a fair coin as well, whatever the machine does: its noise may be heavy-tailed,
autocorrelated, drifting or periodic. The evidence is the capital of a gambler who bets on the next
sign: M_n = mean over c of prod_{i<=n} (1 + tanh(c u_i)), where u_i is the difference divided by the
median size so far and cut off at 2, so that outliers and failures count no more than clear
differences. The sizes do not predict the signs, so M is a martingale, and by Ville's inequality it
ever reaches 1 / a with probability a at most (Vovk & Wang 2024, "Nonparametric e-tests of
symmetry"; Ramdas, Grunwald, Vovk & Shafer 2023, "Game-theoretic statistics and safe anytime-valid
inference"). Shifted differences give an interval, if the configuration changes every run by the
same amount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
# Either direction may be wrong with ALPHA / 2.
THRESHOLD = 2 / ALPHA
# The fewest pairs whose evidence, all of one sign, reaches the threshold.
FEWEST_DECISIVE = 7
_STRENGTHS = (0.2, 0.4, 0.8)
_CAP = 2.0
# Pairs, and the gain in standard deviations of their differences that they find in 80 % of cases,
# for normal noise; perf/verdicts.py measures it. Beyond them it falls as 1 / sqrt(pairs).
_DETECTED = ((7, 2.25), (8, 1.86), (10, 1.81), (14, 1.28), (20, 0.94), (30, 0.72), (50, 0.545))
_GRID = 64


def evidence(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evidence after each pair that differences tend to be above 0, 1 at first.

    Args:
        differences: (..., n), in the order of measurement; 0 is a tie, infinite a failure.

    Returns:
        (..., n)
    """
    sizes = np.abs(differences)
    scale = _running_median(sizes.reshape(-1, sizes.shape[-1])).reshape(sizes.shape)
    with np.errstate(invalid="ignore"):
        units = np.where(np.isinf(sizes), _CAP, np.minimum(sizes / scale, _CAP))
    units = np.where(sizes > 0, units, 0.0) * np.sign(differences)
    bets = [*(np.tanh(strength * units) for strength in _STRENGTHS), np.sign(units)]
    capital: NDArray[np.float64] = np.mean([np.cumprod(1 + bet, axis=-1) for bet in bets], axis=0)
    return capital


def _running_median(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of the sizes so far that are neither 0 nor infinite; inf before there is one."""
    rows, steps = np.arange(len(sizes)), sizes.shape[1]
    ordered = np.full(sizes.shape, np.inf)
    count = np.zeros(len(sizes), dtype=int)
    medians = np.full(sizes.shape, np.inf)
    known = np.where(sizes > 0, sizes, np.inf)
    for step in range(steps):
        new, old = known[:, step, None], ordered[:, : step + 1]
        place = (old < new).sum(axis=1, keepdims=True)
        columns = np.arange(step + 1)
        moved = np.where(columns == place, new, np.roll(old, 1, axis=1))
        ordered[:, : step + 1] = np.where(columns < place, old, moved)
        count += np.isfinite(new[:, 0])
        low, high = ordered[rows, np.maximum(count - 1, 0) // 2], ordered[rows, count // 2]
        medians[:, step] = low / 2 + high / 2
    return medians


def interval(differences: NDArray[np.float64]) -> tuple[float, float] | None:
    """The shifts that were never rejected, a 95 % confidence sequence at its last n.

    None if there are too few pairs for an end on either side.
    """
    low, high = _least(differences), _least(-differences)
    return None if low is None or high is None else (low, -high)


def _least(differences: NDArray[np.float64]) -> float | None:
    """The largest shift below the median below which all are rejected, rounded outwards."""
    end = float(np.median(differences))
    start = float(differences.min()) - 1e-9 * (abs(end) or 1.0)
    if not _refutes(differences, np.array([start]))[0]:
        return None
    for _ in range(5):
        grid = np.linspace(start, end, _GRID)
        place = int(np.argmin(_refutes(differences, grid)))
        start, end = grid[max(place - 1, 0)], grid[place]
    return float(start)


def _refutes(differences: NDArray[np.float64], shifts: NDArray[np.float64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = evidence(differences[None] - shifts[:, None]).max(axis=1) >= (
        THRESHOLD
    )
    return found


def estimate(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The difference as measured, and shrunk towards 0.

    The first is the median of the averages of any two differences (Hodges and Lehmann). Differences
    that were found real are on average too large, most of all the small ones. The second is the
    first times 1 - 1 / z^2, or 0, where z is its number of standard errors (the positive-part rule
    of James and Stein; van Zwet & Cator 2021, "The significance filter, the winner's curse and the
    need to shrink").
    """
    first, second = np.triu_indices(len(differences))
    found = float(np.median((differences[first] + differences[second]) / 2))
    if len(differences) < 2 or not found:
        return found, 0.0
    error = float(np.var(differences, ddof=1)) / len(differences)
    return found, found * max(0.0, 1 - error / found**2)


def spread(values: NDArray[np.float64]) -> float:
    """The standard deviation of normal noise, from the mean deviation: outliers count less."""
    return float(np.abs(values - np.median(values)).mean() * np.sqrt(np.pi / 2))


def detectable(pairs: int, run_spread: float) -> float | None:
    """The gain detected by this many pairs in 80 % of cases; None if they cannot detect any.

    Args:
        pairs: number of pairs.
        run_spread: standard deviation of one run; both sides of a pair have it.
    """
    if pairs < FEWEST_DECISIVE:
        return None
    last, gain = _DETECTED[-1]
    if pairs >= last:
        return float(np.sqrt(2) * run_spread * gain * np.sqrt(last / pairs))
    known = np.log(np.array(_DETECTED))
    return float(
        np.sqrt(2) * run_spread * np.exp(np.interp(np.log(pairs), known[:, 0], known[:, 1]))
    )


def trend(values: NDArray[np.float64]) -> float:
    """p of Kendall's test that the values neither rise nor fall with time; 1 for fewer than 5."""
    from scipy.stats import kendalltau

    if len(values) < 5 or np.ptp(values) == 0:
        return 1.0
    return float(kendalltau(np.arange(len(values)), values).pvalue)
