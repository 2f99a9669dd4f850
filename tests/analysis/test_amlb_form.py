"""AMLB's results.csv, of today and of 2019, read as compiled results."""

import math

import pytest

from benchmark.analysis.comparable import compare
from benchmark.analysis.missing import by_cause
from benchmark.analysis.table import read_results
from benchmark.errors import BenchmarkError

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


def test_a_metric_of_ones_own_is_larger_where_it_is_better(tmp_path):
    text = TODAY.replace("neg_logloss", "neg_mine").replace(",auc,aws", ",yours,aws")
    gains = compare(read_results(write(tmp_path, text)), "classification").gains
    assert gains.loc[("car", 0)].to_dict() == {"A": -0.2, "B": -0.3}
    assert gains.loc[("kc1", 0), "A"] == 0.8


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
