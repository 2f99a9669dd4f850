"""What is compared with what, and the leaderboard, against values computed by hand."""

import pandas as pd
import pytest

from benchmark.analysis.report.tables import score_grid
from benchmark.analysis.results.metrics import direction
from benchmark.analysis.statistics import ranking
from benchmark.analysis.statistics.comparable import compare
from benchmark.analysis.statistics.leaderboard import leaderboard, mean_metric
from benchmark.analysis.type_statistics import study
from benchmark.errors import BenchmarkError
from tests.support.made_results import INF, results


def board(frame, type="classification"):
    return leaderboard(frame, type).set_index("framework")


def test_direction_of_metrics():
    assert [direction(m) for m in ("auc", "F1_SCORE", "neg_rmse")] == [1, 1, 1]
    assert [direction(m) for m in ("log_loss", "RMSE", "mse")] == [-1, -1, -1]
    with pytest.raises(BenchmarkError, match='"sharpness" is unknown'):
        direction("sharpness")


def test_ranks_average_ties_and_take_means_over_data_sets():
    frame = results(
        [
            *(("a", "x", 0, 0.9), ("b", "x", 0, 0.9), ("c", "x", 0, 0.5)),
            *(("a", "y", 0, 0.7), ("b", "y", 0, 0.8), ("c", "y", 0, 0.6)),
        ]
    )
    table = board(frame)
    assert table["mean_rank"].to_dict() == {"b": 1.25, "a": 1.75, "c": 3.0}
    assert table["rank"].to_dict() == {"b": 1, "a": 2, "c": 3}
    assert table["wins"].to_dict() == {"a": 1, "b": 2, "c": 0}
    assert list(table.index) == ["b", "a", "c"]


def test_seeds_are_averaged_before_ranking():
    frame = results(
        [("a", "x", 0, 0.9), ("a", "x", 1, 0.1), ("b", "x", 0, 0.6), ("b", "x", 1, 0.6)]
    )
    means = compare(frame, "classification").means
    assert means.loc["x"].to_dict() == {"a": pytest.approx(0.5), "b": pytest.approx(0.6)}
    assert board(frame).loc["b", "mean_rank"] == 1


def test_smaller_loss_is_better():
    frame = results([("a", "x", 0, 0.2), ("b", "x", 0, 0.9)], metric="log_loss")
    assert board(frame)["mean_rank"].to_dict() == {"a": 1, "b": 2}


def test_each_data_set_keeps_its_own_metric():
    auc = results([("a", "x", 0, 0.9), ("b", "x", 0, 0.2)], metric="auc")
    loss = results([("a", "y", 0, 0.9), ("b", "y", 0, 0.2)], metric="log_loss")
    comparison = compare(pd.concat([auc, loss]), "classification")
    assert comparison.metrics == ("auc", "log_loss")
    assert ranking.ranks(comparison.means).mean().to_dict() == {"a": 1.5, "b": 1.5}


def test_two_metrics_on_one_data_set_do_not_mix():
    frame = pd.concat([results([("a", "x", 0, 1)], "auc"), results([("b", "x", 0, 1)], "accuracy")])
    with pytest.raises(BenchmarkError, match="x are scored by accuracy and auc"):
        compare(frame, "classification")


def test_leaderboard_scales_between_constant_and_best():
    frame = results([("constant", "x", 0, 0.5), ("a", "x", 0, 0.9), ("b", "x", 0, 0.8)])
    scaled = board(frame)["scaled_score"].to_dict()
    assert scaled == {"constant": 0, "a": 1, "b": pytest.approx(0.75)}


def test_failure_takes_the_constant_predictors_score_on_that_seed():
    frame = results(
        [
            *(("constant", "x", 0, 0.5), ("constant", "x", 1, 0.6)),
            *(("a", "x", 0, "timeout"), ("a", "x", 1, 0.9)),
        ]
    )
    comparison = compare(frame, "classification")
    assert comparison.filled["a"].tolist() == [0.5, 0.9]
    assert comparison.gains["a"].isna().tolist() == [True, False]
    assert comparison.notes == ("1 missing result imputed by the constant predictor's score.",)
    assert board(frame).loc["a", "failures"] == 1
    assert board(frame).loc["a", "success_share"] == 0.5


def test_failed_constant_takes_its_mean_on_the_data_set():
    frame = results(
        [("constant", "x", 0, 0.5), ("constant", "x", 1, 0.7), ("constant", "x", 2, "memory")]
        + [("a", "x", seed, 0.2) for seed in range(3)]
    )
    filled = compare(frame, "classification").filled
    assert filled.loc[("x", 2), "constant"] == pytest.approx(0.6)


def test_without_constant_a_failure_takes_the_worst_on_the_data_set():
    frame = results(
        [("a", "x", 0, 0.9), ("a", "x", 1, 0.4), ("b", "x", 0, "framework"), ("b", "x", 1, 0.8)]
    )
    comparison = compare(frame, "classification")
    assert comparison.filled.loc[("x", 0), "b"] == 0.4
    assert "worst score" in comparison.notes[0]


@pytest.mark.parametrize("open_task", ["", "infrastructure", "setup", "data", "interrupted"])
def test_task_without_result_is_left_out_for_all(open_task):
    frame = results(
        [("a", "x", 0, 0.9), ("b", "x", 0, 0.8), ("a", "x", 1, 0.1), ("b", "x", 1, open_task)]
    )
    comparison = compare(frame, "classification")
    assert (comparison.datasets, comparison.seeds) == (1, 1)
    assert "1 pair of data set and seed left out" in comparison.notes[0]
    assert board(frame).loc["a", "mean_rank"] == 1
    assert board(frame).loc["b", "failures"] == 0  # of the framework


def test_framework_without_any_result_is_not_ranked_and_stops_no_one():
    frame = results([("a", "x", 0, 0.9), ("b", "x", 0, 0.8), ("c", "x", 0, "setup")])
    table = board(frame)
    assert table.loc["a", "rank"] == 1
    assert pd.isna(table.loc["c", "rank"])
    assert list(table.index) == ["a", "b", "c"]
    assert "c" in compare(frame, "classification").notes[0]


def test_absent_rows_of_classic_results_are_failures():
    frame = results([("constant", "x", 0, 0.5), ("constant", "y", 0, 0.5), ("a", "x", 0, 0.9)])
    classic = frame.drop(columns=["STATUS", "CAUSE", "METRIC", "SCORE"])
    table = board(classic)
    assert table.loc["a", "failures"] == 1
    assert table.loc["a", "mean_rank"] == 1.25
    assert table.loc["a", "mean_f1"] == pytest.approx(0.7)


def test_data_set_on_which_all_failed_is_left_out():
    frame = results(
        [("a", "x", 0, 0.9), ("b", "x", 0, 0.8), ("a", "y", 0, "memory"), ("b", "y", 0, "timeout")]
    )
    comparison = compare(frame, "classification")
    assert comparison.datasets == 1
    assert "every framework failed on them: y." in comparison.notes[-1]


def test_everything_failed():
    table = board(results([("a", "x", 0, "memory"), ("b", "x", 0, "timeout")]))
    assert table["rank"].isna().all()
    assert table["mean_rank"].isna().all()
    assert table["failures"].tolist() == [1, 1]
    assert table["success_share"].tolist() == [0, 0]
    assert table["median_fit_s"].isna().all()


def test_one_framework_on_one_data_set():
    table = board(results([("a", "x", 0, 0.9)]))
    assert table.loc["a", ["rank", "mean_rank", "scaled_score", "wins"]].tolist() == [1, 1, 0, 1]


def test_infinite_log_loss_ranks_last_and_decides_nothing_else():
    frame = results(
        [
            *(("constant", "x", 0, 0.7), ("a", "x", 0, INF), ("b", "x", 0, 0.2)),
            *(("constant", "y", 0, 0.7), ("a", "y", 0, 0.1), ("b", "y", 0, 0.2)),
            *(("constant", "z", 0, 0.7), ("a", "z", 0, 0.1), ("b", "z", 0, 0.2)),
        ],
        metric="log_loss",
    )
    table = board(frame)
    assert table.loc["a", "mean_rank"] == pytest.approx((3 + 1 + 1) / 3)
    assert table.loc["a", "scaled_score"] == 1
    assert table.loc["b", "scaled_score"] == pytest.approx(5 / 6)


def test_mean_rmse_is_the_root_of_mse_where_there_is_no_rmse():
    frame = results([("a", "x", 0, 4.0), ("a", "y", 0, 16.0)], "mse", "regression")
    assert board(frame, "regression").loc["a", "mean_rmse"] == 3.0


def test_median_fit_counts_successes_only():
    frame = results([("a", "x", 0, 0.9), ("a", "x", 1, "timeout"), ("b", "x", 0, 0.8)])
    frame.loc[1, "FIT_S"] = 999.0
    assert board(frame).loc["a", "median_fit_s"] == 2.0


def test_equal_mean_ranks_share_the_rank():
    frame = results([("a", "x", 0, 0.9), ("b", "x", 0, 0.9), ("c", "x", 0, 0.1)])
    assert board(frame)["rank"].to_dict() == {"a": 1, "b": 1, "c": 3}


def test_type_without_rows_has_an_empty_leaderboard():
    assert board(results([("a", "x", 0, 0.9)]), "regression").empty


@pytest.mark.parametrize(("word", "leader"), [("maximize", "a"), ("minimize", "b")])
def test_a_metric_of_the_users_own_brings_its_direction(word, leader):
    frame = results([("a", "x", 0, 9.0), ("b", "x", 0, 1.0)], metric="gain@5")
    with pytest.raises(BenchmarkError, match='"gain@5" is unknown'):
        compare(frame, "classification")
    told = study(frame.assign(METRIC_DIRECTION=word), "classification")
    assert told.leaders == [leader]


def test_study_says_what_cannot_be_computed():
    one = study(results([("a", "x", 0, 0.9)]), "classification")
    assert one.friedman is None
    assert one.extra["elo"].isna().all()
    assert any("One framework alone" in note for note in one.notes)
    two = study(results([("a", "x", 0, 0.9), ("b", "x", 0, 0.8)]), "classification")
    assert two.difference is None
    assert any("One data set alone" in note for note in two.notes)


def test_study_of_clear_results_is_sure():
    rows = [
        (name, f"d{number}", seed, score + number / 1000)
        for name, score in (("constant", 0.5), ("a", 0.9), ("b", 0.7))
        for number in range(12)
        for seed in (0, 1)
    ]
    found = study(results(rows), "classification")
    assert found.leaders == ["a"]
    assert found.friedman.p < 0.001
    assert found.groups == ()
    assert found.wilcoxon.loc["a", "b"] < 0.05
    assert found.extra.loc["b", "better"] == pytest.approx(1, abs=0.01)
    assert found.extra.loc["a", ["rank_low", "rank_high"]].tolist() == [1, 1]
    assert found.extra["win_rate"].to_dict() == {"a": 1, "b": 0.5, "constant": 0}
    assert [claim.flips for claim in found.claims] == [(), ()]


def test_other_scales_are_those_of_the_reports():
    names = {"constant": 0.5, "random-forest": 0.7, "tuned-random-forest": 0.8, "a": 0.9}
    rows = [(name, f"d{n}", 0, score) for name, score in names.items() for n in range(3)]
    frame = results(rows)
    scales = study(frame, "classification").scales
    assert scales["amlb_2019"].round(6).to_dict() == {
        **{"constant": 0, "random-forest": 0.666667, "tuned-random-forest": 1, "a": 1.333333}
    }
    assert scales["amlb_2024"].round(6).to_dict() == {
        **{"constant": -1, "random-forest": 0, "tuned-random-forest": 0.5, "a": 1}
    }
    assert set(scales["amlb_2024_of"]) == {frame["DATASET_ID"].nunique()}
    assert scales.loc["a", ["classic", "classic_low", "classic_mean"]].tolist() == [1, 1, 0.9]
    rest = study(frame[frame["MODEL"] == "a"], "classification").scales
    assert rest["amlb_2019"].isna().all()


def test_a_metric_of_ones_own_has_its_direction_in_grid_and_gap():
    for metric, way, best in (("profit", "maximize", "a"), ("f2", "minimize", "c")):
        scores = {"a": 0.9, "b": 0.8, "c": 0.1}
        rows = [(name, f"d{n}", 0, score) for n in range(3) for name, score in scores.items()]
        frame = results(rows, metric=metric).assign(METRIC_DIRECTION=way)
        found = study(frame, "classification")
        assert found.leaders == [best]
        assert found.extra["improvability"].isna().all()
        cells = str(score_grid(found))
        assert all(f">{score:g}<" in cells for score in scores.values())
        assert "-0." not in cells


def test_the_leader_of_the_probabilities_is_the_boards_first():
    scores = {"a": [0.9, 0.8] * 3, "b": [0.8, 0.9, 0.8, 0.9, 0.89, 0.9], "c": [0.1] * 6}
    rows = [(name, f"d{n}", 0, s) for name, column in scores.items() for n, s in enumerate(column)]
    found = study(results(rows), "classification")
    assert found.leaders[0] == "b"
    assert found.extra["better"].isna().to_dict() == {"a": False, "b": True, "c": False}


def test_the_mean_f1_of_results_without_it_is_missing():
    rows = [(n, d, 0, s) for d in "xyz" for n, s in (("a", 0.9), ("b", 0.8), ("c", 0.1))]
    frame = results(rows).assign(METRIC="auc")
    frame["F1_SCORE"] = frame["SCORE"].where(frame["MODEL"] != "a")
    found = mean_metric(frame, "classification")
    assert found.round(6).dropna().to_dict() == {"b": 0.8, "c": 0.1}
