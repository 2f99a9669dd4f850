"""The last attempt of a task, and its account once the engine has ended it."""

from __future__ import annotations

import json

from benchmark.compute.dispatcher import account
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.records.tasks import Run, Task
from tests.support.recorded import record_of, success


def test_the_last_attempt_counts_also_without_an_end(run: Run, task: Task) -> None:
    failed = results.failure(task, Cause.INTERRUPTED, "")
    results.settle(run, results.begin(run, task), failed)
    results.begin(run, task)
    never = run.task("constant/cpu/2")
    assert results.last_attempts(run, [task.key, never.key]) == {task.key: None}
    last = results.last_attempt(run, task.key)
    assert last is not None
    assert (last[0].number, last[1]) == (2, None)
    assert results.last_attempt(run, never.key) is None


def test_account_gives_the_record_where_there_is_one(run: Run, task: Task) -> None:
    record = results.settle(run, results.begin(run, task), success(task))
    assert account(run, task, Cause.INFRASTRUCTURE, "gone") == record
    assert results.attempt_index(run).last == {task.key: 1}


def test_account_gives_the_end_of_an_ended_attempt(run: Run, task: Task) -> None:
    ended = results.failure(task, Cause.SETUP, "no network")
    ended = results.settle(run, results.begin(run, task), ended)
    assert account(run, task, Cause.INFRASTRUCTURE, "gone", since=0) == ended


def test_account_does_not_give_the_end_of_an_attempt_before_the_engines(
    run: Run, task: Task
) -> None:
    results.settle(run, results.begin(run, task), results.failure(task, Cause.SETUP, "old"))
    record = account(run, task, Cause.INFRASTRUCTURE, "gone", since=1)
    assert (record.cause, record.attempt) == (Cause.INFRASTRUCTURE, 2)


def test_account_ends_an_open_attempt_with_the_engines_cause(run: Run, task: Task) -> None:
    begun = results.begin(run, task)
    path = f"{run.attempts_path(task.key)}/{begun.number:04d}.json"
    opened = json.loads(run.store.get(path) or b"") | {"begun": "2026-01-01T00:00:00.000+00:00"}
    run.store.put(path, json.dumps(opened).encode())
    record = account(run, task, Cause.INTERRUPTED, "the host was lost")
    assert (record.cause, record.message) == (Cause.INTERRUPTED, "the host was lost")
    assert record.attempt == begun.number
    assert record.begun == opened["begun"]
    assert results.last_attempts(run, [task.key]) == {task.key: record}


def test_account_gives_a_task_without_a_trace_an_attempt(run: Run, task: Task) -> None:
    record = account(run, task, Cause.INFRASTRUCTURE, "gone")
    assert (record.cause, record.message, record.attempt) == (Cause.INFRASTRUCTURE, "gone", 1)
    assert record.labels == task.labels
    assert account(run, task, Cause.INFRASTRUCTURE, "again", since=0) == record


def test_account_does_not_give_the_end_of_an_earlier_generation(run: Run, task: Task) -> None:
    results.settle(run, results.begin(run, task), success(task))
    results.set_aside(run, [task.key])
    assert account(run, task, Cause.INFRASTRUCTURE, "gone").cause is Cause.INFRASTRUCTURE


def test_account_of_an_ended_cause_that_is_a_result_makes_the_record(run: Run, task: Task) -> None:
    """An engine that knows that the memory was exceeded says so, and that is a result."""
    results.begin(run, task)
    record = account(run, task, Cause.MEMORY, "OutOfMemoryError")
    assert record_of(run, task) == record
