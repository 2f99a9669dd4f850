"""A run as AMLB's results.csv, and that the analysis reads the same from both forms."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.analysis.missing import by_cause
from benchmark.analysis.results.amlb_form import COLUMNS, FIXED, constraint, to_amlb
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics.comparable import compare
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.runs.amlb import write_amlb
from benchmark.runs.compiled import compile_results
from benchmark.runs.plan import Plan
from benchmark.store import Store

MakePlan = Callable[..., Plan]


@pytest.fixture
def run(folder_store: Store, make_plan: MakePlan) -> Run:
    """Two frameworks, three data sets, two seeds; failures, an open attempt, one never begun."""
    made = make_plan(
        folder_store,
        ("penguins", "cpu", "titanic"),
        frameworks=["constant", "random-forest"],
        seeds=[75, 85],
    ).run
    for place, task in enumerate(made.tasks[:-1]):
        attempt = results.begin(made, task)
        facts = {"labels": task.labels, "version": "1.5"}
        if place == 0:
            record = results.failure(task, Cause.TIMEOUT, "Ended, after\n60 s.")
        elif place == 1:
            record = results.failure(task, Cause.MEMORY, "Too much.")
        elif place == 2:
            continue
        else:
            score = 0.5 + place / 100
            record = Record(
                task=task.key,
                status="success",
                metrics={
                    **{"auc": score, "log_loss": score, "rmse": score, "mse": score**2},
                    **{"f1_weighted": score, "gain": score, "cost": score, "brier": -score},
                },
                fit_s=2.5,
                total_s=3.0,
                inference_s_per_row={"1": 0.5, "100": 0.01},
                **facts,
            )
        results.settle(made, attempt, record)
    return made


def rows_of(path: Path) -> dict[tuple[str, str, int], dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    return {(row["framework"], row["task"], int(row["seed"])): row for row in found}


def test_columns_and_conventions(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    assert write_amlb(run, path) == {"success": 8, "failure": 2, "": 2}
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].split(",")[: len(FIXED)] == list(FIXED)
    assert len(lines) == 12
    rows = rows_of(path)
    cells = run.manifest.cells
    for place, cell in enumerate(cells[:-1]):
        row = rows[cell.framework, cell.dataset, cell.seed]
        problem = run.manifest.datasets[cell.dataset]["problem"]
        assert set(row) == set(COLUMNS)
        assert row["type"] == problem
        assert row["constraint"] == "5s1c"
        assert row["fold"] == row["seed"] == str(cell.seed)
        assert row["app_version"] == run.manifest.harness
        if place < 3:
            assert row["result"] == ""
            continue
        score = 0.5 + place / 100
        metric, sign = {
            "binary": ("auc", 1),
            "multiclass": ("neg_logloss", -1),
            "regression": ("neg_rmse", -1),
        }[problem]
        assert (row["metric"], float(row["result"])) == (metric, sign * score)
        assert (row["auc"] != "") == (problem == "binary")
        assert float(row["infer_batch_size_df_100"]) == 1.0
        assert row["info"] == ""


def test_failures_say_their_cause_first(run: Run, tmp_path: Path) -> None:
    write_amlb(run, tmp_path / "r.csv")
    rows = rows_of(tmp_path / "r.csv")
    infos = [
        rows[cell.framework, cell.dataset, cell.seed]["info"] for cell in run.manifest.cells[:3]
    ]
    assert infos[:2] == ["timeout: Ended, after 60 s.", "memory: Too much."]
    assert infos[2].startswith("infrastructure: ")


def test_both_forms_say_the_same(run: Run, tmp_path: Path) -> None:
    write_amlb(run, tmp_path / "amlb.csv")
    compile_results(run, tmp_path / "classic.csv")
    amlb, classic = read_results(tmp_path / "amlb.csv"), read_results(tmp_path / "classic.csv")
    for kind in ("classification", "regression"):
        one = compare(amlb, kind, all_rows=True).gains.groupby(level=0).mean()
        two = compare(classic, kind, all_rows=True).gains.groupby(level=0).mean()
        assert one.round(9).equals(two.round(9))
    both = (frame.dropna(subset="INFERENCE_S_100") for frame in (amlb, classic))
    assert [set(frame["INFERENCE_S_100"]) for frame in both] == [{0.01}, {0.01}]
    assert by_cause(amlb)["timeout"].sum() == 1
    assert by_cause(amlb)["memory"].sum() == 1


def test_an_unwritable_place_is_told_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchmarkError, match="cannot be written"):
        write_amlb(run, tmp_path / "file" / "r.csv")
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".csv")] == []


@pytest.mark.parametrize(
    ("runtime", "cores", "name"),
    [
        (3600, 8, "1h8c"),
        (14400, 8, "4h8c"),
        (600, 4, "10m4c"),
        (90, 2, "90s2c"),
        (7.5, 1, "7.5s1c"),
    ],
)
def test_budgets_are_named_as_amlb_names_them(runtime: float, cores: int, name: str) -> None:
    assert constraint(runtime, cores) == name


def test_the_form_of_a_table_is_that_of_the_run(run: Run, tmp_path: Path) -> None:
    """run-analysis --export writes of compiled results what fetch-results writes of records."""
    write_amlb(run, tmp_path / "run.csv")
    compile_results(run, tmp_path / "classic.csv")
    to_amlb(read_results(tmp_path / "classic.csv")).to_csv(tmp_path / "table.csv", index=False)
    ours, theirs = rows_of(tmp_path / "table.csv"), rows_of(tmp_path / "run.csv")
    assert set(ours) == set(theirs)
    for task, row in ours.items():
        for column in row:
            assert _alike(row[column], theirs[task][column]), (task, column)


def test_folds_do_not_depend_on_which_tasks_are_written(run: Run, tmp_path: Path) -> None:
    write_amlb(run, tmp_path / "all.csv")
    late = [cell.key for cell in run.manifest.cells if cell.seed == 85]
    write_amlb(run, tmp_path / "late.csv", late)
    whole, part = rows_of(tmp_path / "all.csv"), rows_of(tmp_path / "late.csv")
    assert {row["fold"] for row in part.values()} == {"85"}
    assert all(whole[task] == row for task, row in part.items())


@pytest.mark.parametrize("openml", [False, True])
def test_what_is_written_reads_back_the_same(run: Run, tmp_path: Path, openml: bool) -> None:
    manifest = run.manifest
    frameworks = manifest.frameworks | {
        "random-forest": manifest.frameworks["random-forest"] | {"params": {"depth": 3, "a": "b"}}
    }
    conditions = manifest.conditions | ({"split": "openml"} if openml else {})
    manifest = replace(manifest, frameworks=frameworks, conditions=conditions)
    run = Run(run.name, run.store, manifest)
    write_amlb(run, tmp_path / "amlb.csv")
    compile_results(run, tmp_path / "classic.csv")
    amlb, classic = read_results(tmp_path / "amlb.csv"), read_results(tmp_path / "classic.csv")
    keys = ["MODEL", "DATASET_ID", "SEED"]
    amlb, classic = amlb.set_index(keys), classic[classic["STATUS"] != ""].set_index(keys)
    assert set(amlb.index) == set(classic.index)
    classic = classic.loc[amlb.index]
    same = ["TYPE", "PROBLEM", "STATUS", "CAUSE", "MESSAGE", "METRIC", "METRIC_DIRECTION"]
    same += ["SCORE", "MSE", "RMSE", "LOGLOSS", "F1_SCORE", "VERSION", "PARAMS", "HARNESS"]
    same += ["FIT_S", "TOTAL_S"]
    for column in same:
        one, two = (frame[column].astype(object).fillna("").tolist() for frame in (amlb, classic))
        assert one == two, column
    again = to_amlb(read_results(tmp_path / "amlb.csv"))
    again.to_csv(tmp_path / "again.csv", index=False)
    one, two = rows_of(tmp_path / "amlb.csv"), rows_of(tmp_path / "again.csv")
    assert set(one) == set(two)
    for task, row in one.items():
        for column in row:
            assert _alike(row[column], two[task][column]), (task, column)


@pytest.mark.parametrize(
    ("metric", "way", "written"),
    [
        ("gain", "maximize", "gain"),
        ("cost", "minimize", "neg_cost"),
        ("brier", "maximize", "brier"),
    ],
)
def test_a_metric_of_ones_own_keeps_its_direction(
    run: Run, tmp_path: Path, metric: str, way: str, written: str
) -> None:
    own = {"name": metric, "direction": way, "needs_probabilities": False}
    conditions = run.manifest.conditions | {"metric": {"regression": own}}
    run = Run(run.name, run.store, replace(run.manifest, conditions=conditions))
    write_amlb(run, tmp_path / "r.csv")
    assert {row["metric"] for row in rows_of(tmp_path / "r.csv").values()} >= {written, "auc"}
    frame = read_results(tmp_path / "r.csv")
    rows = frame[(frame["TYPE"] == "regression") & (frame["STATUS"] == "success")]
    assert set(rows["METRIC_DIRECTION"]) == {way}
    assert (rows["SCORE"].abs() == rows["RMSE"]).all()
    assert (rows["SCORE"] < 0).all() == (metric == "brier")


def _alike(one: str, two: str) -> bool:
    try:
        return float(one) == pytest.approx(float(two))
    except ValueError:
        return one == two
