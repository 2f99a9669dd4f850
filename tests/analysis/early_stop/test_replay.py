"""`replay`: stored results, a question, and what an early stop would have cost and claimed."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmark.analysis.early_stop.question import Question
from benchmark.analysis.early_stop.replay import Grid, replay
from benchmark.analysis.results.table import read_results
from benchmark.cli import main

FRAMEWORKS = {"constant": -9.0, "weak": 0.0, "random-forest": 0.3, "strong": 2.5}
DATASETS = 40


def results(seeds=2, failed=()):
    """Compiled results; `failed` are (framework, number of a data set) that failed throughout."""
    random = np.random.default_rng(0)
    rows = []
    for dataset in range(DATASETS):
        for name, skill in FRAMEWORKS.items():
            score = 0.5 if name == "constant" else 1 / (1 + np.exp(-skill - random.normal() - 2))
            for seed in range(seeds):
                lost = (name, dataset) in failed
                rows.append(
                    {
                        **{"ID": len(rows), "MODEL": name, "DATASET_ID": f"d{dataset}"},
                        **{"TYPE": "classification", "SEED": seed, "MSE": "", "R2_SCORE": ""},
                        **{"LOGLOSS": "", "F1_SCORE": "" if lost else score},
                        **{"STATUS": "failure" if lost else "success"},
                        **{"CAUSE": "timeout" if lost else "", "TOTAL_S": 3600},
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "compiled_results.csv"
    results().to_csv(path, index=False)
    return path


def run(capsys, *words):
    code = main(["replay", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("question", ["best", "top:2", "order", "against:weak"])
def test_the_report_has_cost_claims_and_whether_they_are_right(file, capsys, question):
    code, out, err = run(capsys, file, "--until", question, "--orders", "20")
    assert (code, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines())
    assert out.startswith("classification: 4 frameworks, 40 data sets, 320 tasks\n")
    assert "In 20 random orders" in out
    assert "of 320 tasks" in out
    assert "of 13.3 days" in out
    assert "orders with a false claim: 0 of 20 (95 % interval 0.0% to 16.8%)" in out
    assert "The full grid agrees with every claim." in out
    assert "First by mean rank on the full grid: strong." in out


def test_splits_save_more_than_data_sets(file, capsys):
    code, out, err = run(capsys, file, "--until", "best", "--orders", "20", "--unit", "split")
    assert (code, err) == (0, "")
    assert out.startswith("classification: 4 frameworks, 40 data sets, 320 tasks\n")
    assert "In 20 random orders of the splits" in out
    assert "splits  claim for the full grid" in out
    frame = read_results(file)
    by = {unit: Grid.of(frame, "classification", unit) for unit in ("dataset", "split")}
    assert by["split"].means.shape == (80, 4)
    assert by["split"].seconds.sum() == by["dataset"].seconds.sum()
    found = {unit: replay(grid, Question("best"), orders=20) for unit, grid in by.items()}
    assert np.median(found["split"].saved) > np.median(found["dataset"].saved)
    assert found["split"].leaders() == found["dataset"].leaders()
    assert not found["split"].wrong.any()


def test_the_same_as_json(file, capsys):
    words = (file, "--until", "best", "--orders", 20, "--seed", 3)
    code, out, _ = run(capsys, *words, "--json")
    assert code == 0
    found = json.loads(out)["classification"]
    example = found["example"]
    assert example["statements"]["strong"] == "the best"
    assert example["datasets"]["constant"] <= 10
    assert example["tasks"] == 2 * sum(example["datasets"].values())
    assert example["seconds"] == 3600 * example["tasks"]
    assert 0.4 < found["saved_quartiles"][1] < 1
    assert run(capsys, *words, "--json")[1] == out


@pytest.mark.parametrize("lost", [(), range(0, DATASETS, 4)])
def test_a_failure_makes_a_retired_constant_predictor_run(tmp_path, lost):
    path = tmp_path / "results.csv"
    results(failed=[("strong", number) for number in lost]).to_csv(path, index=False)
    grid = Grid.of(read_results(path), "classification")
    found = replay(grid, Question("best"), orders=10)
    assert grid.frameworks[grid.constant] == "constant"
    ran = grid.ran(found.played, found.orders).sum(axis=1)
    assert (np.delete(ran, grid.constant, 1) == np.delete(found.played.ran, grid.constant, 1)).all()
    more = ran[:, grid.constant] - found.played.ran[:, grid.constant]
    assert (more.max() > 0) == bool(lost)
    said = found.statements()[grid.constant]
    assert ("then run where others failed" in said) == (more[0] > 0) == bool(lost)
    assert (f"retired after {found.played.ran[0, grid.constant]}," in said) == bool(lost)
    assert (found.tasks == 2 * ran.sum(axis=1)).all()


def test_without_a_constant_predictor_failures_are_noted(tmp_path, capsys):
    frame = results(failed=[("weak", 1)])
    path = tmp_path / "results.csv"
    frame[frame["MODEL"] != "constant"].to_csv(path, index=False)
    code, _, err = run(capsys, path, "--until", "best")
    assert code == 0
    assert "Without a constant predictor" in err


def test_results_of_an_early_stop_are_not_called_the_full_grid(tmp_path, capsys):
    frame = results()
    retired = (frame["MODEL"] == "weak") & (frame["DATASET_ID"] != "d0")
    frame.loc[retired, ["STATUS", "CAUSE", "F1_SCORE"]] = ["not run", "retired", np.nan]
    path = tmp_path / "results.csv"
    frame.to_csv(path, index=False)
    code, out, err = run(capsys, path, "--until", "best")
    assert code == 0
    assert "classification: 4 frameworks, 1 data set, 8 tasks" in out
    assert "The classification run stopped early: the full grid is here only" in err


def test_results_without_times_cost_tasks_only(tmp_path, capsys):
    path = tmp_path / "results.csv"
    results().drop(columns="TOTAL_S").to_csv(path, index=False)
    code, out, _ = run(capsys, path, "--until", "order", "--orders", 1)
    assert code == 0
    assert "time saved" not in out
    assert "In 1 random order of the data sets" in out


def test_results_in_the_form_of_amlb(tmp_path, capsys):
    frame = results()
    path = tmp_path / "results.csv"
    pd.DataFrame(
        {
            **{"id": frame["DATASET_ID"], "task": frame["DATASET_ID"]},
            **{"framework": frame["MODEL"], "fold": frame["SEED"], "type": "binary"},
            **{"result": frame["F1_SCORE"], "metric": "auc", "duration": 60},
        }
    ).to_csv(path, index=False)
    code, out, err = run(capsys, path, "--until", "best")
    assert (code, err) == (0, "")
    assert "of 320 tasks" in out
    assert "the best" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--until", "bset"], 'is "bset"; it must be one of: best, top:K, order, against:NAME.'),
        (["--until", "top:4"], "--until is top:4, but there are 4 frameworks"),
        (["--until", "against:nobody"], 'there is no framework "nobody"; there are: constant,'),
        (["--until", "against:stron"], 'there is no framework "stron"; did you mean "strong"?'),
        (["--until", "best", "--alpha", "1"], "--alpha is 1.0; it must be above 0 and below 1."),
        (["--until", "best", "--alpha", "nan"], "--alpha is nan"),
        (["--until", "best", "--margin", "0.5"], "--margin is 0.5; it must be at least 0 and"),
        (["--until", "best", "--orders", "0"], "--orders is 0; it must be from 1 to 10,000."),
        (["--until", "best", "--seed", "-1"], "--seed is -1; it must be at least 0."),
    ],
)
def test_what_is_wrong_is_one_sentence(file, capsys, words, said):
    code, out, err = run(capsys, file, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert said in err


def test_one_framework_cannot_be_compared(tmp_path, capsys):
    frame = results()
    path = tmp_path / "results.csv"
    frame[frame["MODEL"] == "weak"].to_csv(path, index=False)
    code, out, err = run(capsys, path, "--until", "best")
    assert (code, out) == (2, "")
    assert "--until needs at least two frameworks, and weak is the only one" in err
    missing = run(capsys, tmp_path / "absent.csv", "--until", "best")
    assert missing[0] == 2
    assert "There are no results at" in missing[2]
