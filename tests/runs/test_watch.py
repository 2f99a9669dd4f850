"""Following a run: each look tells what is new, and reads nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

import pytest

from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.runs.watch import Standing, Watch, looks
from benchmark.store import Store

MakePlan = Callable[..., Plan]


@pytest.fixture
def planned(folder_store: Store, make_plan: MakePlan) -> Plan:
    """Six tasks: one framework, two data sets, three seeds."""
    return make_plan(folder_store, ("penguins", "cpu"), seeds=[1, 2, 3])


@pytest.fixture
def read(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were read by get_many."""
    paths: list[str] = []
    get_many = folder_store.get_many

    def counted(asked: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        asked = list(asked)
        paths.extend(asked)
        return get_many(asked)

    monkeypatch.setattr(folder_store, "get_many", counted)
    return paths


def succeed(run: Run, task: Task, total_s: float = 2.0) -> None:
    record = Record(task=task.key, status="success", labels=task.labels, total_s=total_s)
    results.settle(run, results.begin(run, task), record)


def fail(run: Run, task: Task, cause: Cause) -> None:
    results.settle(run, results.begin(run, task), results.failure(task, cause, "Why."))


def test_counts_are_those_of_status(planned: Plan) -> None:
    run, tasks = planned.run, planned.tasks
    succeed(run, tasks[0])
    fail(run, tasks[1], Cause.TIMEOUT)
    fail(run, tasks[2], Cause.SETUP)
    results.begin(run, tasks[3])
    with run.store.lock(f"driver-{run.name}"):
        standing, told = Watch(run, tasks).look(), status(run, tasks)
    assert standing.words == {
        "success": 1,
        "timeout": 1,
        "setup": 1,
        "running": 1,
        "waiting": 2,
    }
    assert told.causes == {"timeout": 1, "setup": 1}
    assert standing.without_result == told.without_result == 4
    assert standing.running_now
    assert {str(record.cause) for record in standing.failures} == {"timeout", "setup"}
    counted = {name: sum(cell.values()) for (_, name), cell in standing.cells.items()}
    assert counted == {"penguins": 3, "cpu": 3}
    # Two results by hand took 2 s on average where one alone has a time; four are left, one runs.
    assert standing.left_s == pytest.approx(8.0)
    assert standing.recent == 2


def test_an_open_attempt_of_an_undriven_run_left_no_trace(planned: Plan) -> None:
    results.begin(planned.run, planned.tasks[0])
    standing = Watch(planned.run, planned.tasks).look()
    assert standing.words == {"infrastructure": 1, "waiting": 5}
    assert standing.left_s is None


def test_a_look_reads_what_is_new_and_what_was_open(planned: Plan, read: list[str]) -> None:
    run, tasks = planned.run, planned.tasks
    succeed(run, tasks[0])
    fail(run, tasks[1], Cause.DATA)
    results.begin(run, tasks[2])
    watch = Watch(run, tasks)
    watch.look()
    read.clear()
    assert watch.look().failures == ()
    assert read == [f"{run.attempts_path(tasks[2].key)}/0001.json"]
    succeed(run, tasks[3])
    read.clear()
    assert watch.look().results == 2
    assert run.out_path(tasks[3].key) in read
    assert run.out_path(tasks[0].key) not in read


def test_another_attempt_and_a_new_generation(planned: Plan) -> None:
    run, tasks = planned.run, planned.tasks
    fail(run, tasks[0], Cause.SETUP)
    succeed(run, tasks[1])
    watch = Watch(run, tasks)
    assert watch.look().words == {"success": 1, "setup": 1, "waiting": 4}
    fail(run, tasks[0], Cause.MEMORY)
    results.set_aside(run, [tasks[1].key])
    standing = watch.look()
    assert standing.words == {"memory": 1, "waiting": 5}
    assert [record.cause for record in standing.failures] == [Cause.MEMORY]
    succeed(run, tasks[1])
    assert watch.look().words == {"success": 1, "memory": 1, "waiting": 4}


def test_looks_end_with_the_last_result(planned: Plan) -> None:
    run, left = planned.run, list(planned.tasks)
    pauses: list[float] = []

    def go_on(seconds: float) -> None:
        pauses.append(seconds)
        succeed(run, left.pop())

    with run.store.lock(f"driver-{run.name}"):
        seen = [each.results for each in looks(Watch(run, planned.tasks), 1.0, go_on)]
    assert seen == [0, 1, 2, 3, 4, 5, 6]
    assert all(seconds >= 1.0 for seconds in pauses)


def test_looks_end_with_the_driver(planned: Plan) -> None:
    run = planned.run
    seen: list[Standing] = []
    with ExitStack() as driver:
        driver.enter_context(run.store.lock(f"driver-{run.name}"))
        for standing in looks(Watch(run, planned.tasks), 1.0, lambda _: driver.close()):
            seen.append(standing)
    assert [each.running_now for each in seen] == [True, False]
    assert seen[-1].without_result == 6
