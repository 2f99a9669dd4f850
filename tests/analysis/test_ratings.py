"""Elo by Bradley-Terry: against bencheval, and cases without a finite maximum."""

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.ratings import bradley_terry, ratings


def test_ratings_agree_with_bencheval():
    # bencheval 0.1.0, compute_mle_elo_from_ranks on the same numbers, random-forest at 1000.
    random = np.random.default_rng(5)
    scores = random.random((12, 4)) + np.array([0, 0.2, 0.4, 0.1])
    table = ratings(pd.DataFrame(scores, columns=["random-forest", "a", "b", "c"]))
    expected = {"random-forest": 1000, "a": 1170.840817, "b": 1225.602611, "c": 869.00193}
    assert table["elo"].to_dict() == pytest.approx(expected, abs=1e-3)
    assert (table["low"] <= table["elo"]).all()
    assert (table["elo"] <= table["high"]).all()
    assert table.loc["random-forest", ["low", "high"]].tolist() == [1000, 1000]


def test_ties_are_half_a_win():
    table = ratings(
        pd.DataFrame({"random-forest": [1.0, 1, 1], "a": [2.0, 2, 2], "b": [1.0, 1, 1]})
    )
    assert table.loc["b", "elo"] == pytest.approx(1000)


def test_who_always_wins_has_a_finite_rating():
    table = ratings(pd.DataFrame({"a": [3.0] * 5, "b": [2.0] * 5, "c": [1.0] * 5}))
    assert np.isfinite(table.to_numpy()).all()
    assert table["elo"].is_monotonic_decreasing
    assert table["elo"].mean() == pytest.approx(1000)


def test_two_players_have_the_odds_of_their_wins():
    strengths = bradley_terry(np.array([[30.0, 10.0]]), 40)
    assert np.exp(strengths[0, 0] - strengths[0, 1]) == pytest.approx(3, rel=1e-4)


def test_nothing_to_rate():
    assert ratings(pd.DataFrame({"a": [1.0, 2.0]})) is None
    assert ratings(pd.DataFrame({"a": [], "b": []})) is None


def test_the_same_results_say_the_same():
    frame = pd.DataFrame(np.random.default_rng(1).random((9, 3)), columns=list("abc"))
    assert ratings(frame).equals(ratings(frame))
