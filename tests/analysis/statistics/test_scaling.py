"""Scaled scores, the classic scaling and notches, against values computed by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.statistics import scaling

INF, NAN = math.inf, math.nan


def gains(*rows, frameworks=("constant", "random-forest", "best")):
    index = pd.MultiIndex.from_tuples([("d", seed) for seed in range(len(rows))])
    return pd.DataFrame(list(rows), index=index, columns=list(frameworks)).astype(float)


@pytest.mark.parametrize(
    ("row", "zero", "expected"),
    [
        ([0.5, 0.75, 1.0], 0.5, [0, 0.5, 1]),
        ([0.0, 0.5, 1.0], 0.5, [-1, 0, 1]),
        ([0.5, 0.7, 0.9], None, [0, 0.5, 1]),
        ([0.5, 0.5], 0.5, [0, 0]),
        ([0.5, 0.1, 0.3], 0.5, [0, -1, -0.5]),
        ([-INF, -2.0, -1.0], -2.0, [-INF, 0, 1]),
        ([-INF, -2.0, -1.0], -INF, [-INF, 0, 1]),
        ([-INF, -INF], -INF, [0, 0]),
        ([0.7], None, [0]),
    ],
)
def test_scaled_between_constant_and_best(row, zero, expected):
    names = [f"f{place}" for place in range(len(row))]
    if zero is not None:
        names[row.index(zero)] = "constant"
    table = gains(row, frameworks=names)
    assert scaling.scaled(table).iloc[0].tolist() == pytest.approx(expected)


def test_a_missing_gain_stays_missing():
    row = scaling.scaled(gains([0.5, NAN, 1.0])).iloc[0]
    assert row["best"] == 1
    assert math.isnan(row["random-forest"])


def test_rules_of_2019_and_2024():
    table = gains([0.5, 0.7, 0.9], [0.5, 0.5, 0.4])
    old = scaling.amlb_2019(table.rename(columns={"best": "TunedRandomForest"}))
    assert old.iloc[0].tolist() == pytest.approx([0, 0.5, 1])
    assert scaling.amlb_2019(table) is None
    new = scaling.amlb_2024(table)
    assert new.iloc[0].tolist() == pytest.approx([-1, 0, 1])
    assert new.iloc[1].isna().all()


def test_classic_scaling_is_by_data_set_and_ends_at_0_and_1():
    index = pd.MultiIndex.from_tuples([("x", 0), ("x", 1), ("y", 0)])
    table = pd.DataFrame({"a": [1.0, 3.0, 100.0], "b": [2.0, 2.0, 300.0]}, index=index)
    scaled = scaling.classic(table)
    assert scaled.min().min() == 0
    assert scaled.max().max() == 1
    # The middle of each data set is at the same place, whatever its unit.
    assert scaled.loc[("x", 0), "b"] == pytest.approx(scaled.loc["y"].mean().mean())
    assert scaling.classic(table * 0).isna().sum().sum() == 0


def test_notch_of_a_median():
    median, low, high = scaling.median_notch([1.0, 2.0, 3.0, 4.0])
    half = 1.57 * 1.5 / 2
    assert (median, low, high) == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    assert scaling.median_notch([5.0]) == (5.0, 5.0, 5.0)
    assert all(math.isnan(value) for value in scaling.median_notch([]))
    assert scaling.median_notch([-INF, 1.0, 2.0])[0] == 1.0
    assert scaling.median_notch([-INF, -INF, 1.0, 1.0]) == (-INF, -INF, INF)
    assert scaling.median_notch(np.array([NAN, 2.0]))[0] == 2.0
