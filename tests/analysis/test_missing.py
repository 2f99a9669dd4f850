"""What is missing, by framework and cause."""

import pandas as pd

from benchmark.analysis import missing
from benchmark.analysis.figures import costs
from tests.support.made_results import grid, results


def test_causes_are_counted_and_told_with_a_mend():
    frame = results(
        [
            *(("a", "x", 0, 0.9), ("a", "x", 1, "timeout"), ("a", "x", 2, "infrastructure")),
            *(("b", "x", 0, ""), ("b", "x", 1, "timeout"), ("b", "x", 2, 0.1)),
        ]
    )
    assert missing.by_cause(frame).loc["b"].to_dict() == {"infrastructure": 0, "timeout": 1}
    assert missing.all_missing(frame).loc["b", "not started"] == 1
    said = missing.sentences(frame)
    assert "a has no score on 2 tasks: 1 infrastructure, 1 timeout." in said
    assert "resume-compute" in said[-1]


def test_a_failure_without_cause_and_a_success_without_score():
    frame = results([("a", "x", 0, "framework"), ("a", "x", 1, 0.5)])
    frame.loc[0, "CAUSE"] = ""
    frame.loc[1, "SCORE"] = float("nan")
    assert missing.by_cause(frame).loc["a"].to_dict() == {"no score": 1, "unknown": 1}


def test_every_cause_is_drawn_and_legible(recwarn):
    counts = pd.DataFrame({"no score": [1, 0], "a cause of its own": [0, 2]}, index=["a", "b"])
    (axes,) = costs.failures(counts).axes
    assert sorted(bar.get_width() for bar in axes.patches) == [0, 0, 1, 2]
    assert not recwarn.list


def test_classic_results_miss_what_they_do_not_name():
    frame = pd.DataFrame(
        {
            **{"MODEL": ["a", "a", "b"], "DATASET_ID": ["x", "y", "x"], "SEED": [1, 1, 1]},
            **{"TYPE": ["classification"] * 3, "F1_SCORE": [0.5, None, 0.4], "MSE": [None] * 3},
        }
    )
    assert missing.all_missing(frame)["unknown"].to_dict() == {"a": 1, "b": 1}


def test_what_a_question_does_not_need_is_not_missing():
    frame = results([("a", "x", 0, "retired"), ("a", "x", 1, 0.5), ("b", "x", 0, "timeout")])
    assert missing.sentences(frame) == ["b has no score on 1 task: 1 timeout."]


def test_a_failure_with_a_score_is_named():
    frame = results([("a", "x", 0, "timeout"), ("a", "x", 1, 0.5), ("b", "x", 0, 0.7)])
    frame.loc[0, "SCORE"] = 0.9
    assert missing.sentences(frame) == [
        "1 row has a score that is not used, since STATUS is not success, such as a/x/0 "
        '("failure").',
        "a has no score on 1 task: 1 timeout.",
    ]


def test_nothing_missing():
    assert missing.sentences(grid()) == []
