"""Where a run that stops early stands: the same as a replay, whatever comes when."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.analysis.early_stop.question import Question
from benchmark.analysis.early_stop.schedule import play
from benchmark.analysis.early_stop.sequential import paired_wins
from benchmark.analysis.early_stop.standing import NO_RESULT, RESULT, Design, Outcomes, Standing

NAMES = ("a", "b", "c", "d", "constant")
SEEDS = (1, 2)
ORDER_OF_THREE = (("x", (0, 1, 2)),)
KINDS = ("best", "top:2", "order", "against:b")


def design(question="best", datasets=30, names=NAMES):
    order = tuple((f"set{k}", SEEDS) for k in range(datasets))
    return Design("classification", Question.parse(question), 0.05, 0.01, names, order)


def scores(datasets=30, seed=0):
    """(N, seeds, K); the constant predictor is always the worst."""
    random = np.random.default_rng(seed)
    found = np.array([1.6, 0.8, 0.4, 0.0, 0.0]) + random.normal(size=(datasets, 2, 5))
    found[:, :, 4] = -6
    return found


def put(outcomes, values, place, k, state=RESULT):
    for number, seed in enumerate(SEEDS):
        gain = float(values[place, number, k])
        name = outcomes.design.frameworks[k]
        outcomes.add(name, f"set{place}", seed, state, None if np.isnan(gain) else gain)


def run(outcomes, values, choose):
    """Run wanted blocks until none is; `choose` picks one of them. Returns how many ran."""
    for number in range(values.shape[0] * values.shape[2] + 1):
        wanted = list(Standing.of(outcomes).next_blocks())
        if not wanted:
            return number
        _, (dataset, _), framework = choose(wanted)
        put(outcomes, values, int(dataset[3:]), NAMES.index(framework))
    raise AssertionError("it does not end")


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_claims_what_its_replay_claims_in_whatever_order_tasks_end(kind):
    values = scores(20)
    plan = design(kind, 20)
    expected = play(
        paired_wins(values.mean(axis=1)), np.arange(20)[None], plan.question, plan.subject
    )
    random = np.random.default_rng(1)
    in_order, mixed = Outcomes(plan), Outcomes(plan)
    least = run(in_order, values, lambda wanted: wanted[0])
    run(mixed, values, lambda wanted: wanted[random.integers(min(9, len(wanted)))])
    for outcomes in (in_order, mixed):
        found = Standing.of(outcomes)
        assert found.answered
        for field in ("ran", "above", "level", "inside", "outside"):
            assert (getattr(found.reached.played, field) == getattr(expected, field)).all()
    assert least == expected.ran.sum() < 100
    assert Standing.of(in_order).sentences() == Standing.of(mixed).sentences()


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_without_a_result_weakens_claims_and_stops_nothing(kind):
    values = scores()
    lost = {(3, 0), (5, 1), (7, 2)}
    whole, gappy = Outcomes(design(kind)), Outcomes(design(kind))
    for place, k in np.ndindex(30, 5):
        put(whole, values, place, k)
        put(gappy, values, place, k, NO_RESULT if (place, k) in lost else RESULT)
    full = Standing.of(whole)
    least = Standing.of(gappy)
    assert not list(least.next_blocks())
    assert (least.wins <= full.wins).all()
    assert (least.wins[3, 0] == 0).all()
    assert (least.wins[3, :, 0] == 0).all()
    assert (least.ran >= full.ran).all()


def test_where_a_framework_fails_the_retired_constant_predictor_is_due():
    values = scores()
    values[20, 0, 2] = np.nan
    outcomes = Outcomes(design("order"))
    for place, k in np.ndindex(30, 5):
        if k != 4 or place < 12:
            put(outcomes, values, place, k)
    found = Standing.of(outcomes)
    assert found.retired()["constant"].startswith("retired after")
    assert next(iter(found.next_blocks())) == (0, ("set20", SEEDS), "constant")
    put(outcomes, values, 20, 4)
    means = np.where(np.isnan(values), values[:, :, 4:], values).mean(axis=1)
    assert (Standing.of(outcomes).wins[20, 2] == paired_wins(means)[20, 2]).all()


def test_without_a_constant_predictor_a_failure_is_worth_the_least_that_it_can_be():
    names = ("a", "b", "c", "d", "e")
    random = np.random.default_rng(2)
    values = random.integers(6, size=(30, 2, 5)).astype(float)
    values[random.random(values.shape) < 0.3] = np.nan
    outcomes = Outcomes(design("order", names=names))
    for place, k in np.ndindex(30, 5):
        put(outcomes, values, place, k)
    least = Standing.of(outcomes).wins
    for lowest in (0.0, -3.0):  # of the full grid; -3 is what another framework may have
        worst = np.minimum(np.nanmin(values, axis=(1, 2), keepdims=True), lowest)
        wins = paired_wins(np.where(np.isnan(values), worst, values).mean(axis=1))
        assert (least <= wins).all()
    assert (least > 0).any()


def test_intervals_close_around_the_share_and_the_forecast_ends_where_the_run_does():
    values = scores()
    outcomes = Outcomes(design())
    for place, k in np.ndindex(6, 5):
        put(outcomes, values, place, k)
    before = Standing.of(outcomes)
    assert before.open_pairs
    forecast = before.forecast()
    assert (forecast >= before.ran).all()
    run(outcomes, values, lambda wanted: wanted[0])
    after = Standing.of(outcomes)
    assert after.forecast().tolist() == after.ran.tolist()
    low, high = after.interval(0, 4)
    share = paired_wins(values.mean(axis=1))[:, 0, 4].mean()
    assert low[0] == 0
    assert high[0] == 1
    assert (low <= share).all()
    assert (high >= share).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) <= 0).all()


def test_false_claims_are_rare_with_gaps_and_failures():
    """Ties of all frameworks but the constant: the hardest grid, in 60 orders of its data sets."""
    wrong = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        values = random.normal(size=(15, 2, 5))
        values[:, :, 4] = -6
        values[random.random(values.shape[:2]) < 0.1, 0] = np.nan
        outcomes = Outcomes(design("order", 15))
        for place, k in np.ndindex(15, 5):
            lost = (place + k) % 9 == 0 and k < 4
            put(outcomes, values, place, k, NO_RESULT if lost else RESULT)
        means = np.where(np.isnan(values), values[:, :, 4:], values).mean(axis=1)
        share = paired_wins(means).mean(axis=0)
        above = Standing.of(outcomes).reached.played.above[0]
        wrong += bool((above & (share < 0.5)).any())
    assert wrong <= 7  # 3 are expected at most; more than 7 has a probability below 1 %


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((0.844, 0.758, 0.421), (0.844, 0.421, 0.758)),
        ((0.1, 0.2, 0.3), (0.3, 0.2, None)),
        ((0.3, None, 0.1), (None, 0.1, 0.3)),
    ],
)
def test_equal_scores_tie_in_any_order_of_seeds(first, second):
    """The least that a failure counts as is the worst score, here 0.1."""
    plan = Design("classification", Question.parse("order"), 0.05, 0.01, ("a", "b"), ORDER_OF_THREE)
    outcomes = Outcomes(plan)
    for seed, (a, b) in enumerate(zip(first, second, strict=True)):
        outcomes.add("a", "x", seed, RESULT, a)
        outcomes.add("b", "x", seed, RESULT, b)
    assert Standing.of(outcomes).wins[0, 0, 1] == 0.5
