"""Results of different conditions are refused, or told apart by name."""

import pytest

from benchmark.analysis.processing import studies_of
from benchmark.analysis.results.table import read_results
from benchmark.errors import BenchmarkError
from tests.support.made_results import grid


def two(tmp_path, **changes):
    """A file with each task twice, the second time with other values in some columns."""
    first = grid(frameworks=("constant", "a"), datasets=2)
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    first.to_csv(paths[0], index=False)
    first.assign(**changes).to_csv(paths[1], index=False)
    return paths


def test_two_budgets_are_refused_and_named(tmp_path):
    with pytest.raises(BenchmarkError) as caught:
        read_results(two(tmp_path, RUNTIME=3600))
    message = str(caught.value)
    assert "budget in s: 3600, 60" in message
    assert "--merge" in message
    assert "one.csv" in message


def test_merged_budgets_are_frameworks_of_their_own(tmp_path):
    frame = read_results(two(tmp_path, RUNTIME=3600, HARD_LIMIT=4200, RUN="long"), merge=True)
    assert set(frame["MODEL"]) == {"constant (60)", "constant (3600)", "a (60)", "a (3600)"}
    found = studies_of(frame)["classification"]
    assert found.comparison.gains.shape == (1, 4)


def test_two_runs_of_one_budget_are_told_apart_by_run(tmp_path):
    paths = two(tmp_path, RUN="second")
    with pytest.raises(BenchmarkError, match="run: default, second"):
        read_results(paths)
    names = set(read_results(paths, merge=True)["MODEL"])
    assert names == {
        f"{name} ({run})" for name in ["a", "constant"] for run in ("default", "second")
    }


def test_runs_of_different_frameworks_keep_their_names_when_merged(tmp_path):
    first, second = grid(frameworks=("constant",)), grid(frameworks=("a",)).assign(RUN="second")
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    first.to_csv(paths[0], index=False)
    second.to_csv(paths[1], index=False)
    with pytest.raises(BenchmarkError, match="mixes results of different runs"):
        read_results(paths)
    assert set(read_results(paths, merge=True)["MODEL"]) == {"constant", "a"}


def test_changed_data_are_another_manifest(tmp_path):
    frame = grid(frameworks=("constant", "a"), datasets=1)
    frame["DATASET_HASH"] = ["one", "two"]
    path = tmp_path / "r.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(BenchmarkError, match="changed data set: d0"):
        read_results(path)
    assert len(read_results(path, merge=True)) == 2


def test_the_same_twice_cannot_be_merged(tmp_path):
    with pytest.raises(BenchmarkError, match="the task constant/d0/classification/0 twice"):
        read_results(two(tmp_path), merge=True)


def test_two_constraints_of_amlb_are_a_mixture(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text(
        "task,framework,constraint,fold,type,result,metric\n"
        "a,x,1h8c,0,binary,0.9,auc\na,x,4h8c,0,binary,0.95,auc\n"
    )
    with pytest.raises(BenchmarkError, match="constraint: 1h8c, 4h8c"):
        read_results(path)
    assert set(read_results(path, merge=True)["MODEL"]) == {"x (1h8c)", "x (4h8c)"}
