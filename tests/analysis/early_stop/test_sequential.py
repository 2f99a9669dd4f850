"""Sequential inference without replacement: the martingales, the bounds, and the schedule."""

import itertools
import re

import numpy as np
import pytest

from benchmark.analysis.early_stop.claims import Claims
from benchmark.analysis.early_stop.question import Question
from benchmark.analysis.early_stop.schedule import false_claims, play
from benchmark.analysis.early_stop.sequential import (
    capital,
    confidence_sequences,
    lower_bounds,
    null_total,
    paired_ranks,
    paired_scores,
    paired_wins,
)
from benchmark.errors import BenchmarkError

KINDS = ("best", "top:2", "order", "against:a")


def orders(datasets, number, seed=0):
    random = np.random.default_rng(seed)
    return np.array([random.permutation(datasets) for _ in range(number)])


def grid(datasets, skills, seed=0):
    """Scores of frameworks with these skills, noise of 1; the last one is always the worst."""
    random = np.random.default_rng(seed)
    means = np.asarray(skills) + random.normal(size=(datasets, len(skills)))
    return np.column_stack([means, means.min(axis=1) - 1])


@pytest.mark.parametrize(
    ("values", "size", "mean", "expected"),
    [
        (
            [1, 1, 0.5, 1, 0, 1, 1, 0.5, 1, 1, 0, 1],
            *(20, 0.475),
            [
                1.607894737,
                2.812956656,
                3.185781734,
                6.259931252,
                1.710479968,
                3.006537264,
                5.988360134,
                8.222439106,
                20.55910216,
                66.68767702,
                20.11375507,
                80.38799539,
            ],
        ),
        (
            [0.9, 0.35, 0.6, 0.72, 0.1, 0.88, 0.97, 0.64],
            *(12, 0.5),
            [
                1.44,
                1.229705882,
                1.41505418,
                1.884838724,
                0.981346941,
                1.407580188,
                2.48268798,
                4.252328849,
            ],
        ),
    ],
)
def test_capital_equals_confseq(values, size, mean, expected):
    # confseq 0.0.11: betting_mart(x, mean, N=size, theta=1, trunc_scale=c) with bets that are cut
    # at c / C, averaged over c = 0.1 ... 1. It needs a compiler and NumPy 1, so no test needs it.
    found = capital(np.array(values), size, size * mean)
    assert found[0] == 1
    assert found[1:] == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("values", [(1, 1, 0, 0, 0.5, 0), (0.9, 0.2, 0.4, 0.4, 0.1, 0.7)])
def test_capital_is_a_martingale_at_the_null_and_falls_below_it(values):
    every = np.array(list(itertools.permutations(values)), dtype=float).T
    total = sum(values)
    at_null = capital(every, len(values), total).mean(axis=1)
    # The last steps bet nothing where nothing is left to lose.
    assert at_null == pytest.approx(np.ones(7), abs=1e-9)
    assert (capital(every, len(values), total + 0.5).mean(axis=1) <= 1 + 1e-9).all()


def test_capital_falls_with_the_null():
    random = np.random.default_rng(1)
    values = random.choice([0, 0.5, 1], size=(30, 200), p=[0.3, 0.1, 0.6])
    for small, large in ((10.0, 14.5), (14.5, 15.0)):
        assert (capital(values, 30, small) >= capital(values, 30, large) * (1 - 1e-9)).all()


def test_bounds_hold_at_all_times_and_close_at_the_end():
    population = np.array([1] * 25 + [0.5] * 6 + [0] * 9)
    random, missed = np.random.default_rng(2), 0
    for _ in range(80):
        bounds = lower_bounds(random.permutation(population), 40, 0.2, points=100)
        assert (np.diff(bounds) >= 0).all()
        assert population.mean() - bounds[-1] <= 1 / 100 + 1e-12
        missed += bounds.max() > population.mean()
    assert missed <= 25  # Of 80 at 0.2; more has a probability below 1 %.


def test_paired_differences_are_those_of_ranks_and_scaled_scores():
    means = np.array([[0.9, 0.7, 0.7, 0.5], [3.0, 3.0, 3.0, 3.0]])
    ranks = np.array([[1, 2.5, 2.5, 4], [2.5] * 4])
    scaled = np.array([[1, 0.5, 0.5, 0], [0] * 4])
    for values, expected in (
        (paired_ranks(means), (ranks[:, None, :] - ranks[:, :, None]) / 3),
        (paired_scores(means), scaled[:, :, None] - scaled[:, None, :]),
        (paired_wins(means), np.sign(means[:, :, None] - means[:, None, :])),
    ):
        assert 2 * values - 1 == pytest.approx(expected)


@pytest.mark.parametrize("paired", [paired_wins, paired_ranks, paired_scores])
def test_intervals_of_all_pairs_hold_at_all_times_together(paired):
    # Three frameworks are level, so that many pairs can be wrong in either direction.
    values = paired(np.random.default_rng(3).normal(size=(24, 3)))
    mean, missed, narrow = values.mean(axis=0), 0, 0
    for order in orders(24, 40, seed=4):
        low, high = confidence_sequences(values[order], 24, 0.2, points=100)
        assert (np.diff(low, axis=0) >= 0).all()
        assert (high[-1] - low[-1] <= 2 / 100 + 1e-9).all()
        missed += bool((low.max(axis=0) > mean).any() or (high.min(axis=0) < mean).any())
        narrow += bool((low[18] > 0.2).any())
    assert missed <= 14  # Of 40 at 0.2; more has a probability below 2 %.
    assert narrow  # They do close before the end.


def test_an_interval_is_where_the_capital_has_not_reached_its_threshold():
    # So that bounds agree with confseq's wherever the capital does: see above.
    values = np.array([0.9, 0.35, 0.6, 0.72, 0.1, 0.88, 0.97, 0.64])
    pairs = np.full((8, 2, 2), 0.5)
    pairs[:, 0, 1], pairs[:, 1, 0] = values, 1 - values
    low, high = confidence_sequences(pairs, 12, 0.3, points=1000)
    for bound, sample in ((low[-1, 0, 1], values), (1 - high[-1, 0, 1], 1 - values)):
        reached = [capital(sample, 12, 12 * (bound + step)).max() for step in (0, 0.001)]
        assert reached[0] >= 2 / 0.3 > reached[1]


def test_the_null_is_the_last_total_below_the_margin():
    assert null_total(104) == 51.5
    assert null_total(35) == 17
    assert null_total(104, 0.01) == 50.5  # 0.49 x 104 = 50.96
    assert null_total(100, 0.1) == 39.5  # 40 wins of 100 are within 0.1 of one half.
    assert null_total(1) == 0


@pytest.mark.parametrize("text", KINDS)
@pytest.mark.parametrize("datasets", [1, 2, 6])
def test_what_is_claimed_at_the_end_of_a_grid_is_certain(text, datasets):
    # Too few data sets for any evidence: only what the rest cannot change is claimed.
    question = Question.parse(text)
    for seed in range(20):
        means = np.random.default_rng(seed).integers(0, 4, size=(datasets, 4)).astype(float)
        wins = paired_wins(means)
        found = play(wins, orders(datasets, 10, seed), question, alpha=1e-9)
        assert not false_claims(found, wins, question).any()
        if text == "order":
            pairs = found.above | found.above.transpose(0, 2, 1) | np.eye(4, dtype=bool)
            assert pairs.all()


def test_the_best_of_a_large_grid_costs_a_quarter():
    wins = paired_wins(grid(104, [2.3, *np.linspace(1.3, 0, 10)]))
    found = play(wins, orders(104, 50), Question("best"))
    assert found.inside[:, 0].all()
    assert found.outside[:, 1:].all()
    assert not found.outside[:, 0].any()
    assert found.ran[:, -1].max() <= 10  # The one that is always the worst.
    assert np.median(found.ran.sum(axis=1)) < 0.25 * wins[:, :, 0].size


@pytest.mark.parametrize("text", KINDS)
def test_false_claims_stay_below_alpha_where_all_are_equal(text):
    question, wrong, careless = Question.parse(text), [], []
    for seed in range(10):
        wins = paired_wins(np.random.default_rng(seed).normal(size=(40, 4)))
        found = play(wins, orders(40, 20, seed), question, alpha=0.2)
        wrong.append(false_claims(found, wins, question).mean())
        found = play(wins, orders(40, 20, seed), question, alpha=0.999)
        careless.append(false_claims(found, wins, question).mean())
    assert np.mean(wrong) <= 0.2
    assert np.mean(careless) > np.mean(wrong)


def test_a_cycle_has_no_best():
    rounds = np.array([[3, 2, 1], [1, 3, 2], [2, 1, 3]], dtype=float)  # a > b > c > a, 2 of 3 each
    wins = paired_wins(np.tile(rounds, (20, 1)))
    found = play(wins, orders(60, 30), Question("best"))
    assert not found.inside.any()


def test_a_tie_is_level_both_ways():
    wins = paired_wins(np.ones((30, 2)))
    found = play(wins, orders(30, 3), Question("order"), margin=0.2)
    assert found.level[:, 0, 1].all()
    assert (found.ran < 30).all()  # The margin ends it early.
    whole = play(wins, orders(30, 3), Question("order"), margin=0.0)
    assert (whole.ran > found.ran).all()
    assert not false_claims(whole, wins, Question("order"), 0.0).any()


def test_a_margin_ends_a_close_race_for_the_best_sooner():
    wins = paired_wins(grid(104, [1.0, 0.95, 0.0, 0.0]))
    strict = play(wins, orders(104, 40), Question("best"), margin=0.0)
    wide = play(wins, orders(104, 40), Question("best"), margin=0.15)
    assert np.median(wide.ran.sum(axis=1)) < np.median(strict.ran.sum(axis=1))
    assert not false_claims(wide, wins, Question("best"), 0.15).any()


def test_only_pairs_with_the_name_count_for_against():
    wins = paired_wins(grid(60, [1.5, 0.1, 0.0, 0.05]))
    found = play(wins, orders(60, 20), Question.parse("against:a"), 0)
    others = np.ones((5, 5), dtype=bool)
    others[0] = others[:, 0] = False
    assert not found.above[:, others].any()
    assert (found.above | found.above.transpose(0, 2, 1))[:, 0, 1:].all()
    assert (found.ran[:, 0] == found.ran.max(axis=1)).all()


def test_the_least_share_of_wins_agrees_with_the_claim():
    question, names, shares = Question.parse("against:a"), tuple("abcd"), []
    wins = paired_wins(grid(14, [1.0, 0.0, 2.0]))
    for order in orders(14, 10):
        found = play(wins, order[None], question)
        for sentence in Claims(names, question, found, wins[order], 0.05).sentences():
            shares += [int(share) for share in re.findall(r"at least (\d+)% of all", sentence)]
    assert len(shares) > 20
    assert min(shares) >= 50


def test_the_top_three_are_told_from_the_rest():
    question = Question.parse("top:3")
    wins = paired_wins(grid(80, [3.0, 2.9, 2.8, 0.5, 0.4, 0.3]))
    found = play(wins, orders(80, 20), question)
    assert found.inside[:, :3].all()
    assert not found.outside[:, :3].any()
    # The order within the three is not asked for.
    assert found.ran.max() < 60


def test_all_orders_at_once_equal_each_alone():
    wins, drawn = paired_wins(grid(30, [1, 0.5, 0.2])), orders(30, 12)
    for text in KINDS:
        question = Question.parse(text)
        whole = play(wins, drawn, question)
        for place in range(len(drawn)):
            alone = play(wins, drawn[place : place + 1], question)
            assert (alone.ran[0] == whole.ran[place]).all()
            assert (alone.above[0] == whole.above[place]).all()
            assert (alone.inside[0] == whole.inside[place]).all()


@pytest.mark.parametrize("text", ["", "bset", "top", "top:0", "top:x", "against:", "order:2"])
def test_a_question_that_is_none_is_refused(text):
    with pytest.raises(BenchmarkError, match="best, top:K, order, against:NAME"):
        Question.parse(text)
