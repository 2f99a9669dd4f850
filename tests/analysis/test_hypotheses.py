"""The tests of differences: against published values, scipy, and cases that are clear."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmark.analysis import hypotheses, ranking


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
