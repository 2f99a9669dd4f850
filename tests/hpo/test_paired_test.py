"""The sequential sign-flip test: a martingale, an interval, an estimate, the announced gain."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.hpo.report import paired_test
from benchmark.hpo.report.paired_test import (
    THRESHOLD,
    detectable,
    estimate,
    evidence,
    interval,
    trend,
)

SIZES = st.lists(st.floats(0, 5) | st.just(math.inf), min_size=1, max_size=7)


@settings(max_examples=25)
@given(SIZES)
def test_coins_as_signs_make_a_martingale(sizes: list[float]) -> None:
    """Over all patterns of signs the mean is 1 after every pair, whatever the sizes are."""
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(sizes))))
    with np.errstate(invalid="ignore"):
        found = evidence(signs * np.array(sizes))
    assert found.mean(axis=0) == pytest.approx(np.ones(len(sizes)))
    assert (found >= 0).all()


def test_it_is_never_reached_by_more_than_its_share() -> None:
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=12)))
    for sizes in (np.ones(12), np.arange(1.0, 13.0), 2.0 ** np.arange(12)):
        reached = (evidence(signs * sizes) >= THRESHOLD).any(axis=1)
        assert 0 < reached.mean() <= 1 / THRESHOLD


def test_how_many_pairs_it_takes() -> None:
    for pairs in range(1, 12):
        reached = evidence(np.ones(pairs))[-1] >= THRESHOLD
        assert reached == (pairs >= paired_test.FEWEST_DECISIVE)
    # Ties tell nothing, and an infinite difference no more than a clear one.
    assert evidence(np.array([0.0] * 5 + [1.0] * 7))[-1] == evidence(np.ones(7))[-1]
    ends = [evidence(np.array([*[1.0] * 6, last]))[-1] for last in (9.0, math.inf)]
    assert ends[0] == ends[1]


def test_sizes_are_in_units_of_the_running_median() -> None:
    signs, sizes = np.array([1.0, -1, 1, 1, -1]), np.array([4.0, 0, math.inf, 2, 8])
    # Medians of what is known so far: 4, 4, 4, 3, 4.
    units = np.array([1, 0, 2, 2 / 3, 2]) * signs
    bets = [*(np.tanh(c * units) for c in (0.2, 0.4, 0.8)), np.sign(units)]
    by_hand = np.mean([np.cumprod(1 + bet) for bet in bets], axis=0)
    assert evidence(signs * sizes) == pytest.approx(by_hand)


def test_the_scale_does_not_matter() -> None:
    values = np.random.default_rng(1).normal(1, 1, 20)
    assert evidence(values * 1e-200) == pytest.approx(evidence(values))
    assert evidence(values * 1e200) == pytest.approx(evidence(values))
    assert np.isfinite(evidence(np.ones(1000))).all()


def test_the_ends_of_an_interval_have_six_digits() -> None:
    values = np.array([16.0, 56, 28, 62, 46, 10, 40, -10])
    assert interval(values) == pytest.approx((10, 62), rel=1e-8)


def test_the_interval_agrees_with_the_test_and_covers() -> None:
    assert interval(np.ones(6)) is None
    assert interval(np.ones(9)) == pytest.approx((1, 1))
    dice = np.random.default_rng(2)
    missed = 0
    for _ in range(80):
        values = dice.standard_t(3, size=15) + 2
        ends = interval(values)
        assert ends is not None
        low, high = ends
        assert low <= np.median(values) <= high
        assert (low > 0) == bool(evidence(values).max() >= THRESHOLD)
        missed += not low <= 2 <= high
    # 5 % at most; the chance of more than 11 of 80 is below 0.001 then.
    assert missed <= 11
    moved = interval(values * 10 - 7)
    assert moved == pytest.approx((10 * low - 7, 10 * high - 7), rel=1e-3)


def test_the_estimate_is_shrunk() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    found, shrunk = estimate(values)
    averages = [
        (one + other) / 2 for one, other in itertools.combinations_with_replacement(values, 2)
    ]
    assert found == np.median(averages)
    assert shrunk == pytest.approx(found * (1 - np.var(values, ddof=1) / 4 / found**2))
    assert estimate(np.array([-1.0, 1.0, 0.1])) == (pytest.approx(0.05, abs=0.05), 0.0)
    assert estimate(np.array([3.0])) == (3.0, 0.0)
    assert estimate(np.zeros(5)) == (0.0, 0.0)


@pytest.mark.parametrize("pairs", [7, 12, 20, 50, 90])
def test_the_announced_gain_is_found_in_four_of_five_cases(pairs: int) -> None:
    gain = detectable(pairs, 1.0)
    assert gain is not None
    differences = np.random.default_rng(pairs).normal(gain, 2**0.5, (400, pairs))
    power = (evidence(differences) >= THRESHOLD).any(axis=1).sum()
    # Seven standard errors would be 56 of 400.
    assert 290 <= power <= 350
    assert detectable(6, 1.0) is None


def test_trend() -> None:
    assert trend(np.arange(10.0)) == pytest.approx(2 / math.factorial(10))
    assert trend(np.ones(9)) == 1.0
    assert trend(np.arange(4.0)) == 1.0
    values = np.random.default_rng(3).normal(size=12)
    assert trend(values) == stats.kendalltau(np.arange(12), values).pvalue
