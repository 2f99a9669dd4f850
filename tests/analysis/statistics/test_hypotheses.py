"""The tests of differences: against published values, scipy, and cases that are clear."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.analysis.statistics import hypotheses, ranking


@pytest.mark.parametrize(
    ("frameworks", "datasets", "published"),
    [(12, 104, 1.634), (14, 41, 3.099), (14, 30, 3.622), (14, 33, 3.454)],
)
def test_critical_differences_as_amlb_published_them(frameworks, datasets, published):
    # Gijsbers et al., AMLB, 2023.
    assert round(hypotheses.critical_difference(frameworks, datasets), 3) == published


@pytest.mark.parametrize("count", [2, 3, 10])
def test_quantiles_of_the_studentized_range_are_scipys(count):
    for alpha in (0.05, 0.1):
        scipys = stats.studentized_range.ppf(1 - alpha, count, np.inf)
        assert hypotheses.range_quantile(count, alpha) == pytest.approx(scipys, abs=1e-6)


def test_friedman_is_scipys_with_ties():
    values = np.random.default_rng(3).integers(0, 4, (15, 5)).astype(float)
    found = hypotheses.friedman(ranking.ranks(pd.DataFrame(values)))
    expected = stats.friedmanchisquare(*values.T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("shape", [(5, 2), (1, 4)])
def test_friedman_needs_three_frameworks_and_two_data_sets(shape):
    values = pd.DataFrame(np.random.default_rng(0).random(shape))
    assert hypotheses.friedman(ranking.ranks(values)) is None


def test_friedman_of_ties_everywhere_is_none():
    assert hypotheses.friedman(ranking.ranks(pd.DataFrame(np.ones((6, 4))))) is None


def test_groups_are_the_largest_within_the_difference():
    ranks = pd.Series({"a": 1.0, "b": 1.6, "c": 2.1, "d": 4.0})
    assert hypotheses.groups(ranks, 0.7) == [("a", "b"), ("b", "c")]
    assert hypotheses.groups(ranks, 1.2) == [("a", "b", "c")]
    assert hypotheses.groups(ranks, 0.1) == []
    assert hypotheses.groups(ranks, 9) == [("a", "b", "c", "d")]


def test_holm_steps_down():
    adjusted = hypotheses.holm(np.array([0.01, 0.04, 0.03]))
    assert adjusted.tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert hypotheses.holm(np.array([0.9, 0.8])).tolist() == [1, 1]


def test_wilcoxon_holm_of_a_clear_and_of_no_difference():
    random = np.random.default_rng(0)
    base = random.random(20)
    table = pd.DataFrame({"a": base + 1 + random.random(20), "b": base, "c": base})
    p = hypotheses.wilcoxon_holm(table)
    assert p.loc["a", "b"] == pytest.approx(3 * stats.wilcoxon(table["a"] - base).pvalue)
    assert p.loc["b", "c"] == 1
    assert (p.to_numpy() == p.to_numpy().T).sum() == 6
    assert hypotheses.wilcoxon_holm(table[["a"]]) is None
    assert hypotheses.wilcoxon_holm(table.iloc[:1]) is None


def test_infinite_losses_are_the_largest_difference():
    table = pd.DataFrame({"a": np.full(8, -1.0), "b": [-np.inf] * 7 + [0.0]})
    assert hypotheses.wilcoxon_holm(table).loc["a", "b"] < 0.1
    both = hypotheses.bayesian_signed_rank(table["b"].to_numpy(), table["b"].to_numpy())
    assert both.alike == 1


def test_bayesian_signed_rank_agrees_with_baycomp():
    # baycomp 1.0.3, SignedRankTest.probs(x, y, rope=0.01, nsamples=50000) on the same numbers.
    x = np.array([0.81, 0.79, 0.93, 0.70, 0.66, 0.88, 0.91, 0.75, 0.83, 0.97])
    y = np.array([0.80, 0.74, 0.93, 0.71, 0.60, 0.86, 0.92, 0.70, 0.81, 0.95])
    found = hypotheses.bayesian_signed_rank(x, y, rope=0.01)
    assert (found.better, found.alike) == pytest.approx((0.928, 0.070), abs=0.015)
    assert found.better + found.alike + found.worse == pytest.approx(1)
    turned = hypotheses.bayesian_signed_rank(y, x, rope=0.01)
    assert turned.worse == pytest.approx(found.better, abs=0.015)


def test_bayesian_signed_rank_of_infinite_scores_on_either_side(recwarn):
    first, second = np.array([np.inf, 0.0, 0.5]), np.array([0.0, np.inf, 0.5])
    chances = hypotheses.bayesian_signed_rank(first, second)
    assert chances.better == pytest.approx(chances.worse, abs=0.03)
    assert not recwarn.list


def test_bayesian_signed_rank_needs_data():
    assert hypotheses.bayesian_signed_rank(np.array([]), np.array([])) is None


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([0.1] * 5, 0.0625),
        ([0.9 - 0.8, 0.8 - 0.7, 0.7 - 0.6, 0.3 - 0.2, 0.4 - 0.3], 0.0625),
        ([1, -1, 1, 1], 0.625),
        ([0.0, 0.0, 2.0, 2.0], 0.5),
        ([3.0], 1.0),
        ([0.0, 1e-17], 1.0),
        ([np.inf, np.inf, np.inf, np.inf, np.inf, -1.0], 0.0625),
    ],
)
def test_signed_rank_of_equal_differences_is_exact(differences, p):
    assert hypotheses.signed_rank(np.array(differences)).two_sided == pytest.approx(p, abs=1e-12)


def enumerated(differences):
    """(two-sided, less) over all choices of signs of the differences that are not 0."""
    ranks = stats.rankdata(np.abs(differences))[differences != 0]
    own = ranks[differences[differences != 0] > 0].sum()
    sums = np.array(
        [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))]
    )
    below, above = (sums <= own + 1e-9).mean(), (sums >= own - 1e-9).mean()
    return min(1.0, 2 * min(below, above)), below


@settings(max_examples=40)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_signed_rank_equals_enumeration_with_ties_and_zeros(values):
    differences = np.array(values, dtype=float)
    found = hypotheses.signed_rank(differences)
    assert (found.two_sided, found.less) == pytest.approx(enumerated(differences), abs=1e-12)
    assert found.less >= found.least - 1e-15


@settings(max_examples=30)
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=40, unique_by=lambda x: round(abs(x), 6)))
def test_signed_rank_equals_scipys_exact_one_without_ties(values):
    differences = np.array([value for value in values if round(abs(value), 6)])
    if len(differences):
        found = hypotheses.signed_rank(differences)
        for p, side in ((found.two_sided, "two-sided"), (found.less, "less")):
            expected = stats.wilcoxon(differences, method="exact", alternative=side).pvalue
            assert p == pytest.approx(expected, abs=1e-12)


def test_signed_rank_of_many_is_scipys_normal_one():
    random = np.random.default_rng(4)
    differences = random.integers(-6, 8, 400).astype(float)
    expected = stats.wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue
    assert hypotheses.signed_rank(differences).two_sided == pytest.approx(expected, rel=1e-9)
    near = random.normal(0.05, 1, hypotheses.MOST_EXACT)
    exact = hypotheses.signed_rank(near).two_sided
    assert exact == pytest.approx(stats.wilcoxon(near, method="asymptotic").pvalue, abs=0.005)


TABLES = st.integers(3, 6).flatmap(
    lambda columns: st.lists(
        st.lists(st.integers(0, 5), min_size=columns, max_size=columns), min_size=2, max_size=12
    )
)


@settings(max_examples=40)
@given(TABLES)
def test_ranks_and_friedman_are_scipys(values):
    table = pd.DataFrame(values, dtype=float)
    ranks = ranking.ranks(table)
    assert ranks.to_numpy().tolist() == stats.rankdata(-table, axis=1).tolist()
    found = hypotheses.friedman(ranks)
    if (ranks.nunique(axis=1) == 1).all():
        assert found is None
    else:
        expected = stats.friedmanchisquare(*table.to_numpy().T)
        assert (found.statistic, found.p) == pytest.approx(tuple(expected), abs=1e-9)


@pytest.mark.parametrize(("frameworks", "datasets"), [(2, 10), (5, 20), (10, 39)])
def test_nemenyi_agrees_with_scipys_studentized_range(frameworks, datasets):
    difference = hypotheses.critical_difference(frameworks, datasets)
    error = np.sqrt(frameworks * (frameworks + 1) / (12 * datasets))
    p = stats.studentized_range.sf(difference / error, frameworks, np.inf)
    assert p == pytest.approx(0.05, abs=1e-6)
