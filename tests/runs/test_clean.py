"""What clean-s3 finds and deletes: all of this program's, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from benchmark.compute.driving import driving
from benchmark.compute.jobs import write_job
from benchmark.errors import BenchmarkError, StoreError
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.clean import clean, find
from benchmark.runs.plan import Plan
from benchmark.store import FolderStore, Store, open_store

MakePlan = Callable[..., Plan]
FOREIGN = [
    "notes.txt",
    "default/notes.txt",
    "default/out/report.json",
    "default/logs/pass/constant/readme.log",
    "mine/manifest.json",
    "mine/out/constant/penguins/75.json",
    "datasets/alone.json",
    "datasets/alone.parquet",
    "datasets/table.csv",
    "code/script.tar.gz",
    "manifest.json",
]
OF_MACHINES = [
    "prices.json",
    "waits.json",
    "fleet.json",
    "fleet/automl-benchmark-0f/0f.json",
    "machines/i-0f.json",
    "machines/i-0f.end",
    "logs/machines/i-0f.log",
    "packs/0123456789abcdef0123456789abcdef.z",
]


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3"))
    return open_store(str(tmp_path / "store") if request.param == "folder" else "memory://")


def worked(plan: Plan) -> None:
    """Every kind of object that a run leaves: a record, failed attempts, a mark, logs, a table."""
    run = plan.run
    for task in plan.tasks:
        lost = results.failure(task, Cause.INFRASTRUCTURE, "It was lost.")
        results.settle(run, results.begin(run, task), lost)
        ended = results.failure(task, Cause.TIMEOUT, "It took too long.")
        results.settle(run, results.begin(run, task), ended)
        run.store.put(run.predictions_path(task.key, 2), b"table")
        run.store.put(run.predictions_path(task.key), b"of an earlier version")
        for passed in (True, False):
            run.store.put(run.log_path(task, passed=passed, attempt=2), b"log")
    results.set_aside(run, [plan.tasks[0].key])
    write_job(run.store, run.name, "h2o-1", [task.key for task in plan.tasks])
    put(run.store, (f"{run.name}/{path}" for path in OF_MACHINES))


def put(store: Store, paths: Iterable[str]) -> None:
    for path in paths:
        store.put(path, b"{}")


def test_all_that_a_run_leaves_is_found_and_goes(store: Store, make_plan: MakePlan) -> None:
    worked(make_plan(store))
    worked(make_plan(store, run="studies/second"))
    store.put("code/0123456789abcdef.tar.gz", b"bundle")
    found = find(store)
    assert sorted(found.runs) == ["default", "studies/second"]
    assert found.left == []
    assert found.number == len(store.list())
    assert clean(store, found) == found.number
    assert store.list() == []
    if isinstance(store, FolderStore):
        assert not [path for path in store.root.iterdir() if not path.name.startswith(".")]


def test_what_is_not_ours_stays(store: Store, make_plan: MakePlan) -> None:
    put(store, FOREIGN)
    worked(make_plan(store))
    found = find(store)
    assert sorted(found.left) == sorted(FOREIGN)
    clean(store, found)
    assert store.list() == sorted(FOREIGN)


def test_one_run_alone(store: Store, make_plan: MakePlan) -> None:
    worked(make_plan(store))
    kept = set(store.list())
    worked(make_plan(store, run="default-2"))
    found = find(store, "default-2")
    assert (list(found.runs), found.datasets, found.left) == (["default-2"], [], [])
    clean(store, found)
    assert set(store.list()) == kept


def test_a_run_that_is_not_ours_cannot_be_named(store: Store) -> None:
    put(store, ["mine/manifest.json"])
    with pytest.raises(BenchmarkError, match="no run 'mine'"):
        find(store, "mine")


def test_another_store_further_down_is_left(tmp_path: Path, make_plan: MakePlan) -> None:
    worked(make_plan(open_store(str(tmp_path / "team"))))
    outer = open_store(str(tmp_path))
    worked(make_plan(outer))
    before = [path for path in outer.list() if path.startswith("team/")]
    found = find(outer)
    assert list(found.runs) == ["default"]
    clean(outer, found)
    assert [path for path in outer.list() if path.startswith("team/default/")]
    assert [path for path in before if path not in outer.list()] == []


def test_a_run_that_is_driven_is_refused(folder_store: Store, make_plan: MakePlan) -> None:
    worked(make_plan(folder_store))
    worked(make_plan(folder_store, run="other"))
    before = folder_store.list()
    found = find(folder_store)
    with driving(folder_store, "other"), pytest.raises(StoreError, match="drives run 'other'"):
        clean(folder_store, found)
    assert folder_store.list() == before


def test_what_came_after_the_question_is_refused(store: Store, make_plan: MakePlan) -> None:
    plan = make_plan(store)
    found = find(store)
    worked(plan)
    before = store.list()
    with pytest.raises(StoreError, match="objects more"):
        clean(store, found)
    assert store.list() == before


def test_a_deletion_that_was_cut_short_can_be_called_again(
    folder_store: Store, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked(make_plan(folder_store))
    found = find(folder_store)
    whole = folder_store.delete

    def half(paths: Iterable[str]) -> None:
        whole(list(paths)[::2])
        raise StoreError("The network is gone.")

    monkeypatch.setattr(folder_store, "delete", half)
    with pytest.raises(StoreError, match="network"):
        clean(folder_store, found)
    monkeypatch.setattr(folder_store, "delete", whole)
    clean(folder_store, find(folder_store))
    assert folder_store.list() == []
