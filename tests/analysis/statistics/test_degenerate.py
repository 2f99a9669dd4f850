"""Results at the edges: each is analysed, or a sentence says what cannot be computed."""

import re

import numpy as np
import pytest

from benchmark.analysis.processing import studies_of
from benchmark.analysis.report import write_report
from benchmark.analysis.results.table import read_results
from benchmark.analysis.type_statistics import study
from tests.support.made_results import INF, grid, results


def found_in(tmp_path, **shape):
    path = tmp_path / "r.csv"
    grid(**shape).to_csv(path, index=False)
    frame = read_results(path)
    return frame, studies_of(frame)


def page_of(tmp_path, frame, studies):
    return write_report(frame, studies, {}, tmp_path / "r.html", {}).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ({"frameworks": ("a",)}, "One framework alone cannot be ranked"),
        ({"datasets": 2}, "One data set alone allows no test"),
        ({"datasets": 4}, "2 data sets are too few"),
        ({"datasets": 20}, "One seed alone does not show"),
        ({"frameworks": ("a", "b")}, "there are two frameworks"),
        ({"score": 0.5, "datasets": 20}, "all frameworks tie everywhere"),
        ({"frameworks": ("a", "b", "c")}, "no constant predictor ran"),
        ({"failing": ("constant", "a", "b")}, "No result can be compared yet"),
    ],
    ids=["framework", "set", "sets", "seed", "two", "ties", "no-constant", "failed"],
)
def test_what_cannot_be_computed_is_said_in_the_report(tmp_path, shape, sentence):
    frame, studies = found_in(tmp_path, **shape)
    assert any(sentence in note for note in studies["classification"].notes)
    page = page_of(tmp_path, frame, studies)
    assert sentence in page
    assert not re.search(r"\bnan\b", page.partition('<script type="application/json"')[0].lower())


def test_ties_everywhere_share_everything(tmp_path):
    _, studies = found_in(tmp_path, score=0.5, datasets=20)
    found = studies["classification"]
    assert found.board["rank"].tolist() == [1, 1, 1]
    assert found.extra["elo"].tolist() == pytest.approx([1000] * 3)
    assert found.extra["win_rate"].tolist() == [0.5] * 3
    assert found.groups == (("a", "b", "constant"),)
    assert found.claims == ()


def test_a_metric_that_some_tasks_miss_is_a_failure_there():
    frame = results(
        [(name, f"d{n}", 0, 0.5 + n / 100) for n in range(6) for name in ("constant", "a", "b")]
    )
    frame.loc[0:2, "SCORE"] = np.nan
    found = study(frame, "classification")
    assert found.comparison.datasets == 5
    assert any("every framework failed on them: d0" in note for note in found.notes)
    frame.loc[4, "SCORE"] = np.nan
    assert study(frame, "classification").comparison.counts.loc["a", "failures"] == 2


def test_infinite_log_loss_and_negative_r2_are_scores():
    rows = [
        (name, f"d{n}", seed, INF if (name, n) == ("a", 0) else score + n / 10)
        for name, score in (("constant", 0.7), ("a", 0.2), ("b", 0.4))
        for n in range(6)
        for seed in (0, 1)
    ]
    found = study(results(rows, metric="log_loss"), "classification")
    assert found.leaders == ["a"]
    assert found.mean_ranks["a"] == pytest.approx((3 + 5) / 6)
    # `a` is ahead of `b` by the same on five data sets and infinitely behind on one: p = 17/32
    # before Holm; `b` is ahead of `constant` by the same on all six.
    assert found.wilcoxon.loc["a", "b"] == 1
    assert found.wilcoxon.loc["b", "constant"] == 3 * 2 / 2**6
    assert np.isfinite(found.extra["elo"]).all()
    squared = [(name, f"d{n}", 0, score) for name, score in (("a", -5.0), ("b", 0.3)) for n in "xy"]
    r2 = study(results(squared, metric="r2", type="regression"), "regression")
    assert r2.leaders == ["b"]
    assert r2.extra.loc["a", "improvability"] == pytest.approx(1 - 0.7 / 6)


def test_names_of_any_script_are_kept(tmp_path):
    names = ("constant", "\u6846\u67b6", "\u0641\u0631\u0645", "\U0001f642", "na\u00efve")
    frame, studies = found_in(tmp_path, frameworks=names, datasets=12)
    assert set(studies["regression"].board["framework"]) == set(names)
    page = page_of(tmp_path, frame, studies)
    assert all(name in page for name in names)


def test_three_hundred_data_sets(tmp_path):
    _, studies = found_in(tmp_path, datasets=600)
    found = studies["classification"]
    assert found.comparison.datasets == 300
    assert found.friedman.p < 1e-10
    assert found.extra.loc["constant", "rank_low"] == 3
