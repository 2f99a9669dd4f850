"""A run that several processes read is read as one process reads it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.runs.compiled import compile_results
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.store import Store

# Labels that are encoded in paths: version, parameters, Unicode, a percent sign.
LABELS = ("h2o@3.44.0.3", "tpot (3600)", "ünï+雪", "100%/..")
FRAMEWORKS = ["constant", *({"name": "constant", "as": label} for label in LABELS)]


@pytest.fixture
def run(folder_store: Store, make_plan: Callable[..., Plan]) -> Run:
    """Of 40 tasks, of which each fourth was never begun, and others ended in many ways."""
    run = make_plan(folder_store, frameworks=FRAMEWORKS, seeds=[1, 2, 3, 4]).run
    assert len(run.tasks) == 40
    for number, task in enumerate(run.tasks):
        told = Record(task=task.key, status="success", labels=task.labels, cost=0.5, total_s=2.0)
        if number % 4 == 1:
            told = results.failure(task, Cause.SETUP if number % 3 else Cause.MEMORY, f"{number}")
        if number % 4:
            results.settle(run, results.begin(run, task), told)
    results.set_aside(run, [run.tasks[6].key, run.tasks[0].key])
    results.begin(run, run.tasks[8])
    return run


def read(run: Run, path: Path) -> tuple[Any, ...]:
    """All that is read by pieces, from a run and from some of its tasks."""
    some = run.tasks[3:30:2]
    return (
        compile_results(run, path),
        path.read_bytes(),
        compile_results(run, path, {task.key for task in some}),
        path.read_bytes(),
        status(run),
        status(run, some),
        record_reader.without_result(run),
        record_reader.without_result(run, some),
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("count", [2, 3, pytest.param(9, marks=pytest.mark.slow)])
def test_what_several_read_is_what_one_reads(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, fails: bool
) -> None:
    alone = read(run, tmp_path / "alone.csv")
    assert len(alone[6]) > 10
    monkeypatch.setattr(record_reader, "MANY", 1)
    monkeypatch.setattr(record_reader, "MOST", 9)
    monkeypatch.setattr(record_reader, "processes", lambda: count)
    parts = record_reader.pieces(run, [task.key for task in run.tasks])
    assert len(parts) == min(count, 5)
    assert {key for part in parts for key in part.keys} == {task.key for task in run.tasks}
    own, outcomes = os.getpid(), record_reader.Piece.outcomes

    def outcomes_here(part: record_reader.Piece, *newer: Any) -> Any:
        assert os.getpid() == own or not fails
        return outcomes(part, *newer)

    monkeypatch.setattr(record_reader.Piece, "outcomes", outcomes_here)
    assert read(run, tmp_path / "several.csv") == alone


def test_a_few_tasks_are_one_piece(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_reader, "processes", lambda: 4)
    assert [
        len(part.keys) for part in record_reader.pieces(run, [task.key for task in run.tasks])
    ] == [40]
    monkeypatch.setattr(record_reader, "MANY", 1)
    assert [part.frameworks for part in record_reader.pieces(run, ["17"])] == [
        None
    ]  # a study's trial
    assert [part.keys for part in record_reader.pieces(run, [])] == [frozenset()]
