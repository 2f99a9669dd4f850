"""What stands in for a missing result, rule by rule."""

import math

import pandas as pd
import pytest

from benchmark.analysis.statistics import imputation

NAN = math.nan


def table(**columns):
    seeds = len(next(iter(columns.values()))) // 2
    pairs = [(name, seed) for name in ("x", "y") for seed in range(seeds)]
    return pd.DataFrame(columns, index=pd.MultiIndex.from_tuples(pairs)).rename(
        columns={"forest": "random-forest"}
    )


def test_by_constant_takes_the_seed_then_the_mean_then_the_worst():
    gains = table(constant=[0.5, NAN, NAN, NAN], a=[NAN, NAN, 0.9, NAN], b=[0.8, 0.6, 0.7, 0.4])
    found = imputation.by_constant(gains)
    assert found.gains["a"].tolist() == [0.5, 0.5, 0.9, 0.4]
    assert found.gains["constant"].tolist() == [0.5, 0.5, 0.4, 0.4]
    assert found.filled == {"constant": 3, "worst": 3}


def test_by_forest_fills_every_gap():
    gains = table(forest=[0.5, 0.6, NAN, NAN], a=[NAN, 0.9, 0.7, 0.4], b=[NAN, NAN, 0.3, NAN])
    found = imputation.by_forest(gains)
    assert found.gains["a"].tolist() == [0.5, 0.9, 0.7, 0.4]
    assert found.gains["b"].tolist() == [0.5, 0.6, 0.3, 0.3]
    assert found.gains["random-forest"].tolist() == [0.5, 0.6, 0.3, 0.3]
    assert found.filled == {"random-forest": 3, "worst": 3}


def test_by_forest_takes_its_mean_where_the_seed_has_none():
    gains = table(forest=[0.5, NAN, 0.7, 0.8], a=[NAN, NAN, NAN, NAN])
    assert imputation.by_forest(gains).gains["a"].tolist() == [0.5, 0.5, 0.7, 0.8]


def test_the_rule_of_2019_leaves_a_hopeless_framework_missing():
    gains = table(forest=[0.5, 0.6, 0.7, 0.8], a=[NAN, 0.9, NAN, NAN])
    found = imputation.by_amlb_2019(gains)
    assert found.gains["a"].tolist()[:2] == [0.5, 0.9]
    assert found.gains["a"].iloc[2:].isna().all()
    assert found.filled == {"random-forest": 1}


def test_by_forest_does_nothing_without_one():
    gains = table(a=[NAN, 0.9, NAN, NAN])
    assert imputation.by_forest(gains).gains is gains
    assert imputation.by_amlb_2019(gains).gains is gains


def test_by_worst_takes_the_data_sets():
    gains = table(a=[NAN, 0.9, NAN, NAN], b=[0.8, 0.6, 0.7, 0.4])
    assert imputation.by_worst(gains).gains["a"].tolist() == [0.6, 0.9, 0.4, 0.4]


def test_by_drop_leaves_out_data_sets_then_seeds():
    gains = table(a=[NAN, 0.9, NAN, NAN], b=[0.8, 0.6, 0.7, 0.4])
    kept = imputation.by_drop(gains).gains
    assert kept.index.tolist() == [("x", 1)]


def test_what_all_failed_on_stays_missing():
    gains = table(a=[NAN, NAN, 0.9, 0.8], b=[NAN, NAN, 0.7, 0.4])
    for rule in imputation.RULES.values():
        assert rule(gains).gains.reindex(gains.index).loc["x"].isna().all(axis=None)


@pytest.mark.parametrize(
    "name", ["constant", "ConstantPredictor", "constantpredictor", "constant (3600)"]
)
def test_a_baseline_is_known_however_it_is_spelt(name):
    assert imputation.baseline(["a", name, "constantine"], imputation.CONSTANT) == name
    assert imputation.baseline(["TunedRandomForest", "a"], imputation.FOREST) is None
