"""Results of different conditions are refused, or told apart by name."""

import pytest

from benchmark.analysis.comparison import against
from benchmark.analysis.processing import studies_of
from benchmark.analysis.results.amlb_form import to_amlb
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
    with pytest.raises(BenchmarkError, match="of different runs are mixed in"):
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


def own_and_amlb(tmp_path, constraint):
    """A file of 60 s on 2 cores, and one of the same tasks in AMLB's form."""
    paths = [tmp_path / "own.csv", tmp_path / "results.csv"]
    own = grid(frameworks=("a", "b"), datasets=1).assign(CORES=2, METRIC="auc", SCORE=0.8)
    own.to_csv(paths[0], index=False)
    paths[1].write_text(
        "task,framework,constraint,fold,type,result,metric\n"
        f"d0,a,{constraint},0,binary,0.9,auc\nd0,b,{constraint},0,binary,0.95,auc\n"
    )
    return paths


def test_a_constraint_of_amlb_is_a_budget_and_a_number_of_cores(tmp_path):
    paths = own_and_amlb(tmp_path, "1h8c")
    with pytest.raises(BenchmarkError, match="constraint: 1h8c, 1m2c"):
        read_results(paths)
    frame = read_results(paths, merge=True)
    assert set(frame["MODEL"]) == {f"{name} ({one})" for name in "ab" for one in ("1m2c", "1h8c")}
    assert list(to_amlb(frame)["constraint"]) == ["1m2c"] * 2 + ["1h8c"] * 2
    found = against(*(read_results(path) for path in reversed(paths)))
    assert "The constraint is 1h8c now and was 1m2c." in found.notes


def test_results_of_one_constraint_in_both_forms_are_no_mixture(tmp_path):
    one, other = own_and_amlb(tmp_path, "1m2c")
    other.write_text(other.read_text().replace("d0", "d1"))
    frame = read_results([one, other])
    assert set(frame["MODEL"]) == {"a", "b"}
    assert set(to_amlb(frame)["constraint"]) == {"1m2c"}


@pytest.mark.parametrize(("runtime", "cores"), [("1 hour", "8"), ("", "8"), ("60", "2.5")])
def test_a_budget_that_is_no_number_has_no_constraint(tmp_path, runtime, cores):
    path = tmp_path / "r.csv"
    grid(datasets=1).assign(RUNTIME=runtime, CORES=cores).to_csv(path, index=False)
    assert set(to_amlb(read_results(path))["constraint"]) == {""}


def test_two_limits_of_memory_are_named_with_their_unit(tmp_path):
    frame = grid(frameworks=("constant", "a"), datasets=1).assign(MEMORY=[1500, 3000])
    frame.to_csv(tmp_path / "r.csv", index=False)
    with pytest.raises(BenchmarkError, match="memory in MiB: 1500, 3000"):
        read_results(tmp_path / "r.csv")
