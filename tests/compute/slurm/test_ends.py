"""Elements whose end Slurm tells late, or that it does not start again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.compute import submissions
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.plan import Plan
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import Quick, leave_record, sent, submitted, told


class Patient(Quick):
    pace = replace(Quick.pace, stuck_s=600.0)


def test_accounting_that_is_late_is_waited_for(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(accounting=True)
    with submitted(Patient(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        slurm_double.purge(7)
        assert dispatcher.completed(timeout_s=1) == []
        for index in range(3):
            results.begin(plan.run, plan.tasks[index])
            slurm_double.set(7, index, "CANCELLED")
        assert {record.cause for record in told(dispatcher, 3)} == {Cause.INTERRUPTED}


@pytest.mark.parametrize(
    ("state", "reason", "cause"),
    [
        ("PENDING", "launch failed requeued held", Cause.INFRASTRUCTURE),
        ("CANCELLED", "None", Cause.INTERRUPTED),
    ],
)
def test_an_element_that_was_not_started_is_submitted_again_without_an_attempt(
    plan: Plan,
    config: Config,
    slurm_double: SlurmDouble,
    caplog: pytest.LogCaptureFixture,
    state: str,
    reason: str,
    cause: Cause,
) -> None:
    """No node could start it, or a user has cancelled it while it waited."""
    key = plan.tasks[1].key
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        slurm_double.set(7, 1, state, reason)
        sent(dispatcher, slurm_double, 2)
        assert results.attempt_index(plan.run).last == {}
        assert slurm_double.jobs()[1]["size"] == 1
        for job in (8, 9):
            slurm_double.set(job, 0, state, reason)
            if job == 8:
                sent(dispatcher, slurm_double, 3)
        (record,) = told(dispatcher, 1)
        assert (record.task, record.cause) == (key, cause)
        assert (reason if state == "PENDING" else state) in record.message
    if state == "PENDING":
        assert {"scancel 7_1", "scancel 8_0", "scancel 9_0"} <= set(slurm_double.calls("scancel"))
    assert len(caplog.messages) == 1
    assert "Its tasks are submitted again" in caplog.messages[0]
    assert submissions.load(plan.run, "Slurm") == []


@pytest.mark.parametrize("accounting", [None, True, False])
def test_an_element_that_ran_on_a_node_has_been_started(
    plan: Plan, config: Config, slurm_double: SlurmDouble, accounting: bool | None
) -> None:
    """It was preempted before its task began: squeue, sacct or scontrol names its node."""
    slurm_double.configure(accounting=bool(accounting))
    with submitted(Quick(plan.run, config), plan.tasks[:1], slurm_double) as dispatcher:
        slurm_double.set(7, 0, "PREEMPTED", node="n2")
        if accounting is not None:
            slurm_double.purge(7, accounts_too=accounting)
        (record,) = told(dispatcher, 1)
    assert (record.cause, record.attempt) == (Cause.INTERRUPTED, 1)
    assert len(slurm_double.jobs()) == 1


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("JobHeldUser", "they are held (JobHeldUser); `scontrol release JOB` releases them"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "drained, down or reserved (ReqNodeNotAvail"),
        ("QOSMaxJobsPerUserLimit", "a limit of the account or the QOS is reached"),
        ("Priority", ""),
    ],
)
def test_why_jobs_wait_is_reported_once(
    plan: Plan,
    config: Config,
    slurm_double: SlurmDouble,
    caplog: pytest.LogCaptureFixture,
    reason: str,
    words: str,
) -> None:
    slurm_double.configure(reason=reason)
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        asked = len(slurm_double.calls("squeue"))
        while len(slurm_double.calls("squeue")) < asked + 3:
            assert dispatcher.completed(timeout_s=0.1) == []
    assert [message for message in caplog.messages if words in message] == caplog.messages
    assert len(caplog.messages) == bool(words)
    assert all(m.startswith("3 tasks wait in the queue of Slurm: ") for m in caplog.messages)


def test_a_folder_of_logs_that_is_gone_is_named(
    plan: Plan, make_config: Callable[..., Config], slurm_double: SlurmDouble, tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    with submitted(
        Quick(plan.run, make_config(slurm={"logs": str(logs)})), plan.tasks[:1], slurm_double
    ) as dispatcher:
        logs.rmdir()
        slurm_double.set(7, 0, "FAILED", "RaisedSignal:53(Real-time_signal_19)", "0:53")
        (record,) = told(dispatcher, 1)
    assert record.cause is Cause.INFRASTRUCTURE
    assert f"The folder of its log, {logs}, is gone" in str(record.message)


def test_tasks_that_were_lost_without_a_driver_are_submitted_again_by_the_next(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    """The loss is an attempt, and none of the next driver's; a limit is a result as ever."""
    first = Quick(plan.run, config)
    first.submit(plan.tasks)
    sent(first, slurm_double)
    leave_record(plan, 2)
    for index, state in enumerate(("NODE_FAIL", "TIMEOUT", "COMPLETED")):
        if index < 2:
            results.begin(plan.run, plan.tasks[index])
        slurm_double.set(7, index, state)
    lost, late, _ = (task.key for task in plan.tasks)
    with Quick(plan.run, config) as second:
        second.submit(plan.tasks)
        causes = {record.task: record.cause for record in told(second, 2)}
        assert (lost in causes, causes[late]) == (False, Cause.TIMEOUT)
        sent(second, slurm_double, 2)
        assert slurm_double.jobs()[1]["size"] == 1
        ended = results.last_attempts(plan.run, [lost])[lost]
        assert (ended.cause, ended.attempt) == (Cause.INFRASTRUCTURE, 1)
        leave_record(plan, 0)
        (record,) = told(second, 1)
    assert (record.task, record.status, record.attempt) == (lost, "success", 2)
    assert plan.run.store.list("default/jobs") == []


def test_a_task_that_is_lost_while_others_of_its_job_run_is_reported(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    first = Quick(plan.run, config)
    first.submit(plan.tasks)
    sent(first, slurm_double)
    results.begin(plan.run, plan.tasks[0])
    slurm_double.set(7, 0, "NODE_FAIL")
    slurm_double.set(7, 1, "RUNNING")
    with Quick(plan.run, config) as second:
        second.submit(plan.tasks)
        (record,) = told(second, 1)
        assert (record.task, record.cause) == (plan.tasks[0].key, Cause.INFRASTRUCTURE)
    assert len(slurm_double.jobs()) == 1


@pytest.mark.parametrize("lost_answer", [False, True])
def test_jobs_are_adopted_for_tasks_that_come_in_portions(
    plan: Plan, config: Config, slurm_double: SlurmDouble, lost_answer: bool
) -> None:
    """A study submits its trials one by one, and a run those that it can pay for."""
    first = Quick(plan.run, config)
    first.submit(plan.tasks[:2])
    sent(first, slurm_double)
    first.submit(plan.tasks[2:])
    sent(first, slurm_double, 2)
    if lost_answer:
        for one in submissions.load(plan.run, "Slurm"):
            submissions.save(plan.run, replace(one, job=None))
    with Quick(plan.run, config) as second:
        for number, task in enumerate(plan.tasks):
            second.submit([task])
            if number == 0:
                leave_record(plan, 0)
                assert [record.task for record in told(second, 1)] == [task.key]
        second.completed(timeout_s=0.5)
        assert sorted(len(one.indices) for one in second._live.values()) == [1, 1]
        for number in (1, 2):
            leave_record(plan, number)
        assert len(told(second, 2)) == 2
    assert len(slurm_double.calls("sbatch")) == 2
    assert plan.run.store.list("default/jobs") == []


def test_a_portion_joins_the_tasks_of_an_adopted_job(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    first = Quick(plan.run, config)
    first.submit(plan.tasks)
    sent(first, slurm_double)
    with Quick(plan.run, config) as second:
        for task in plan.tasks:
            second.submit([task])
        second.completed(timeout_s=0.2)
        ((one,), keys) = second._live.values(), [task.key for task in plan.tasks]
        assert one.indices == {key: index for index, key in enumerate(keys)}
        for number in range(3):
            leave_record(plan, number)
        assert len(told(second, 3)) == 3
    assert len(slurm_double.calls("sbatch")) == 1
