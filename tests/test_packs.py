"""Packs are copies: they save requests, and nothing that is read depends on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from unittest import mock

import pytest

from benchmark.errors import StoreError
from benchmark.records import packed_records, results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task
from benchmark.runs import select
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.runs.watch import Watch
from benchmark.store import Store, open_store

MakePlan = Callable[..., Plan]


@pytest.fixture
def run(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> Run:
    """20 tasks in packs of 8; a pack is worth its request from two records on."""
    monkeypatch.setattr(packed_records, "FULL", 8)
    monkeypatch.setattr(packed_records, "FEW", 1)
    return make_plan(open_store("memory://"), seeds=list(range(10))).run


def settle(run: Run, tasks: Iterable[Task], cause: Cause | None = None) -> None:
    for task in tasks:
        record = Record(task=task.key, status="success", labels=task.labels, cost=1.0)
        if cause:
            record = results.failure(task, cause, "said so", cost=1.0)
        results.settle(run, results.begin(run, task), record)


def read_alone(run: Run, act: Callable[[], object]) -> list[str]:
    """The records and attempts that are read one by one meanwhile."""
    seen: list[str] = []
    get = run.store.get

    def noting(path: str) -> bytes | None:
        seen.append(path)
        return get(path)

    with mock.patch.object(run.store, "get", noting):
        act()
    return [path for path in seen if "/out/" in path or "/attempts/" in path]


def held(run: Run) -> list[int]:
    """How many objects each pack holds."""
    return sorted(len(entries) for _, entries in packed_records._packs(run))


def test_what_is_packed_is_not_read_by_itself(run: Run) -> None:
    settle(run, run.tasks[:2], Cause.INTERRUPTED)
    settle(run, run.tasks[:14])
    settle(run, run.tasks[14:17], Cause.SETUP)
    before = status(run)
    assert len(read_alone(run, lambda: status(run))) == 14 + 3 + 2
    packed_records.write(run)
    assert held(run) == [3, 8, 8]
    assert read_alone(run, lambda: status(run)) == []
    assert status(run) == before
    assert before.spent == 19.0
    assert read_alone(run, Watch(run, run.tasks).look) == []
    settle(run, run.tasks[17:])
    assert len(read_alone(run, lambda: status(run))) == 3
    assert status(run).success == 17


def test_a_pack_that_is_small_is_replaced_and_a_second_look_writes_nothing(run: Run) -> None:
    settle(run, run.tasks[:10])
    packed_records.write(run)
    assert held(run) == [2, 8]
    first = run.store.list("default/packs")
    packed_records.write(run)
    assert run.store.list("default/packs") == first
    settle(run, run.tasks[10:14])
    packed_records.write(run)
    assert held(run) == [6, 8]


def test_an_attempt_that_goes_on_is_in_no_pack(run: Run) -> None:
    settle(run, run.tasks[:5])
    attempt = results.begin(run, run.tasks[5])
    packed_records.write(run)
    assert held(run) == [5]
    results.settle(run, attempt, Record(task=run.tasks[5].key, status="success"))
    assert len(list(results.records(run))) == 6


def test_the_object_is_the_truth(run: Run) -> None:
    """What is changed, set aside, deleted or damaged counts as it is, whatever a pack says."""
    settle(run, run.tasks[:9])
    packed_records.write(run)
    first, second, third, *_ = run.tasks
    results.set_aside(run, [first.key])
    run.store.delete([run.out_path(second.key)])
    run.store.put(run.out_path(third.key), b"{")
    found = {record.task for record in results.records(run)}
    assert found == {task.key for task in run.tasks[3:9]}
    settle(run, [first], Cause.TIMEOUT)
    causes = {record.task: record.cause for record in results.records(run)}
    assert causes[first.key] is Cause.TIMEOUT


def test_a_pack_that_is_damaged_or_gone_changes_nothing(run: Run) -> None:
    settle(run, run.tasks)
    packed_records.write(run)
    before = status(run)
    path, other, *_ = run.store.list("default/packs")
    run.store.put(path, b"cut")
    run.store.delete([other])
    assert status(run) == before
    packed_records.write(run)
    assert read_alone(run, lambda: status(run)) == []


def test_deleted_results_leave_no_copy(run: Run) -> None:
    settle(run, run.tasks[:9])
    packed_records.write(run)
    select.delete(run, run.tasks[:1])
    assert run.store.list("default/packs") == []
    assert len(list(results.records(run))) == 8


def test_a_store_that_refuses_hinders_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    settle(run, run.tasks[:9])
    with mock.patch.object(run.store, "put", side_effect=StoreError("It is full.")):
        packed_records.write(run)
    assert "not packed: It is full." in caplog.text


def test_a_folder_has_no_packs(folder_store: Store, make_plan: MakePlan) -> None:
    plan = make_plan(folder_store, seeds=list(range(40)))
    settle(plan.run, plan.tasks)
    packed_records.write(plan.run)
    assert folder_store.list("default/packs") == []


def test_a_bucket_names_the_state_of_an_object_alike_in_a_listing_and_a_read(s3: str) -> None:
    store = open_store(s3)
    store.put("a/b", b"1")
    stored = store.stored("a/b")
    assert stored is not None
    assert store.listed("a") == {"a/b": stored.e_tag}
    store.put("a/b", b"2")
    assert store.listed("a")["a/b"] not in (stored.e_tag, None)
