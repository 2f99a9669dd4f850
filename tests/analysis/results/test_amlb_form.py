"""AMLB's results.csv, of today and of 2019, read as compiled results."""

import math
import re

import pandas as pd
import pytest

from benchmark.analysis.missing import by_cause
from benchmark.analysis.results.amlb_form import to_amlb
from benchmark.analysis.results.table import CLASSIC, read_results
from benchmark.analysis.statistics.comparable import compare
from benchmark.errors import BenchmarkError
from benchmark.execution.metrics import METRICS
from tests.support.made_results import results

TODAY = (
    "id,task,framework,constraint,fold,type,result,metric,mode,version,params,app_version,utc,"
    "duration,training_duration,predict_duration,models_count,seed,info,acc,auc,logloss\n"
    "openml.org/t/1,kc1,A,1h8c,0,binary,0.8,auc,aws,1.0,,2.1,2024-01-01T00:00:00,10,9,1,5,7,,.7,.8,.4\n"
    "openml.org/t/1,kc1,B,1h8c,0,binary,,auc,aws,1.0,,2.1,2024-01-01T00:00:00,10,,,,7,"
    "TimeoutError: it took too long,,,\n"
    "openml.org/t/2,car,A,1h8c,0,multiclass,-0.2,neg_logloss,aws,1.0,,2.1,,10,9,1,5,7,,.9,,.2\n"
    "openml.org/t/2,car,B,1h8c,0,multiclass,-0.3,neg_logloss,aws,1.0,,2.1,,10,9,1,5,7,,.9,,.3\n"
    "openml.org/t/3,cpu,A,1h8c,0,regression,-3.5,neg_rmse,aws,1.0,,2.1,,10,9,1,5,7,,,,\n"
    "openml.org/t/3,cpu,B,1h8c,0,regression,,neg_rmse,aws,1.0,,2.1,,10,,,,7,"
    "MemoryError: Cannot allocate memory,,,\n"
)
IN_2019 = (
    "acc,auc,duration,fold,framework,id,info,logloss,result,task,type\n"
    "0.5,,3,0,A,openml.org/t/1,,2.3,2.3,car,multiclass\n"
    "0.5,,3,0,B,openml.org/t/1,,1.3,1.3,car,multiclass\n"
    "0.5,0.7,3,0,A,openml.org/t/2,,,0.7,kc1,binary\n"
    ",,3,0,B,openml.org/t/2,Missing predictions.,,,kc1,binary\n"
)


def write(folder, text):
    path = folder / "results.csv"
    path.write_text(text)
    return path


def test_todays_form(tmp_path):
    frame = read_results(write(tmp_path, TODAY))
    first = frame.iloc[0]
    assert (first["MODEL"], first["DATASET_ID"], first["SEED"]) == ("A", "kc1", 0)
    assert (first["SCORE"], first["AUC"], first["FIT_S"], first["PREDICT_S"]) == (0.8, 0.8, 9, 1)
    assert list(frame["TYPE"].unique()) == ["classification", "regression"]
    assert by_cause(frame).loc["B"].to_dict() == {"timeout": 1, "memory": 1}
    gains = compare(frame, "classification").gains
    assert gains.loc[("car", 0)].to_dict() == {"A": -0.2, "B": -0.3}
    assert math.isnan(gains.loc[("kc1", 0), "B"])
    assert compare(frame, "regression").gains.loc[("cpu", 0), "A"] == -3.5


@pytest.mark.parametrize("second", ["4.0", ""])
def test_times_of_batches_become_seconds_per_row(tmp_path, second):
    text = (
        "task,framework,fold,type,result,metric,infer_batch_size_df_100\n"
        f"a,x,0,binary,0.9,auc,2.0\na,y,0,binary,0.8,auc,{second}\n"
    )
    column = read_results(write(tmp_path, text))["INFERENCE_S_100"]
    assert column.iloc[0] == 0.02
    assert math.isnan(column.iloc[1]) if second == "" else column.iloc[1] == 0.04


def small(metric, scores, type="multiclass", more=None):
    """Two frameworks on a data set, A with the first result."""
    header = "task,framework,fold,type,result,metric" + "".join(f",{name}" for name in more or {})
    rows = [
        f"car,{name},0,{type},{result},{metric}"
        + "".join(f",{values[place]}" for values in (more or {}).values())
        for place, (name, result) in enumerate(zip("AB", scores, strict=True))
    ]
    return "\n".join([header, *rows, ""])


def refusal(folder, text):
    with pytest.raises(BenchmarkError) as caught:
        read_results(write(folder, text))
    message = str(caught.value)
    assert str(folder / "results.csv") in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("metric", "results", "ours", "scores"),
    [
        ("neg_logloss", (-0.1, -0.3), "log_loss", [0.1, 0.3]),
        ("logloss", (0.1, 0.3), "log_loss", [0.1, 0.3]),
        ("rmse", (0, 70), "rmse", [0, 70]),
        ("neg_rmse", (0, -70), "rmse", [0, 70]),
        ("NEG_MAE", (-1, -2), "mae", [1, 2]),
        ("msle", (0.1, 2), "msle", [0.1, 2]),
        ("neg_mean_pce", (-0.1, -1), "mean_pce", [0.1, 1]),
        ("neg_mine", (3, -2), "mine", [-3, 2]),
        ("auc", (0.9, 0.5), "auc", [0.9, 0.5]),
        ("acc", (1, 0), "accuracy", [1, 0]),
        ("auc_ovr", (0.7, 0.6), "auc_ovr", [0.7, 0.6]),
        ("r2", (0.7, -3), "r2", [0.7, -3]),
    ],
)
def test_the_direction_is_that_of_the_metrics_name(tmp_path, metric, results, ours, scores):
    problem, type = "multiclass", "classification"
    if ours in METRICS and "regression" in METRICS[ours].problem_types:
        problem = type = "regression"
    frame = read_results(write(tmp_path, small(metric, results, problem)))
    assert set(frame["METRIC"]) == {ours}
    assert list(frame["SCORE"]) == scores
    assert not [score for score in frame["SCORE"] if math.copysign(1, score) < 0 and score == 0]
    gains = compare(frame, type).gains.loc[("car", 0)]
    assert gains["A"] > gains["B"]


@pytest.mark.parametrize("way", ["maximize", "minimize"])
@pytest.mark.parametrize("metric", ["mine", "brier"])
def test_a_file_may_say_the_direction_of_a_metric_of_ones_own(tmp_path, metric, way):
    text = small(metric, (0.9, 0.5), more={"metric_direction": [way, way]})
    gains = compare(read_results(write(tmp_path, text)), "classification").gains.loc[("car", 0)]
    assert (gains["A"] > gains["B"]) == (way == "maximize")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (small("mine", (0.9, 0.5)), 'the metric "mine" is unknown.*metric_direction'),
        (small("neg_auc", (-0.9, -0.5)), "metric is neg_auc, .*auc is no loss"),
        (small("neg_logloss", (-0.9, 0.5)), "result is 0.5 in row 2.*negated loss.*positive"),
        (small("logloss", (0.9, -0.5)), "result is -0.5 in row 2, and a loss cannot.*neg_logloss"),
        (small("rmse", (-9, -5)), "result is -9 in row 1, .*cannot be negative"),
        (small("", (9, 5)), "row 1 has a result and no metric"),
        (
            small("auc", (0.9, 0.5)) + "car,C,0,multiclass,0.7,\n",
            "row 3 has a result and no metric",
        ),
        (small("auc_ovr", (0.9, 5)), "result .auc_ovr. is 5.0 in row 2.*between 0 and 1"),
        (small("auc", (0.9, 0.5), type="regression"), "auc in row 1, which is a regression"),
        (small("neg_rmse", (-0.9, -0.5)), "rmse in row 1, which is a classification"),
        (
            small("neg_rmse", (-3, -2), "regression", more={"mse": [4, 4]}),
            "RMSE is 3.0 in row 1 and the MSE is 4.0; the MSE is the square of the RMSE",
        ),
        (
            small("neg_mse", (-9, -4), "regression", more={"mae": [1, 3]}),
            "MAE is 3.0 in row 2 and the MSE is 4.0",
        ),
        (
            small("auc", (0.9, 0.5), more={"models_count": [3, -3]}),
            'models_count is "-3" in row 2; a count cannot be negative',
        ),
        (
            small("auc", (0.9, 0.5), more={"models_count": [3, 1.5]}),
            'models_count is "1.5" in row 2; a count cannot be a fraction',
        ),
        (
            small("auc", (0.9, 0.5), more={"duration": [3, "inf"]}),
            'duration is "inf" in row 2; seconds cannot be infinite',
        ),
        (
            small("auc", (0.9, 0.5), more=dict.fromkeys(CLASSIC, ("", ""))),
            "has the columns of AMLB's results .* and of compiled results",
        ),
        (small("", (9, 5), type="classification"), "row 1 has a result and no metric"),
        (small("neg_rmse", (-9, -5), more={"rmse": [9, 6]}), "result is -5 in row 2.*rmse is 6"),
        (small("auc", (0.9, 0.5), more={"auc": [0.8, 0.5]}), "result is 0.9 in row 1.*auc is 0.8"),
        (small("auc", (0.9, 5)), "result .auc. is 5.0 in row 2.*between 0 and 1"),
        (small("acc", (-0.9, 0.5)), "result .accuracy. is -0.9 in row 1"),
        (small("auc", (0.9, 0.5), more={"balacc": [0.8, 2]}), "balacc.* is 2.0 in row 2"),
        (small("auc", (0.9, "good")), 'result is "good" in row 2'),
        (small("auc", (1, 0), more={"metric_direction": ["minimize"] * 2}), "not clear"),
        (small("auc", (1, 0), more={"metric_direction": ["up"] * 2}), "metric_direction is .up"),
    ],
)
def test_what_is_not_clear_or_impossible_is_refused(tmp_path, text, words):
    assert re.search(words, refusal(tmp_path, text))


def test_files_of_both_ages_are_one(tmp_path):
    text = small("logloss", (0.1, 0.3)) + "car,C,0,multiclass,-0.2,neg_logloss\n"
    gains = compare(read_results(write(tmp_path, text)), "classification").gains
    assert gains.loc[("car", 0)].to_dict() == {"A": -0.1, "B": -0.3, "C": -0.2}


def test_what_the_harness_did_is_no_failure_of_the_framework(tmp_path):
    text = small("auc", ("", ""), more={"info": ["infrastructure: lost", "Error: infrastructure"]})
    frame = read_results(write(tmp_path, text))
    assert list(frame["CAUSE"]) == ["infrastructure", "framework"]
    assert list(frame["MESSAGE"]) == ["lost", "Error: infrastructure"]


def test_the_form_of_2019_names_no_metric_and_keeps_the_sign(tmp_path):
    frame = read_results(write(tmp_path, IN_2019))
    gains = compare(frame, "classification").gains
    assert gains.loc[("car", 0)].to_dict() == {"A": -2.3, "B": -1.3}
    assert gains.loc[("kc1", 0), "A"] == 0.7
    assert by_cause(frame).loc["B", "framework"] == 1


def test_an_unknown_type_is_told(tmp_path):
    path = write(tmp_path, IN_2019.replace("binary", "timeseries"))
    with pytest.raises(BenchmarkError, match='type is "timeseries" in row 3'):
        read_results(path)


def test_a_retired_task_is_no_failure(tmp_path):
    path = tmp_path / "results.csv"
    lines = TODAY.replace("TimeoutError: it took too long", "retired: cannot be the best")
    path.write_text(lines)
    frame = read_results(path)
    (row,) = frame[(frame["MODEL"] == "B") & (frame["DATASET_ID"] == "kc1")].to_dict("records")
    assert (row["CAUSE"], row["STATUS"]) == ("retired", "not run")
    assert len(to_amlb(frame)) == len(frame) - 1


@pytest.mark.parametrize("way", ["maximize", "minimize"])
@pytest.mark.parametrize(
    "metric", ["f1_score", "mcc", "acc", "balacc", "logloss", "profit", "brier", "Profit"]
)
def test_a_metric_of_ones_own_comes_back_with_its_name(tmp_path, metric, way):
    """Beside a known one, with the columns of the known ones that have such names."""
    own = results([("a", "x", 0, 0.9), ("b", "x", 0, 0.5), ("c", "x", 0, "timeout")], metric)
    own["METRIC_DIRECTION"] = way
    known = results([(name, "y", 0, 0.5) for name in "abc"], "accuracy")
    known["METRIC_DIRECTION"] = "maximize"
    frame = pd.concat([own, known], ignore_index=True)
    frame = frame.assign(ACCURACY=0.9, BALANCED_ACCURACY=0.3, LOGLOSS=0.2)
    frame.loc[frame["DATASET_ID"] == "y", "ACCURACY"] = frame["SCORE"]
    path = tmp_path / "results.csv"
    to_amlb(frame).to_csv(path, index=False)
    back, first = (compare(one, "classification") for one in (read_results(path), frame))
    assert back.metric_of == {"x": metric, "y": "accuracy"}
    assert back.sign_of == first.sign_of
    assert back.gains.equals(first.gains)


@pytest.mark.parametrize("metric", ["AUC", "MSE", "Log_Loss"])
def test_a_metric_of_ones_own_is_no_known_one_in_other_letters(tmp_path, metric):
    frame = results([("a", "x", 0, 0.9), ("b", "x", 0, 0.5)], metric).assign(AUC=0.2, LOGLOSS=3.0)
    path = tmp_path / "results.csv"
    to_amlb(frame.assign(PROBLEM="binary")).to_csv(path, index=False)
    assert set(read_results(path)["METRIC"]) == {metric}
