"""Choosing tasks by how they ended, and setting results aside to run them again."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.records.tasks import Cell, Run
from benchmark.runs import select
from benchmark.runs.plan import Plan
from benchmark.runs.taskfiles import Row
from benchmark.store import Store

MakePlan = Callable[..., Plan]


def ended(plan: Plan, *causes: Cause | None) -> list[str]:
    """Let each task end so; None leaves an attempt that was begun and has no end."""
    for task, cause in zip(plan.tasks, causes, strict=True):
        attempt = results.begin(plan.run, task)
        if cause is not None:
            results.settle(plan.run, attempt, results.failure(task, cause, "So it ended."))
    return [task.key for task in plan.tasks]


def test_again_sets_results_aside_and_nothing_else(
    folder_store: Store, make_plan: MakePlan
) -> None:
    plan = make_plan(folder_store, datasets=("penguins", "cpu", "titanic"))
    late, lost, broken = ended(plan, Cause.TIMEOUT, Cause.INFRASTRUCTURE, Cause.FRAMEWORK)
    causes = frozenset({Cause.TIMEOUT, Cause.INFRASTRUCTURE})
    assert [task.key for task in select.again(plan.run, plan.tasks, causes)] == [late, lost]
    without = [task.key for task in record_reader.without_result(plan.run, plan.tasks)]
    assert without == [late, lost]
    assert results.current_record(plan.run, broken) is not None
    assert select.again(plan.run, plan.tasks, frozenset({Cause.TIMEOUT})) == []


def test_an_attempt_without_an_end_counts_as_infrastructure(
    folder_store: Store, make_plan: MakePlan
) -> None:
    plan = make_plan(folder_store)
    silent, _ = ended(plan, None, Cause.DATA)
    chosen = select.unfinished(plan.run, plan.tasks, frozenset({Cause.INFRASTRUCTURE}))
    assert [task.key for task in chosen] == [silent]


@pytest.fixture
def run(folder_store: Store, make_plan: MakePlan) -> Run:
    """Of a framework with an alias, on embedded data and on two of OpenML that share a number."""
    planned = make_plan(folder_store, datasets=("penguins",), frameworks=["random-forest"]).run
    frame, sets = planned.manifest.frameworks["random-forest"], dict(planned.manifest.datasets)
    plain = {key: value for key, value in sets["penguins"].items() if key != "openml"}
    sets["openml-61"] = plain | {"openml": 61}
    sets["task-59"] = plain | {"openml": 61, "task": 59}
    sets["task-360"] = plain | {"openml": 61, "task": 360, "type": "regression"}
    names = ("random-forest", "autosklearn@0.15")
    manifest = replace(
        planned.manifest,
        frameworks=dict.fromkeys(names, frame),
        datasets=sets,
        cells=tuple(Cell(name, data, 75) for name in names for data in sets),
    )
    return replace(planned, manifest=manifest)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        (Row("random-forest", "penguins", 75), "random-forest/penguins/75"),
        (Row("random-forest", "penguins", 75, "classification"), "random-forest/penguins/75"),
        (Row("RandomForest", "42585", 75, "classification"), "random-forest/penguins/75"),
        (Row("auto-sklearn@0.15", "penguins", 75), "autosklearn%400.15/penguins/75"),
        (Row("random-forest", "61", 75, "regression"), "random-forest/task-360/75"),
    ],
)
def test_a_row_names_a_task(run: Run, row: Row, key: str) -> None:
    assert [task.key for task in select.of_rows(run, [row, row], "The file")] == [key]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("random-forest", "penguins", 75, "regression"), "has it as classification"),
        (Row("random-forest", "penguins", 75, "clustering"), "75 as clustering, and run"),
        (Row("random-forest", "61", 75, "classification"), "may be openml-61 or task-59"),
        (Row("random-forest", "62", 75, "classification"), "does not have"),
        (Row("nothing", "penguins", 75), "does not have"),
        (Row("random-forest", "9" * 5000, 75), "does not have"),
    ],
)
def test_a_row_that_names_none_or_several_is_one_sentence(run: Run, row: Row, said: str) -> None:
    with pytest.raises(BenchmarkError, match=said) as caught:
        select.of_rows(run, [row], "The file")
    assert "\n" not in str(caught.value)


def test_logs_of_two_runs_are_kept_apart(
    folder_store: Store, make_plan: MakePlan, tmp_path: Path
) -> None:
    run = make_plan(folder_store).run
    target = tmp_path / "log"
    for name in ("first", "second"):
        one = replace(run, name=name)
        path = f"{name}/logs/pass/constant/penguins/75/1.log"
        folder_store.put(path, name.encode())
        assert select.copy_logs(one, [path, f"{name}/logs/gone.log"], target) == 1
    copied = {path.parts[-6]: path.read_text() for path in target.rglob("*.log")}
    assert copied == {"first": "first", "second": "second"}
    (target / "third").write_text("a file")
    with pytest.raises(BenchmarkError, match="name another folder"):
        select.copy_logs(replace(run, name="third"), [path], target)


def test_a_log_that_does_not_fit_leaves_the_copy_of_before(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"{run.name}/logs/machines/one.log"
    run.store.put(path, b"all of it")
    copy = tmp_path / run.name / "machines" / "one.log"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"before")
    whole = Path.write_bytes

    def half(file: Path, content: bytes) -> int:
        whole(file, content[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(BenchmarkError, match="cannot be written: No space left on device"):
        select.copy_logs(run, [path], tmp_path)
    assert [file.read_bytes() for file in copy.parent.iterdir()] == [b"before"]
