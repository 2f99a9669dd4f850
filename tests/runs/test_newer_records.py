"""A table of a run in which a later version wrote a record has all the other tasks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import NewerRecordError
from benchmark.records import results
from benchmark.records.record import Record
from benchmark.records.tasks import Run, Task
from benchmark.runs.amlb import write_amlb
from benchmark.runs.compiled import compile_results
from benchmark.runs.plan import Plan
from benchmark.store import Store


@pytest.fixture
def run(folder_store: Store, make_plan: Callable[..., Plan]) -> Run:
    return make_plan(folder_store, seeds=[1, 2, 3]).run


def recorded(run: Run, task: Task, **newer: object) -> None:
    record = Record(task=task.key, status="success", metrics={"auc": 0.5}, labels=task.labels)
    settled = results.settle(run, results.begin(run, task), record)
    if newer:
        data = json.dumps(json.loads(settled.to_bytes()) | newer).encode()
        run.store.put(run.out_path(task.key), data)
        run.store.put(run.attempt_path(task.key, settled.attempt), data)


@pytest.mark.parametrize(
    ("write", "column", "seed"),
    [(compile_results, "MESSAGE", "SEED"), (write_amlb, "info", "fold")],
)
@pytest.mark.parametrize("newer", [{"format": 2}, {"cause": "quota", "status": "failure"}])
def test_all_other_tasks_are_in_the_table(
    run: Run,
    tmp_path: Path,
    write: Callable[..., object],
    column: str,
    seed: str,
    newer: dict[str, object],
) -> None:
    first, second, third, *_ = run.tasks
    recorded(run, first)
    recorded(run, second, **newer)
    recorded(run, third)
    path = tmp_path / "results.csv"
    keys = [first.key, second.key, third.key]
    with pytest.raises(NewerRecordError, match=r"does not know.* with all other tasks") as raised:
        write(run, path, keys)
    assert second.key in str(raised.value)
    with path.open() as file:
        rows = {row[seed]: row for row in csv.DictReader(file)}
    assert len(rows) == 3
    texts = [rows[str(task.payload["seed"])][column] for task in (first, second, third)]
    assert ["does not know" in text for text in texts] == [False, True, False]
    # One that nobody asks for is no fault.
    write(run, path, [first.key, third.key])


def test_without_a_result_that_a_later_version_ended(run: Run, tmp_path: Path) -> None:
    """The attempt alone, of a cause that makes no record here."""
    task = run.tasks[0]
    attempt = results.begin(run, task)
    values = json.loads(results.failure(task, results.Cause.DATA, "").to_bytes())
    data = json.dumps(values | {"cause": "quota", "attempt": attempt.number}).encode()
    run.store.put(run.attempt_path(task.key, attempt.number), data)
    with pytest.raises(NewerRecordError, match="the cause 'quota'"):
        compile_results(run, tmp_path / "results.csv")
    assert len((tmp_path / "results.csv").read_text().splitlines()) == len(run.tasks) + 1
