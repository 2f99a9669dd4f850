"""Elements and allocations that Slurm starts again by itself, as after `scontrol requeue`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import pytest

from benchmark.compute import submissions
from benchmark.compute.pilot import pilot_wrapper
from benchmark.compute.pilot.lists import Lists
from benchmark.compute.slurm import slurm_wrapper
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.plan import Plan
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import Quick, submitted

MOST = 3


@pytest.fixture
def started(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Start the first task's element for the n-th time; the tasks that it ran."""
    task = plan.tasks[0]
    job = submissions.begin(plan.run, "Slurm", "automl", {task.key: 0}, most=[MOST])
    ran: list[str] = []

    def run_task(words: Sequence[str]) -> int:
        ran.append(words[2])
        return 0

    monkeypatch.setattr(slurm_wrapper, "run_task", run_task)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")

    def start(number: int) -> list[str]:
        ran.clear()
        monkeypatch.setenv("SLURM_RESTART_COUNT", str(number - 1))
        assert slurm_wrapper.main(plan.run.store.url, plan.run.name, job.name) == 0
        return ran

    return start


@pytest.mark.parametrize("trace", ["none", "begun", "interrupted"])
def test_each_start_is_an_attempt_up_to_max_attempts(
    plan: Plan, started: Callable[[int], list[str]], trace: str
) -> None:
    """Whatever a start leaves behind: nothing, an open attempt, or the end of one."""
    task = plan.tasks[0]
    for number in range(1, MOST + 1):
        assert started(number) == [task.key]
        if trace != "none":
            attempt = results.begin(plan.run, task)
            assert attempt.number == number
        if trace == "interrupted":
            lost = results.failure(task, Cause.INTERRUPTED, "The task was interrupted.")
            results.settle(plan.run, attempt, lost)
    for number in (MOST + 1, MOST + 2):
        assert started(number) == []
        last = results.last_attempt(plan.run, task.key)
        assert last is not None
        assert last[1] is not None
        assert last[0].number == MOST
        cause = Cause.INTERRUPTED if trace == "interrupted" else Cause.INFRASTRUCTURE
        assert last[1].cause is cause


def test_a_task_with_a_result_is_not_started_again(
    plan: Plan, started: Callable[[int], list[str]]
) -> None:
    task = plan.tasks[0]
    attempt = results.begin(plan.run, task)
    results.settle(plan.run, attempt, results.failure(task, Cause.TIMEOUT, "Too slow."))
    assert started(2) == []
    assert results.attempt_index(plan.run).last == {task.key: 1}


def test_attempts_before_the_job_count(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble
) -> None:
    """Those of the command; those of earlier commands do not."""
    first, second, third = plan.tasks
    for task, attempts in ((first, 1), (second, 3)):
        for _ in range(attempts):
            lost = results.failure(task, Cause.INTERRUPTED, "The task was interrupted.")
            results.settle(plan.run, results.begin(plan.run, task), lost)
    dispatcher = Quick(plan.run, make_config(max_attempts=3))
    dispatcher.before = {second.key: 2}
    with submitted(dispatcher, plan.tasks, slurm_double):
        (job,) = submissions.load(plan.run, "Slurm")
        assert dict(zip(job.keys, job.most, strict=True)) == {
            first.key: 3,
            second.key: 5,
            third.key: 3,
        }


def test_an_allocation_that_is_started_again_ends(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """The driver gives what it had to another one."""
    Lists(plan.run).begin("pilot-1")
    values = '{"cores": 1, "task_cores": 1, "time_s": 60, "idle_s": 5, "mpi": "auto", '
    values += '"reserve_s": 30}'
    assert pilot_wrapper.main(plan.run.store.url, plan.run.name, "pilot-1", values) == 1
    assert "started the allocation again; the driver asks for another" in capsys.readouterr().err
