"""Reading compiled results: what is accepted, and one sentence for what is not."""

import gzip
import math
from pathlib import Path

import pytest

from benchmark.analysis.results.table import CLASSIC, read_results
from benchmark.errors import BenchmarkError

HEADER = ",".join(CLASSIC)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "compiled_results.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_classic_columns_suffice(tmp_path):
    frame = read_results(write(tmp_path, HEADER, "0,tpot,61,classification,7,,,0.5,0.9"))
    row = frame.iloc[0]
    assert (row["MODEL"], row["DATASET_ID"], row["SEED"]) == ("tpot", "61", 7)
    assert row["F1_SCORE"] == 0.9
    assert math.isnan(row["MSE"])


def test_names_that_look_like_missing_values_stay_names(tmp_path):
    frame = read_results(write(tmp_path, HEADER, "0,null,NA,regression,1,2,,,"))
    assert (frame.loc[0, "MODEL"], frame.loc[0, "DATASET_ID"]) == ("null", "NA")


def test_infinite_numbers_and_words_for_missing_are_read(tmp_path):
    frame = read_results(write(tmp_path, HEADER, "0,a,d,classification,1,nan,None,inf,0.1"))
    assert frame.loc[0, "LOGLOSS"] == math.inf
    assert math.isnan(frame.loc[0, "MSE"])
    assert math.isnan(frame.loc[0, "R2_SCORE"])


def test_failures_and_tasks_without_result_are_rows(tmp_path):
    path = write(
        tmp_path,
        HEADER + ",STATUS,CAUSE,MESSAGE,EXTRA",
        '0,a,d,regression,1,,,,,failure,timeout,"over, by 3 s",x',
        "1,b,d,regression,1,,,,,,,,",
    )
    frame = read_results(path)
    assert list(frame["STATUS"]) == ["failure", ""]
    assert frame.loc[0, "MESSAGE"] == "over, by 3 s"
    assert frame.loc[0, "EXTRA"] == "x"


def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}\n0,a,d,regression,1,2,,,\n".encode())
    assert read_results(path).loc[0, "ID"] == "0"


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz", "r.txt"])
def test_two_byte_order_marks_are_refused(tmp_path, name):
    path = tmp_path / name
    content = b"\xef\xbb\xbf" * 2 + f"{HEADER}\n0,a,d,regression,1,2,,,\n".encode()
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    with pytest.raises(BenchmarkError, match="it starts with two byte order marks"):
        read_results(path)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "no rows"),
        ([HEADER], "no rows"),
        (["ID,MODEL", "0,a"], "lacks the column DATASET_ID"),
        ([HEADER, "0,a,d,regression,1,many,,,"], 'MSE is "many" in row 1'),
        ([HEADER, "0,a,d,regression,1,2,,,", "1,a,d,regression,x,2,,,"], 'SEED is "x" in row 2'),
        ([HEADER, "0,a,d,regression,1.5,2,,,"], 'SEED is "1.5"'),
        ([HEADER, "0,a,d,regression,,2,,,"], "whole number"),
        ([HEADER, "0,a,d,clustering,1,2,,,"], 'TYPE is "clustering" in row 1'),
        ([HEADER + ",STATUS", "0,a,d,regression,1,2,,,,maybe"], 'STATUS is "maybe"'),
        ([HEADER, "0,,d,regression,1,2,,,"], "has no MODEL"),
        ([HEADER, *["0,a,d,regression,1,2,,,"] * 2], "the task a/d/regression/1 twice"),
        ([HEADER, "0,a,d,regression,1,2,,,", "0,a,d,regression,1,2,,,,,,"], "as CSV"),
        ([HEADER + ",MSE", "0,a,d,regression,1,2,,,,3"], 'the column "MSE" twice'),
        ([HEADER, f"0,a,d,regression,{2**63},2,,,"], f'SEED is "{2**63}" in row 1'),
        ([HEADER, "0,a,d,classification,1,,,,5"], "F1_SCORE (f1_weighted) is 5.0 in row 1"),
        ([HEADER, "0,a,d,classification,1,,,-0.1,0.5"], "LOGLOSS (log_loss) is -0.1 in row 1"),
        ([HEADER, "0,a,d,regression,1,-2,,,"], "MSE is -2.0 in row 1, which is impossible"),
        ([HEADER, "0,a,d,regression,1,2,1.5,,"], "R2_SCORE is 1.5 in row 1"),
        ([HEADER + ",AUC", "0,a,d,classification,1,,,,0.5,1.01"], "AUC is 1.01 in row 1"),
        ([HEADER + ",ACCURACY", "0,a,d,classification,1,,,,0.5,-1"], "ACCURACY is -1.0 in row 1"),
        ([HEADER + ",RMSE,MAE", "0,a,d,regression,1,2,,,,1,-inf"], "MAE is -inf in row 1"),
        ([HEADER + ",METRIC,SCORE", "0,a,d,classification,1,,,,,auc,7"], "SCORE (auc) is 7.0"),
        ([HEADER + ",METRIC,SCORE", "0,a,d,classification,1,,,,,mcc,-7"], "SCORE (mcc) is -7.0"),
        (
            [HEADER + ",AUC,METRIC,SCORE", "0,a,d,classification,1,,,,0.5,0.7,auc,0.8"],
            "SCORE is 0.8 in row 1 and its AUC is 0.7; the two are one value",
        ),
        (
            [HEADER + ",METRIC,SCORE", "0,a,d,classification,1,,,0.3,0.5,log_loss,inf"],
            "SCORE is inf in row 1 and its LOGLOSS is 0.3",
        ),
        ([HEADER + ",METRIC", "0,a,d,classification,1,,,,1,auc"], "METRIC without SCORE"),
        ([HEADER + ",SCORE", "0,a,d,classification,1,,,,1,0.5"], "SCORE without METRIC"),
        ([HEADER + ",FIT_S", "0,a,d,regression,1,2,,,,-5"], 'FIT_S is "-5" in row 1; seconds'),
        ([HEADER.replace(",", ";"), "0;a;d;regression;1;2;;;"], "has one column"),
        (
            [HEADER + ",PEAK_MEMORY_MB", "0,a,d,regression,1,2,,,,-5"],
            'PEAK_MEMORY_MB is "-5" in row',
        ),
        ([HEADER + ",MODELS", "0,a,d,regression,1,2,,,,inf"], 'MODELS is "inf" in row 1; a count'),
        ([HEADER, "0,a,d,regression,1,1e400,,,"], 'MSE is "1e400" in row 1, which a floating-'),
        ([HEADER, "0,a,d,regression,1,0,,,", "1,a,d,regression,2,-1e-400,,,"], "as 0; write 0, or"),
        (
            [HEADER, "0,a,d,regression,1,0,,,", f"1,a,d,regression,2,{'9' * 400},,,"],
            '99…" in row 2',
        ),
        ([HEADER + ",CLASSES", "0,a,d,regression,1,2,,,,1.5"], "a count cannot be a fraction"),
        (
            [HEADER + ",RMSE", "0,a,d,regression,1,4,,,,2", "1,b,d,regression,1,4,,,,3"],
            "the RMSE is 3.0 in row 2 and the MSE is 4.0",
        ),
        ([HEADER + ",MAE", "0,a,d,regression,1,4,,,,2.1"], "the MAE is 2.1 in row 1 and the MSE"),
        (
            [HEADER + ",RMSE,MAE", "0,a,d,regression,1,,,,,3,3.1"],
            "the MAE is 3.1 in row 1 and the RMSE is 3.0",
        ),
        (
            [HEADER + ",METRIC,SCORE", "0,a,d,regression,1,4,,,,rmse,3"],
            "the RMSE is 3.0 in row 1 and the MSE is 4.0",
        ),
        (
            [HEADER + ",METRIC,SCORE", "0,a,d,regression,1,4,,,,auc,0.5"],
            "SCORE is of the metric auc in row 1, which is a regression",
        ),
        (
            [HEADER + ",METRIC,SCORE", "0,a,d,classification,1,,,,1,mae,0.5"],
            "SCORE is of the metric mae in row 1, which is a classification",
        ),
        (
            [HEADER, "0,caf\u00e9,d,regression,1,4,,,", "1,cafe\u0301,d,regression,1,4,,,"],
            r"the MODEL 'cafe\u0301' and 'caf\xe9' differ by the encoding of their accents only",
        ),
        (
            ["task,framework,type,result,metric", "d,a,regression,1,rmse"],
            "lacks the column fold; AMLB's results have",
        ),
        (
            [HEADER + ",METRIC,METRIC_DIRECTION", "0,a,d,classification,1,,,,1,auc,minimize"],
            'METRIC_DIRECTION is "minimize" for auc, which is to be maximized',
        ),
        (
            [HEADER + ",METRIC,METRIC_DIRECTION", "0,a,d,classification,1,,,,1,auc,higher"],
            'METRIC_DIRECTION is "higher" in row 1',
        ),
        (
            [
                HEADER + ",METRIC,METRIC_DIRECTION",
                "0,a,d,classification,1,,,,1,mine,minimize",
                "1,b,d,classification,1,,,,1,mine,maximize",
            ],
            'METRIC_DIRECTION is "maximize" for mine, which is to be minimized',
        ),
    ],
)
def test_unusable_results_are_told_in_one_sentence(tmp_path, lines, words):
    path = tmp_path / "compiled_results.csv"
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(BenchmarkError) as caught:
        read_results(path)
    message = str(caught.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message


def test_missing_file_and_folder_are_told(tmp_path):
    with pytest.raises(BenchmarkError, match="no results at"):
        read_results(tmp_path / "none.csv")
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read_results(tmp_path)


def test_bytes_that_are_no_text_are_told(tmp_path):
    path = tmp_path / "r.csv"
    path.write_bytes(b"\xff\xfe\x00ID")
    with pytest.raises(BenchmarkError, match="cannot be read"):
        read_results(path)


@pytest.mark.parametrize("second", ["a ", " a", "\u00a0a", "a\u200b", "\ta"])
@pytest.mark.parametrize("column", ["MODEL", "DATASET_ID"])
def test_names_that_differ_by_white_space_only_are_refused(tmp_path, column, second):
    rows = [
        f"{number},{name if column == 'MODEL' else 'x'},{name if column != 'MODEL' else 'd'},"
        "regression,1,2,,,"
        for number, name in enumerate(["a", second])
    ]
    with pytest.raises(BenchmarkError, match=f"the {column} .* differ by white space only"):
        read_results(write(tmp_path, HEADER, *rows))


def test_names_are_compared_over_all_files(tmp_path):
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    for path, name in zip(paths, ("auto gluon", "autogluon"), strict=True):
        path.write_text(f"{HEADER}\n0,{name},d,regression,1,2,,,\n")
    with pytest.raises(BenchmarkError, match="'auto gluon' and 'autogluon' differ"):
        read_results(paths)


def test_scores_at_the_ends_of_their_range_and_beyond_by_rounding_are_read(tmp_path):
    path = write(
        tmp_path,
        HEADER + ",METRIC,METRIC_DIRECTION,SCORE",
        f"0,a,d,classification,1,,,inf,{1 + 2**-52!r},auc,maximize,0",
        "1,b,d,classification,1,,,0,0,auc,maximize,1",
        "2,a,e,regression,1,0,-inf,,,mine,maximize,-5",
        "3,b,e,regression,1,inf,1,,,mine,maximize,7",
    )
    assert len(read_results(path)) == 4


@pytest.mark.parametrize(("metric", "scores"), [("AUC", (95, -3)), ("acc", (95, 12.5))])
def test_a_metric_of_ones_own_has_any_values_whatever_its_name(tmp_path, metric, scores):
    lines = [HEADER + ",METRIC,METRIC_DIRECTION,SCORE"]
    for name, score in zip("ab", scores, strict=True):
        lines.append(f"0,{name},d,classification,1,,,,1,{metric},maximize,{score}")
    assert read_results(write(tmp_path, *lines))["SCORE"].tolist() == list(scores)


def test_errors_agree_within_the_digits_of_their_file(tmp_path):
    """As AMLB rounds them; of constant errors MAE and RMSE are one."""
    path = write(
        tmp_path,
        HEADER + ",RMSE,MAE",
        "0,a,d,regression,1,12.3457,,,,3.51364,3.51365",
        "1,b,d,regression,1,0,,,,0,0",
        "2,c,d,regression,1,inf,,,,inf,1e200",
    )
    assert len(read_results(path)) == 3


def test_a_seed_keeps_every_digit(tmp_path):
    seed = 2**53 + 1
    frame = read_results(write(tmp_path, HEADER, f"0,a,d,regression,{seed},2,,,"))
    assert frame["SEED"].tolist() == [seed]


def test_a_metric_of_ones_own_is_not_a_built_in_one_of_another_spelling(tmp_path):
    path = write(
        tmp_path,
        "," + HEADER + ",AUC,METRIC,SCORE",
        "0,0,a,d,classification,1,,,,,0.7,AUC,0.8",
        "1,1,b,d,classification,1,,,,,0.6,mcc,0.5",
    )
    assert read_results(path)["AUC"].tolist() == [0.7, 0.6]
