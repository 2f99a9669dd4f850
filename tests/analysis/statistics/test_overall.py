"""The board over the data sets of all task types."""

import pandas as pd

from benchmark.analysis.processing import studies_of
from benchmark.analysis.results.cells import RETIRED
from benchmark.analysis.type_statistics import overall, study
from tests.support.made_results import results


def test_all_task_types_together_go_by_ranks_within_a_data_set():
    frame = pd.concat(
        [
            results([(n, d, 0, s) for d in "xyz" for n, s in (("a", 0.9), ("b", 0.8), ("c", 0.1))]),
            results(
                [(n, d, 0, s) for d in "xvw" for n, s in (("a", 900.0), ("b", 10.0))],
                metric="rmse",
                type="regression",
            ),
        ]
    )
    studies = {type: study(frame, type) for type in ("classification", "regression")}
    together = overall(frame, studies)
    assert together.mean_ranks.to_dict() == {"a": 1.5, "b": 1.5}
    assert "Left out, since not of every task type: c." in together.notes
    assert len(together.scores) == 6
    assert set(together.comparison.metric_of) == {
        *("x (classification)", "y", "z"),
        *("x (regression)", "v", "w"),
    }
    assert overall(frame, {"regression": studies["regression"]}) is None


def test_failures_count_as_in_their_own_task_type():
    """The constant predictor of regression alone still stands in for what failed there."""
    scores = [("a", "v", 0, "framework"), ("b", "v", 0, "timeout"), ("constant", "v", 0, 0.2)]
    scores += [("a", "w", 0, 0.9), ("b", "w", 0, "timeout"), ("constant", "w", 0, 0.1)]
    frame = pd.concat(
        [
            results([(n, d, 0, 0.9) for d in "xy" for n in "ab"]),
            results(scores, type="regression"),
        ],
        ignore_index=True,
    )
    studies = studies_of(frame)
    together = overall(frame, studies)
    own = studies["regression"].comparison.filled
    assert together.comparison.filled.loc[["v", "w"], ["a", "b"]].equals(own[["a", "b"]])
    assert together.mean_ranks.to_dict() == {"a": (1.5 * 3 + 1) / 4, "b": (1.5 * 3 + 2) / 4}
    assert together.extra["elo"].notna().all()
    assert together.sensitivity.rests_on == {"constant": 4, "worst": 4, "drop": 2}
    assert together.sensitivity.mean_ranks["constant"].equals(together.mean_ranks)
    note = "Regression: 3 missing results imputed by the constant predictor's score."
    assert note in together.notes


def test_a_data_set_left_out_of_one_task_type_keeps_the_metric_of_the_other():
    rows = [(n, d, 0, s) for d in "xyz" for n, s in (("a", 0.9), ("b", 0.8))]
    lost = [(n, "x", 0, "timeout") for n in "ab"] + [(n, "v", 0, 0.5) for n in "ab"]
    frame = pd.concat([results(rows), results(lost, metric="rmse", type="regression")])
    together = overall(frame, studies_of(frame)).comparison
    assert (together.metric_of["x"], together.sign_of["x"]) == ("auc", 1)


def test_fit_times_are_of_the_data_sets_that_all_frameworks_ran_on():
    """A run that stops early looked at `b` on the first two data sets only."""
    rows = [("a", f"d{n}", 0, 0.9 - 0.1 * n) for n in range(5)]
    rows += [("b", f"d{n}", 0, 0.5 - 0.1 * n if n < 2 else RETIRED) for n in range(5)]
    early = results(rows).assign(UNTIL="best", ALPHA=0.05, MARGIN=0.0)
    early["DRAWN"] = early["DATASET_ID"].str[1:].astype(float) + 1
    early.loc[early["CAUSE"] == RETIRED, "STATUS"] = ""
    early["FIT_S"] = [2.0, 2.0, 90.0, 90.0, 90.0, 3.0, 3.0, *[float("nan")] * 3]
    other = results([(n, "e", 0, 0.5) for n in "ab"], metric="rmse", type="regression")
    frame = pd.concat([early, other.assign(FIT_S=2.5)], ignore_index=True)
    studies = studies_of(frame)
    assert studies["classification"].standing is not None
    board = overall(frame, studies).board.set_index("framework")
    assert board["median_fit_s"].to_dict() == {"a": 2.0, "b": 3.0}


def test_the_order_of_metrics_does_not_depend_on_the_hash_seed():
    rows = [(n, f"set{d}", 0, 0.5) for d in range(9, 0, -1) for n in "ab"]
    frame = pd.concat(
        [results(rows), results([("a", "r", 0, 1), ("b", "r", 0, 2)], "rmse", "regression")],
        ignore_index=True,
    )
    together = overall(frame, studies_of(frame)).comparison
    assert list(together.metric_of) == [*(f"set{d}" for d in range(1, 10)), "r"]
