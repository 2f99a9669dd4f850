"""A failure is the framework's: the end of a run, status, tables and statistics count alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmark.analysis import missing
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics.comparable import compare
from benchmark.cli import main
from benchmark.cli.progress import line, outcomes
from benchmark.cli.runs import execute as runs
from benchmark.cli.runs.status import _lines, write_results
from benchmark.compute import discovery, submissions
from benchmark.compute.dispatcher import Dispatcher
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.record import Cause, Record
from benchmark.runs.compiled import compile_results
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.runs.summary import Summary
from benchmark.runs.watch import Watch
from benchmark.store import Store

LABELS = ("constant", "good", "lost")
CAUSES = (Cause.TIMEOUT, Cause.FRAMEWORK, Cause.SETUP, Cause.DATA, Cause.INTERRUPTED, Cause.MEMORY)


@pytest.fixture
def plan(folder_store: Store, make_plan: Callable[..., Plan]) -> Plan:
    """`constant` failed thrice and lost three, `good` has all, `lost` none, by no fault of its."""
    frameworks = [{"name": "constant", "as": label} for label in LABELS]
    planned = make_plan(folder_store, ("cpu",), frameworks=frameworks, seeds=list(range(6)))
    for task in planned.tasks:
        seed, label = int(task.labels["seed"]), task.labels["framework"]
        record = Record(task.key, "success", metric="rmse", labels=task.labels)
        record.metrics.update(rmse=2.0 + seed, mse=(2.0 + seed) ** 2, r2=0.5, mae=1.0)
        if label == "constant":
            record = results.failure(task, CAUSES[seed], "It ended.")
        if label == "lost":
            record = results.failure(task, Cause.INFRASTRUCTURE, "The machine went.")
        results.settle(planned.run, results.begin(planned.run, task), record)
    return planned


def test_tasks_left_in_jobs_are_running_or_waiting(
    folder_store: Store, make_plan: Callable[..., Plan], make_config: Callable[..., Config]
) -> None:
    """Without a driver, a started task that no job has is lost, and one that a job has is not."""
    run = make_plan(folder_store, ("cpu", "penguins"), seeds=[1, 2]).run
    ended, lost, begun, queued = run.tasks
    for task in (ended, lost, begun):
        attempt = results.begin(run, task)
        if task is ended:
            results.settle(run, attempt, results.failure(task, Cause.TIMEOUT, "It ended."))
    submissions.begin(run, "slurm", "job", {task.key: 0 for task in (ended, begun, queued)})
    found = status(run)
    assert (found.running, found.waiting, found.left_in_engines) == (1, 1, 2)
    assert found.causes == {"timeout": 1, "infrastructure": 1}
    lines = list(_lines(found, make_config(compute={"*": "slurm"})))
    assert lines[0].endswith("(no driver)")
    assert "  2 left in jobs of a cluster; resume-compute follows them" in lines
    assert Watch(run, run.tasks).look().words["running"] == 1


def test_all_count_alike(plan: Plan, make_config: Callable[..., Config], tmp_path: Path) -> None:
    found = status(plan.run)
    assert (found.success, found.failed, found.without_result) == (6, 3, 9)
    lines = list(_lines(found, make_config()))
    assert lines[1] == "  18 tasks: 6 successes, 3 failed, 9 without result"
    assert lines[2].startswith("  3 failed (")
    assert lines[2].endswith(", 1 interrupted")
    assert "8 not run (6 infrastructure, " in lines[2]
    counts = write_results(plan, tmp_path / "r.csv")
    assert counts == {"success": 6, "failure": 3, "": 9}
    table = read_results(tmp_path / "r.csv")
    assert table["STATUS"].value_counts().to_dict() == {
        "success": 6,
        "not run": 8,
        "failure": 3,
        "interrupted": 1,
    }
    judged = compare(table, "regression").counts
    assert judged["failures"].to_dict() == {"constant": 3, "good": 0, "lost": 0}
    assert missing.by_cause(table).loc["lost"].to_dict()["infrastructure"] == 6


def test_states_of_jobs_are_those_of_the_selected_tasks(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    typed = ["status", "--jobs", "--json", "--set", f"s3_bucket_root={plan.run.store.url}"]
    for more, count in (
        ([], 18),
        (["--framework", "good", "--seed", "3"], 1),
        (["--cause", "timeout"], 1),
    ):
        assert main([*typed, *more]) == 0
        assert len(json.loads(capsys.readouterr().out)["states"]) == count


def test_deleting_nothing_asks_nothing(
    plan: Plan, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.jsonl").write_text("")
    store = f"s3_bucket_root={plan.run.store.url}"
    assert main(["delete-runs", "none.jsonl", "--json", "--set", store]) == 0
    assert json.loads(capsys.readouterr().out)["deleted"] == 0


def test_a_resume_names_the_tasks_that_are_not_configured(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    runs._note_not_configured(plan.run, plan.tasks)
    good = [task for task in plan.tasks if task.labels["framework"] != "good"]
    runs._note_not_configured(plan.run, good)
    assert capsys.readouterr().err == ""
    runs._note_not_configured(plan.run, [])
    said = " ".join(capsys.readouterr().err.split())
    assert "9 tasks of 'default' without a result" in said
    assert said.endswith("not include (constant, lost).")


def test_a_table_of_an_earlier_version_counts_alike(plan: Plan, tmp_path: Path) -> None:
    compile_results(plan.run, tmp_path / "new.csv")
    frame = pd.read_csv(tmp_path / "new.csv", dtype=str, keep_default_na=False)
    frame["STATUS"] = frame["STATUS"].replace(["not run", "interrupted"], "failure")
    frame.to_csv(tmp_path / "old.csv", index=False)
    new, old = read_results(tmp_path / "new.csv"), read_results(tmp_path / "old.csv")
    pd.testing.assert_frame_equal(old, new)


class Idle(Dispatcher):
    """Returns without a record of anything."""

    @classmethod
    def process(cls, tests: Any) -> None:
        pass


def test_a_method_that_returns_nothing_is_no_failure_of_the_frameworks(
    folder_store: Store,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(discovery, "load_method", lambda name: Idle)
    planned = make_plan(folder_store)
    summary = execute(planned.run, make_config(), planned.tasks)
    assert (summary.hopeless, summary.never_run) == ([], ["constant"])
    assert runs._ended(summary) == 1
    said = capsys.readouterr().err
    assert "Done: 0 successes, 2 not run (2 infrastructure)" in said
    assert "constant was not run on any task" in said
    assert "failed" not in said


class Forgetful(Dispatcher):
    """Settles every task, and then the folder of the records goes."""

    @classmethod
    def process(cls, tests: Any) -> None:
        for task in tests:
            record = Record(task.key, "success", labels=task.labels)
            results.settle(tests.run, results.begin(tests.run, task), record)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_the_end_is_counted_from_the_store(
    folder_store: Store,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept: int,
) -> None:
    monkeypatch.setattr(discovery, "load_method", lambda name: Forgetful)
    planned = make_plan(folder_store)
    run, heard = planned.run, list[Record]()

    def lose(record: Record) -> None:
        heard.append(record)
        if len(heard) == 2:
            folder_store.delete([run.out_path(task.key) for task in planned.tasks[kept:]])

    summary = execute(run, make_config(), planned.tasks, lose)
    assert len(heard) == 2
    assert summary.causes["success"] == kept == status(run).success
    assert runs._ended(summary) == (0 if kept == 2 else 1)
    said = capsys.readouterr().err
    assert ("have gone from" in said) == (kept < 2)


class Interrupted(Dispatcher):
    """Hears that every task was interrupted."""

    @classmethod
    def process(cls, tests: Any) -> None:
        for task in tests:
            record = results.failure(task, Cause.INTERRUPTED, "The task was interrupted.")
            results.settle(tests.run, results.begin(tests.run, task), record)


def test_a_result_that_a_runner_stored_while_it_was_interrupted_counts(
    folder_store: Store,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "load_method", lambda name: Interrupted)
    planned = make_plan(folder_store)
    run = planned.run

    def store_one(record: Record) -> None:
        if record.task == planned.tasks[0].key:
            late = Record(record.task, "success", labels=record.labels)
            results.settle(run, results.begin(run, planned.tasks[0]), late)

    summary = execute(run, make_config(max_attempts=1), planned.tasks, store_one)
    assert dict(summary.causes) == {"success": 1, "interrupted": 1}
    assert status(run).success == 1


@pytest.mark.parametrize(
    ("causes", "hopeless", "never_run", "said"),
    [
        ([Cause.TIMEOUT, Cause.MEMORY], ["f"], [], "f failed on every task"),
        ([Cause.SETUP, Cause.DATA], [], ["f"], "f was not run on any task"),
        (
            *([Cause.FRAMEWORK, Cause.INFRASTRUCTURE], [], []),
            "f failed on some tasks and was not run on the others",
        ),
        ([Cause.INTERRUPTED], [], [], ""),
        ([Cause.SETUP, Cause.INTERRUPTED], [], [], ""),
        ([Cause.TIMEOUT, None], [], [], ""),
    ],
)
def test_who_failed_on_every_task(
    causes: list[Cause | None],
    hopeless: list[str],
    never_run: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    summary = Summary()
    for number, cause in enumerate(causes):
        status = "failure" if cause else "success"
        key = f"f/d/{number}"
        summary.records[key] = Record(key, status, cause, labels={"framework": "f"})
    assert (summary.hopeless, summary.never_run) == (hopeless, never_run)
    assert summary.without_success == (["f"] if said else [])
    runs._ended(summary)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert [line.removeprefix("warning: ").partition(";")[0] for line in warnings] == (
        [said] if said else []
    )


@pytest.mark.parametrize(
    ("success", "causes", "words"),
    [
        (1, {}, "1 success"),
        (0, {"timeout": 2, "setup": 1, "memory": 1}, "3 failed (2 timeout, 1 memory), 1 not run"),
        (2, {"interrupted": 2}, "2 successes, 2 interrupted"),
        (0, {"data": 1, "infrastructure": 4}, "0 successes, 5 not run (1 data, 4 infrastructure)"),
        (3, {"retired": 14, "setup": 1}, "3 successes, 1 not run (1 setup), 14 not needed"),
    ],
)
def test_outcomes_in_words(success: int, causes: dict[str, int], words: str) -> None:
    assert words in outcomes(success, causes)


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (Cause.TIMEOUT, "f/d/1: failed, timeout: Why."),
        (Cause.SETUP, "f/d/1: not run, setup: Why."),
        (Cause.INFRASTRUCTURE, "f/d/1: not run, infrastructure: Why."),
        (Cause.INTERRUPTED, "f/d/1: interrupted: Why."),
    ],
)
def test_a_line_says_whose_fault_it_was(cause: Cause, words: str) -> None:
    assert line(Record("f/d/1", "failure", cause, "Why.")) == words
