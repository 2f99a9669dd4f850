"""Attempts and records: one record a task, whatever is delivered, lost or set aside."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from benchmark.compute.dispatcher import account
from benchmark.errors import NewerRecordError, StoreError
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task
from tests.support.recorded import record_of, success


def is_done(run: Run, task: Task) -> bool:
    return task.key not in {other.key for other in record_reader.without_result(run)}


RESULTS = [Cause.FRAMEWORK, Cause.TIMEOUT, Cause.MEMORY]

OTHERS = [Cause.DATA, Cause.SETUP, Cause.INTERRUPTED, Cause.INFRASTRUCTURE, Cause.RETIRED]


def test_the_causes_are_all_told_apart() -> None:
    assert set(RESULTS) | set(OTHERS) == set(Cause)
    assert {cause for cause in Cause if cause.is_retried} == {
        Cause.INTERRUPTED,
        Cause.INFRASTRUCTURE,
    }


def test_attempts_are_numbered_and_listed(run: Run, task: Task) -> None:
    assert [results.begin(run, task).number for _ in range(3)] == [1, 2, 3]
    other = run.task("constant/cpu/1")
    assert results.begin(run, other).number == 1
    assert results.attempt_index(run).last == {task.key: 3, other.key: 1}


def test_attempts_begun_at_once_have_distinct_numbers(run: Run, task: Task) -> None:
    barrier = threading.Barrier(12)

    def begin(_: int) -> int:
        barrier.wait(timeout=500)
        return results.begin(run, task).number

    with ThreadPoolExecutor(12) as pool:
        assert sorted(pool.map(begin, range(12))) == list(range(1, 13))


def test_a_record_comes_back_as_it_was(run: Run, task: Task) -> None:
    record = results.settle(run, results.begin(run, task), success(task))
    assert record_of(run, task) == record
    assert results.current_record(run, task.key) == record
    assert record.attempt == 1
    assert record.begun
    assert record.ended
    last = results.last_attempt(run, task.key)
    assert last is not None
    assert (last[0].number, last[1]) == (1, record)


def test_a_record_with_times_and_a_trajectory_comes_back(run: Run, task: Task) -> None:
    measured = replace(
        success(task),
        inference_s=0.12,
        inference_s_per_row={"1": 1e-3, "10000": 1e-6},
        overrun_s=0.5,
        trajectory=[[1.0, 0.7], [2.5, 0.8]],
    )
    settled = results.settle(run, results.begin(run, task), measured)
    assert record_of(run, task) == settled
    assert settled.trajectory == measured.trajectory


def test_a_record_of_before_these_fields_is_read(run: Run, task: Task) -> None:
    values = json.loads(success(task).to_bytes())
    for name in ("inference_s", "overrun_s", "trajectory"):
        del values[name]
    assert results.Record.from_bytes(json.dumps(values).encode()) == success(task)


def test_a_second_delivery_is_harmless_and_returns_the_first(run: Run, task: Task) -> None:
    one, two = results.begin(run, task), results.begin(run, task)
    first = results.settle(run, two, success(task, 0.7))
    assert results.settle(run, one, success(task, 0.1)) == first
    failed = results.failure(task, Cause.TIMEOUT, "late")
    assert results.settle(run, results.begin(run, task), failed) == first
    assert record_of(run, task) == first
    assert len([found for found in results.records(run) if found.task == task.key]) == 1


def test_settling_at_once_has_one_record(run: Run, task: Task) -> None:
    attempts = [results.begin(run, task) for _ in range(8)]
    barrier = threading.Barrier(8)

    def settle(attempt: results.Attempt) -> Record:
        barrier.wait(timeout=500)
        return results.settle(run, attempt, success(task, attempt.number))

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(settle, attempts))
    assert len({record.attempt for record in told}) == 1
    assert record_of(run, task) == told[0]


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}", b'{"task": 1}', b"[" * 100_000],
)
def test_an_unreadable_record_counts_as_absent_and_is_replaced(
    run: Run, task: Task, data: bytes
) -> None:
    run.store.put(run.out_path(task.key), data)
    assert list(results.records(run)) == []
    assert results.current_record(run, task.key) is None
    assert not is_done(run, task)
    record = results.settle(run, results.begin(run, task), success(task))
    assert record_of(run, task) == record


def with_predictions(run: Run, attempt: results.Attempt, score: float) -> Record:
    """A success as the evaluation leaves it: its predictions are in the store already."""
    path, data = run.predictions_path(attempt.task, attempt.number), f"{score}".encode()
    run.store.put(path, data)
    digest = hashlib.sha256(data).hexdigest()
    record = Record(attempt.task, "success", metrics={"auc": score})
    return replace(record, predictions=path, predictions_sha256=digest)


@pytest.mark.parametrize("late", ["second", "first", "other generation"])
def test_the_predictions_are_those_of_the_record(run: Run, task: Task, late: str) -> None:
    attempts = [results.begin(run, task), results.begin(run, task)]
    if late == "first":
        attempts.reverse()
    if late == "other generation":
        results.set_aside(run, [task.key])
        attempts = [results.begin(run, task), attempts[0]]
    record = results.settle(run, attempts[0], with_predictions(run, attempts[0], 1.333))
    results.settle(run, attempts[1], with_predictions(run, attempts[1], 1.605))
    kept = record_of(run, task)
    assert kept == record
    assert results.predictions(run, record) == b"1.333"
    assert run.store.list(f"{run.name}/predictions") == [record.predictions]


def test_settling_one_delivery_twice_keeps_its_predictions(run: Run, task: Task) -> None:
    """Even if the record differs from itself, as one with a score that is not a number does."""
    attempt = results.begin(run, task)
    record = replace(with_predictions(run, attempt, 0.5), metrics={"auc": 0.5, "own": math.nan})
    results.settle(run, attempt, record)
    again = results.settle(run, attempt, replace(record, ended="later"))
    assert results.predictions(run, again) == b"0.5"


def test_settling_again_leaves_one_file_of_predictions(run: Run, task: Task) -> None:
    for score in (0.1, 0.2, 0.3):
        attempt = results.begin(run, task)
        results.settle(run, attempt, with_predictions(run, attempt, score))
    assert run.store.list(f"{run.name}/predictions") == [run.predictions_path(task.key, 1)]
    (ended,) = (end for _, end in results.ends(run, [task.key], results.attempt_index(run)))
    assert ended is not None
    assert (ended.attempt, ended.predictions) == (3, None)
    results.set_aside(run, [task.key])
    assert run.store.list(f"{run.name}/predictions") == []


@pytest.mark.parametrize("damage", [b"0.9", b"", None])
def test_other_predictions_than_the_records_are_refused(
    run: Run, task: Task, damage: bytes | None
) -> None:
    attempt = results.begin(run, task)
    record = results.settle(run, attempt, with_predictions(run, attempt, 0.5))
    assert record.predictions is not None
    if damage is None:
        run.store.delete([record.predictions])
    else:
        run.store.put(record.predictions, damage)
    with pytest.raises(StoreError, match="measured on; put it back"):
        results.predictions(run, record)


def test_predictions_of_an_earlier_version_are_read(run: Run, task: Task) -> None:
    """They had one name for all attempts, which no record knew."""
    record = results.settle(run, results.begin(run, task), success(task))
    assert results.predictions(run, record) is None
    run.store.put(f"{run.name}/predictions/constant/penguins/1.parquet", b"old")
    assert results.predictions(run, record) == b"old"
    results.set_aside(run, [task.key])
    assert run.store.list(f"{run.name}/predictions") == []


NEWER = [{"format": 2}, {"format": 99, "status": "odd", "cause": None}, {"cause": "quota"}]


@pytest.mark.parametrize("newer", NEWER)
def test_a_record_of_a_later_version_is_named_and_stays(
    run: Run, task: Task, newer: dict[str, object]
) -> None:
    waiting = results.begin(run, task)
    path = run.out_path(task.key)
    data = json.dumps(json.loads(success(task).to_bytes()) | {"attempt": 2} | newer).encode()
    run.store.put(path, data)
    for act in (
        lambda: list(results.records(run)),
        lambda: record_reader.without_result(run),
        lambda: results.current_record(run, task.key),
        lambda: results.current_records(run, [task.key]),
        lambda: results.settle(run, waiting, success(task)),
        lambda: account(run, task, Cause.INFRASTRUCTURE, "gone"),
    ):
        with pytest.raises(NewerRecordError, match=r"constant/penguins/1 has the (format|cause)"):
            act()
    assert run.store.get(path) == data


@pytest.mark.parametrize(
    "name", ["0001.txt", "x.json", "deep/0001.json", "0001.json/x", "-1.json", "1_0.json"]
)
def test_a_foreign_file_among_attempts_is_named_once(
    run: Run, task: Task, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = f"{run.attempts_path(task.key)}/{name}"
    run.store.put(path, b"mine")
    record = results.settle(run, results.begin(run, task), success(task))
    assert record_of(run, task) == record
    assert is_done(run, task)
    said = [line for line in caplog.messages if path in line]
    assert len(said) == (0 if name == "deep/0001.json" else 1)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "constant/cpu/1"},
        {"status": "odd"},
        {"metrics": 5},
        {"metrics": {"auc": "high"}},
        {"labels": []},
        {"attempt": "1"},
        {"host": None},
        {"total_s": True},
        {"cause": ["framework"]},
    ],
)
def test_a_record_that_is_not_sound_is_named_once_and_absent(
    run: Run, task: Task, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    values = json.loads(success(task).to_bytes()) | {"attempt": 1} | change
    run.store.put(run.out_path(task.key), json.dumps(values).encode())
    assert not is_done(run, task)
    assert list(results.records(run)) == []
    assert results.current_record(run, task.key) is None
    assert [run.out_path(task.key) in line for line in caplog.messages] == [True]
    record = results.settle(run, results.begin(run, task), success(task))
    assert record_of(run, task) == record


@pytest.mark.parametrize(
    "odd",
    [
        {"trajectory": [[1.0]]},
        {"trajectory": "up", "models": 3},
        {"trajectory": [[1.0, "high"]]},
        {"leaderboard": {"best": 1}},
        {"leaderboard": ["best"]},
        {"models": "many", "version": 3},
        {"objective": ["auc"], "leaderboard": [{"a": 1}]},
    ],
)
def test_an_odd_report_of_the_framework_costs_no_measurement(
    run: Run, task: Task, odd: dict[str, object]
) -> None:
    record = results.settle(run, results.begin(run, task), success(task))
    values = json.loads(record.to_bytes()) | odd
    run.store.put(run.out_path(task.key), json.dumps(values).encode())
    assert is_done(run, task)
    found = record_of(run, task)
    assert found is not None
    kept = {"models": 3} if odd.get("models") == 3 else {}
    kept |= {"leaderboard": [{"a": 1}]} if "objective" in odd else {}
    assert found == replace(record, **kept)


@pytest.mark.parametrize("cause", RESULTS)
def test_a_cause_that_is_a_result_makes_the_record(run: Run, task: Task, cause: Cause) -> None:
    record = results.settle(run, results.begin(run, task), results.failure(task, cause, "why"))
    assert record.is_result
    assert record_of(run, task) == record
    assert is_done(run, task)


@pytest.mark.parametrize("cause", OTHERS)
def test_any_other_cause_leaves_the_task_without(run: Run, task: Task, cause: Cause) -> None:
    record = results.settle(run, results.begin(run, task), results.failure(task, cause, "why"))
    assert not record.is_result
    assert run.store.get(run.out_path(task.key)) is None
    assert not is_done(run, task)
    assert results.last_attempts(run, [task.key]) == {task.key: record}
    later = results.settle(run, results.begin(run, task), success(task))
    assert later.attempt == 2
    assert is_done(run, task)


def test_a_failure_that_is_no_result_hides_no_record(run: Run, task: Task) -> None:
    first = results.settle(run, results.begin(run, task), success(task))
    results.settle(run, results.begin(run, task), results.failure(task, Cause.INTERRUPTED, ""))
    assert record_of(run, task) == first


def test_setting_aside_starts_a_new_generation(run: Run, task: Task) -> None:
    results.settle(run, results.begin(run, task), success(task))
    results.set_aside(run, [task.key])
    assert not is_done(run, task)
    assert results.current_record(run, task.key) is None
    assert results.last_attempt(run, task.key) is None
    assert results.last_attempts(run, [task.key]) == {}
    fresh = results.settle(run, results.begin(run, task), success(task, 0.9))
    assert fresh.attempt > 1
    assert record_of(run, task) == fresh


def test_setting_aside_leaves_the_others(run: Run, task: Task) -> None:
    other = run.task("constant/penguins/2")
    kept = results.settle(run, results.begin(run, other), success(other))
    results.settle(run, results.begin(run, task), success(task))
    results.set_aside(run, [task.key])
    assert list(results.records(run)) == [kept]


def test_a_late_worker_of_an_earlier_generation_does_not_slip_in(run: Run, task: Task) -> None:
    late = results.begin(run, task)
    results.set_aside(run, [task.key])
    results.settle(run, late, success(task, 0.1))
    assert record_of(run, task) is None
    assert run.store.get(run.out_path(task.key)) is None
    fresh = results.settle(run, results.begin(run, task), success(task, 0.9))
    assert record_of(run, task) == fresh


def test_a_late_worker_does_not_replace_the_new_record(run: Run, task: Task) -> None:
    late = results.begin(run, task)
    results.set_aside(run, [task.key])
    fresh = results.settle(run, results.begin(run, task), success(task, 0.9))
    results.settle(run, late, success(task, 0.1))
    assert record_of(run, task) == fresh
    assert results.current_record(run, task.key) == fresh


def test_a_late_record_written_between_mark_and_deletion_counts_as_absent(
    run: Run, task: Task
) -> None:
    old = results.settle(run, results.begin(run, task), success(task, 0.1))
    results.set_aside(run, [task.key])
    run.store.put(run.out_path(task.key), old.to_bytes())
    assert list(results.records(run)) == []
    assert not is_done(run, task)
    fresh = results.settle(run, results.begin(run, task), success(task, 0.9))
    assert fresh.metrics == {"auc": 0.9}
    assert record_of(run, task) == fresh


def test_setting_aside_twice_and_what_was_never_begun(run: Run, task: Task) -> None:
    results.set_aside(run, [task.key])
    results.set_aside(run, [task.key])
    record = results.settle(run, results.begin(run, task), success(task))
    assert record_of(run, task) == record


def test_without_result_keeps_the_order_asked(run: Run) -> None:
    done = run.tasks[1]
    results.settle(run, results.begin(run, done), success(done))
    assert record_reader.without_result(run) == [task for task in run.tasks if task != done]
    assert record_reader.without_result(run, [run.tasks[2], run.tasks[1]]) == [run.tasks[2]]
