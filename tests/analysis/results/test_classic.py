"""Tables without a status or a metric: alone, and beside newer ones."""

import math

import pandas as pd
import pytest

from benchmark.analysis import missing
from benchmark.analysis.results.amlb_form import to_amlb
from benchmark.analysis.results.table import CLASSIC, read_results
from benchmark.analysis.statistics.comparable import compare
from benchmark.errors import BenchmarkError

HEAD = ",".join(CLASSIC)


def written(folder, **files):
    paths = []
    for name, lines in files.items():
        paths.append(folder / f"{name}.csv")
        paths[-1].write_text("\n".join([*lines, ""]))
    return paths


def newer(metric, score, f1):
    """A framework b on d and e, with a status and a metric."""
    head = f"{HEAD},STATUS,CAUSE,METRIC,SCORE,RUNTIME"
    rows = [f"0,b,{name},classification,1,,,,{f1},success,,{metric},{score},60" for name in "de"]
    return [head, *rows]


def test_classic_files_beside_newer_ones_hold_results_and_failures(tmp_path):
    """`a` ended on d, gave no score on e, and never on f, where `c` ended."""
    first = [HEAD, "0,a,d,classification,1,,,,0.9", "1,a,e,classification,1,,,,"]
    second = [HEAD] + [f"0,c,{name},classification,1,,,,0.5" for name in "def"]
    frame = read_results(
        written(tmp_path, first=first, second=second, third=newer("f1_weighted", 0.8, 0.8))
    )
    found = compare(frame, "classification")
    assert found.counts.loc["a"].to_dict() == {
        **{"tasks": 3, "results": 3, "failures": 2, "successes": 1}
    }
    assert found.gains.loc[("d", 1)].to_dict() == {"a": 0.9, "b": 0.8, "c": 0.5}
    assert math.isnan(found.gains.loc[("e", 1), "a"])
    assert missing.all_missing(frame)["unknown"].to_dict() == {"a": 2, "b": 0, "c": 0}
    assert found.left_out[["framework", "cause"]].to_numpy().tolist() == [
        ["b", "not in the results"]
    ]


def test_what_classic_files_lack_counts_under_the_name_that_tells_runs_apart(tmp_path):
    first = [f"{HEAD},RUN", "0,a,d,classification,1,,,,0.9,one", "1,c,e,classification,1,,,,1,one"]
    second = [
        f"{HEAD},RUN,STATUS",
        *(f"0,a,{name},classification,1,,,,0.5,two,success" for name in "de"),
    ]
    frame = read_results(written(tmp_path, first=first, second=second), merge=True)
    counts = compare(frame, "classification").counts
    assert counts["failures"].to_dict() == {"a (one)": 1, "a (two)": 0, "c (one)": 1}


@pytest.mark.parametrize(("metric", "gain"), [("log_loss", -0.3), ("f1_weighted", 0.9)])
def test_classic_rows_have_the_metric_that_others_name(tmp_path, metric, gain):
    first = [HEAD, "0,a,d,classification,1,,,0.3,0.9", "0,a,e,classification,1,,,0.3,0.9"]
    f1 = 0.8 if metric == "f1_weighted" else 0.1
    frame = read_results(written(tmp_path, first=first, third=newer(metric, 0.8, f1)))
    assert compare(frame, "classification").gains.loc[("d", 1), "a"] == gain
    assert not missing.all_missing(frame).to_numpy().any()


def test_classic_rows_without_the_metric_that_others_name_are_refused(tmp_path):
    first = [HEAD, "0,a,d,classification,1,,,,0.9", "0,a,e,classification,1,,,,0.9"]
    frame = read_results(written(tmp_path, first=first, third=newer("auc", 0.8, 0.1)))
    with pytest.raises(BenchmarkError, match="on d are scored by auc and by a metric without a"):
        compare(frame, "classification")


def test_a_score_without_a_metric_is_refused(tmp_path):
    (path,) = written(tmp_path, third=newer("", 0.8, 0.1))
    with pytest.raises(BenchmarkError, match=r"SCORE is 0\.8 in row 1 without a METRIC; name it"):
        read_results(path)


def test_a_metric_without_a_score_is_refused_beside_other_files(tmp_path):
    first = [f"{HEAD},METRIC", "0,a,d,classification,1,,,,0.9,auc"]
    with pytest.raises(BenchmarkError, match=r"first\.csv has the column METRIC without SCORE"):
        read_results(written(tmp_path, first=first, third=newer("auc", 0.8, 0.1)))


def test_what_is_missing_and_exported_is_as_on_the_board(tmp_path):
    head = f"{HEAD},RMSE,METRIC,SCORE"
    rows = [
        "0,a,d,regression,1,4,,,,,,",  # the root of MSE
        "0,b,d,regression,1,9,,,,3,,",
        "0,c,d,regression,1,,,,,,,",
        "0,a,e,regression,1,,,,,,r2,0.5",  # a metric of its own
        "0,b,e,regression,1,,,,,7,r2,",
        "0,c,e,regression,1,,,,,7,r2,0.25",
    ]
    frame = read_results(written(tmp_path, one=[head, *rows])[0])
    board = compare(frame, "regression")
    expected = pd.DataFrame(
        {"a": [-2.0, 0.5], "b": [-3.0, math.nan], "c": [math.nan, 0.25]}, board.gains.index
    )
    assert board.gains.equals(expected.rename_axis("framework", axis=1))
    assert missing.all_missing(frame)["unknown"].to_dict() == {"a": 0, "b": 1, "c": 1}
    table = to_amlb(frame)
    assert table["result"].dropna().tolist() == [-2.0, -3.0, 0.5, 0.25]
    assert table["metric"].tolist() == ["neg_rmse"] * 3 + ["r2"] * 3
    path = tmp_path / "results.csv"
    table.to_csv(path, index=False)
    assert compare(read_results(path), "regression").gains.equals(board.gains)
