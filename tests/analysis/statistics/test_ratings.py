"""Elo by Bradley-Terry: against bencheval, and who has no finite rating."""

import numpy as np
import pandas as pd
import pytest
from scipy.sparse.csgraph import connected_components

from benchmark.analysis.statistics.ratings import bradley_terry, connected, ratings


def test_ratings_agree_with_bencheval():
    # bencheval 0.1.0, compute_mle_elo_from_ranks on the same numbers, random-forest at 1000.
    random = np.random.default_rng(5)
    scores = random.random((12, 4)) + np.array([0, 0.2, 0.4, 0.1])
    table = ratings(pd.DataFrame(scores, columns=["random-forest", "a", "b", "c"]))
    expected = {"random-forest": 1000, "a": 1170.840817, "b": 1225.602611, "c": 869.00193}
    assert table["elo"].to_dict() == pytest.approx(expected, abs=1e-3)
    assert (table["low"] <= table["elo"]).all()
    assert (table["elo"] <= table["high"]).all()
    assert table.loc["random-forest", "low"] < 1000 < table.loc["random-forest", "high"]


def test_ties_are_half_a_win():
    table = ratings(
        pd.DataFrame({"random-forest": [1.0, 1, 1], "a": [2.0, 2, 2], "b": [1.0, 1, 1]})
    )
    assert table.loc["b", "elo"] == pytest.approx(1000)


def test_who_wins_or_loses_everything_has_no_finite_rating():
    wins = {"a": [3.0] * 6, "b": [2.0, 1.0] * 3, "c": [1.0, 2.0] * 3, "d": [0.0] * 6}
    table = ratings(pd.DataFrame(wins))
    assert table["elo"].tolist() == [np.inf, pytest.approx(1000), pytest.approx(1000), -np.inf]
    assert table.loc["a", ["low", "high"]].tolist() == [np.inf, np.inf]
    # In some resample `b` wins every match against `c`.
    assert table.loc["b", "low"] < 1000 < table.loc["b", "high"]


def test_the_part_of_the_forest_has_the_finite_ratings():
    wins = {"a": [4.0] * 4, "b": [4.0, 3.0, 3, 3], "c": [3.0, 4.0, 2, 2], "random-forest": [0] * 4}
    table = ratings(pd.DataFrame(wins, dtype=float))
    assert table["elo"].tolist() == [np.inf, np.inf, np.inf, 1000]


def test_parts_are_those_of_the_graph_of_wins():
    random = np.random.default_rng(2)
    for _ in range(50):
        scores = random.integers(0, 5, (3, 6)).astype(float) + random.integers(0, 3, 6)
        beats = (scores[:, :, None] > scores[:, None, :]) + 0.5 * (
            scores[:, :, None] == scores[:, None, :]
        )
        wins = beats.sum(axis=0)
        np.fill_diagonal(wins, 0)
        _, parts = connected_components(wins > 0, connection="strong")
        found = connected(wins.sum(axis=1)[None, :], 3, 0)[0]
        assert (found == (parts == parts[0])).all()


def test_two_players_have_the_odds_of_their_wins():
    strengths = bradley_terry(np.array([[30.0, 10.0]]), 40)
    assert np.exp(strengths[0, 0] - strengths[0, 1]) == pytest.approx(3, rel=1e-4)


def test_equal_resamples_are_rated_as_each_alone():
    won = np.array([[4.0, 2.5, 2.5], [6.0, 3.0, 0.0], [4.0, 2.5, 2.5], [3.0, 4.0, 2.0]])
    alone = [bradley_terry(row[None, :], 3)[0] for row in won]
    assert (bradley_terry(won, 3) == np.array(alone)).all()


def test_nothing_to_rate():
    assert ratings(pd.DataFrame({"a": [1.0, 2.0]})) is None
    assert ratings(pd.DataFrame({"a": [], "b": []})) is None


def test_the_same_results_say_the_same():
    frame = pd.DataFrame(np.random.default_rng(1).random((9, 3)), columns=list("abc"))
    assert ratings(frame).equals(ratings(frame))


def test_intervals_do_not_depend_on_who_has_1000():
    scores = np.random.default_rng(5).random((40, 4)) + np.array([0, 0.1, 0.2, 0.05])
    widths = []
    for names in (["random-forest", "a", "b", "c"], ["x", "a", "random-forest", "c"]):
        table = ratings(pd.DataFrame(scores, columns=names))
        widths.append((table["high"] - table["low"]).to_numpy())
    assert widths[0] == pytest.approx(widths[1])
