"""Ranks under every rule, rank intervals, and claims that flip."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.statistics.sensitivity import claims, sensitivity

NAN = math.nan


def table(**columns):
    names = [(f"d{number}", 0) for number in range(len(next(iter(columns.values()))))]
    return pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(names))


def test_a_claim_that_rests_on_the_counting_of_failures_flips():
    # `fragile` is best wherever it ends, and fails on every second data set.
    fragile = [0.9, NAN] * 4
    gains = table(constant=[0.5] * 8, fragile=fragile, solid=[0.8] * 8)
    found = sensitivity(gains)
    assert found.rules == ["constant", "worst", "drop"]
    assert found.places["constant"].to_dict() == {"solid": 1, "fragile": 2, "constant": 3}
    assert found.places.loc["fragile", "drop"] == 1
    assert found.rests_on == {"constant": 8, "worst": 8, "drop": 4}
    stated = claims(found)
    assert (stated[0].first, stated[0].second) == ("solid", "fragile")
    assert stated[0].flips == ("drop",)
    assert stated[0].where == "missing results are dropped for all"
    assert stated[1].flips == ()


def test_a_framework_is_ranked_where_it_failed_under_every_rule_that_imputes():
    # `fragile` fails throughout on half of the data sets: not to be ranked on the others alone.
    gains = table(
        **{"constant": [0.5] * 8, "random-forest": [0.7] * 8},
        fragile=[0.9, NAN] * 4,
        solid=[0.8] * 8,
    )
    found = sensitivity(gains)
    assert found.rests_on == {"constant": 8, "random forest": 8, "worst": 8, "drop": 4}
    assert found.places.loc["fragile", "random forest"] == 2
    assert found.mean_ranks.loc["fragile", "random forest"] == (1 + 2.5) / 2
    assert found.places.loc["solid", "random forest"] == 1


def test_without_failures_nothing_flips():
    gains = table(a=[0.9] * 6, b=[0.8] * 6)
    found = sensitivity(gains)
    assert (found.places.nunique(axis=1) == 1).all()
    assert [claim.flips for claim in claims(found)] == [()]


def test_a_tie_is_no_claim():
    assert claims(sensitivity(table(a=[0.9, 0.8], b=[0.8, 0.9]))) == []


def test_a_framework_before_a_tie_is_ahead_of_each_in_it():
    # `hasty` and `steady` tie by the default rule; dropping `hasty`'s failures puts it first.
    hasty = [*[0.9] * 3, *[NAN] * 4]
    found = sensitivity(table(constant=[0.1] * 7, first=[0.8] * 7, hasty=hasty, steady=[0.7] * 7))
    assert found.places["constant"][["first", "hasty", "steady"]].to_list() == [1, 2, 2]
    flips = {(one.first, one.second): one.flips for one in claims(found)}
    assert flips["first", "hasty"] == ("drop",)
    assert flips["first", "steady"] == ()
    assert not found.is_the_same


def test_the_forest_rule_needs_a_forest():
    gains = table(**{"random-forest": [0.5] * 3, "a": [0.9, NAN, 0.9]})
    assert "random forest" in sensitivity(gains).rules


def test_intervals_hold_the_place_and_widen_with_doubt():
    random = np.random.default_rng(0)
    clear = table(a=list(0.9 + 0.01 * random.random(20)), b=list(0.1 * random.random(20)))
    assert sensitivity(clear).interval.loc["a"].tolist() == [1, 1]
    close = table(a=list(random.random(12)), b=list(random.random(12)), c=list(random.random(12)))
    interval = sensitivity(close).interval
    assert (interval["low"] < interval["high"]).any()
    assert interval["low"].min() >= 1
    assert interval["high"].max() <= 3


@pytest.mark.parametrize("rows", [0, 1])
def test_next_to_nothing(rows):
    gains = table(a=[0.5], b=[0.4]).iloc[:rows]
    found = sensitivity(gains)
    assert found.places["constant"].notna().all() == bool(rows)
    assert len(claims(found)) == rows
