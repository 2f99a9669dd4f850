"""Ranks, wins, win rates and improvability, against values computed by hand."""

import math

import pandas as pd
import pytest

from benchmark.analysis.statistics import ranking

NAN, INF = math.nan, math.inf


def table(**columns):
    return pd.DataFrame(columns, index=[f"d{n}" for n in range(len(next(iter(columns.values()))))])


def test_ties_count_half_in_win_rates_and_matrix():
    means = table(a=[0.9, 0.9], b=[0.9, 0.5], c=[0.1, 0.1])
    assert ranking.win_rate(means).to_dict() == {"a": 0.875, "b": 0.625, "c": 0}
    matrix = ranking.win_matrix(means)
    assert matrix.loc["a", "b"] == 0.75
    assert matrix.loc["b", "a"] == 0.25
    assert math.isnan(matrix.loc["a", "a"])


def test_a_missing_framework_is_not_counted():
    means = table(a=[0.9, 0.9], b=[0.5, NAN])
    assert ranking.win_matrix(means).loc["a", "b"] == 1
    assert ranking.win_rate(means)["a"] == 1
    assert math.isnan(ranking.win_rate(table(a=[0.5]))["a"])


def test_improvability_is_the_share_of_error_that_the_best_saves():
    means = table(a=[0.9, -0.2], b=[0.8, -0.1], c=[0.9, -INF])
    shares = ranking.improvability(means, {"d0": "auc", "d1": "log_loss"})
    assert shares.to_dict() == pytest.approx({"a": 0.25, "b": 0.25, "c": 0.5})


def test_improvability_needs_a_known_best_value_and_bears_perfection():
    percent = table(a=[95.0], b=[0.5])
    assert ranking.improvability(percent, {"d0": "acc"}).isna().all()
    assert ranking.improvability(table(a=[0.9]), {"d0": "own"}).isna().all()
    perfect = ranking.improvability(table(a=[1.0], b=[0.5], c=[1.0]), {"d0": "accuracy"})
    assert perfect.to_dict() == {"a": 0, "b": 1, "c": 0}


def test_reciprocal_rank():
    assert ranking.reciprocal_rank(table(a=[3, 1], b=[2, 2])).to_dict() == {"a": 0.75, "b": 0.75}


def test_resampled_means_lie_between_the_extremes_and_repeat():
    values = table(a=[1.0, 2.0, 3.0])
    draws = ranking.bootstrap_means(values, draws=200, seed=1)
    assert draws.shape == (200, 1)
    assert draws.min() >= 1
    assert draws.max() <= 3
    assert draws.mean() == pytest.approx(2, abs=0.2)
    assert (draws == ranking.bootstrap_means(values, draws=200, seed=1)).all()


def test_equal_scores_tie_in_any_order_of_seeds():
    gains = pd.DataFrame(
        {"a": [0.1, 0.2, 0.3], "b": [0.3, 0.2, 0.1]},
        index=pd.MultiIndex.from_product([["x"], range(3)], names=["dataset", "seed"]),
    )
    assert ranking.ranks(ranking.seed_means(gains)).to_numpy().tolist() == [[1.5, 1.5]]


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([0.1, 0.2, 0.3], 0.2),
        ([NAN, 0.5, NAN], 0.5),
        ([NAN], NAN),
        ([1.0, -INF], -INF),
        ([INF, -INF], NAN),
        ([1.7e308, 1.7e308, -1.0], 1.7e308 / 3 * 2),
        ([5e-324, 5e-324], 5e-324),
    ],
)
def test_means_are_exact_and_without_overflow(values, mean):
    assert ranking.mean(values) == pytest.approx(mean, nan_ok=True, rel=1e-15, abs=0)
