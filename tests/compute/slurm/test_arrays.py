"""The array dispatcher over commands that answer as Slurm's do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from benchmark.compute import submissions
from benchmark.compute.job_script import log_path
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import Quick, leave_record, sent, submitted, told


class Hasty(Quick):
    pace = replace(Quick.pace, close_s=0.2)


class Unhurried(Quick):
    pace = replace(Quick.pace, close_s=300.0)


def test_one_array_with_what_the_tasks_ask_for(
    plan: Plan, slurm_double: SlurmDouble, make_config: Callable[..., Config]
) -> None:
    options = {
        "account": "lab",
        "qos": "long",
        "gres": "gpu:1",
        "flags": ["--exclude=n9"],
        "preamble": ["module load gcc"],
        "cache": "$TMPDIR/environments",
        "throttle": 2,
    }
    config = make_config(slurm=options, job_name="mine")
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double):
        (job,) = slurm_double.jobs()
        assert job["name"].startswith("mine-default-")
        asked = job["options"]
        assert (asked["array"], asked["cpus-per-task"], asked["mem"]) == ("0-2%2", "1", "2524M")
        assert (asked["time"], asked["account"], asked["qos"]) == ("6", "lab", "long")
        assert job["words"][-1] == "--exclude=n9"
        lines = job["script"].splitlines()
        assert lines[1] == "module load gcc"
        assert '"$TMPDIR/environments"' in lines[-2]
        assert "slurm_wrapper" in lines[-1]
    assert {state for state, *_ in slurm_double.jobs()[0]["elements"]} == {"CANCELLED"}
    assert submissions.load(plan.run, "Slurm") == []


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ("TIMEOUT", Cause.TIMEOUT),
        ("OUT_OF_MEMORY", Cause.MEMORY),
        ("PREEMPTED", Cause.INTERRUPTED),
        ("FAILED", Cause.INTERRUPTED),
    ],
)
def test_an_end_by_a_limit_of_slurm_is_a_result_though_the_runner_was_interrupted(
    plan: Plan, config: Config, slurm_double: SlurmDouble, state: str, cause: Cause
) -> None:
    task = plan.tasks[1]
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        attempt = results.begin(plan.run, task)
        ended = results.failure(task, Cause.INTERRUPTED, "The runner was told to end.")
        results.settle(plan.run, attempt, ended)
        slurm_double.set(7, 1, state)
        (record,) = told(dispatcher, 1)
    assert (record.task, record.cause, record.attempt) == (task.key, cause, 1)
    assert (results.current_record(plan.run, task.key) == record) == cause.is_result


@pytest.mark.parametrize(
    ("state", "begun", "cause"),
    [
        ("TIMEOUT", True, Cause.TIMEOUT),
        ("TIMEOUT", False, Cause.INFRASTRUCTURE),
        ("OUT_OF_MEMORY", True, Cause.MEMORY),
        ("NODE_FAIL", True, Cause.INFRASTRUCTURE),
        ("PREEMPTED", True, Cause.INTERRUPTED),
        ("CANCELLED", True, Cause.INTERRUPTED),
        ("FAILED", False, Cause.INFRASTRUCTURE),
        ("COMPLETED", False, Cause.INFRASTRUCTURE),
    ],
)
def test_an_element_that_left_no_record_is_accounted_by_its_state(
    plan: Plan, config: Config, slurm_double: SlurmDouble, state: str, begun: bool, cause: Cause
) -> None:
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        if begun:
            results.begin(plan.run, plan.tasks[1])
        slurm_double.set(7, 1, state, code="1:0")
        (record,) = told(dispatcher, 1)
    assert (record.task, record.cause) == (plan.tasks[1].key, cause)
    assert state in record.message
    assert ".log" in record.message


@pytest.mark.parametrize(
    ("ended", "cause"), [("9001", Cause.TIMEOUT), ("9002", Cause.INFRASTRUCTURE)]
)
@pytest.mark.parametrize("asked", ["squeue", "sacct", "scontrol"])
def test_a_limit_that_the_node_did_not_end_the_job_at_is_no_result(
    plan: Plan, config: Config, slurm_double: SlurmDouble, ended: str, cause: Cause, asked: str
) -> None:
    """The node of the element was lost; that another one's node ended it says nothing."""
    slurm_double.configure(accounting=asked == "sacct")
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        results.begin(plan.run, plan.tasks[1])
        (submission,) = submissions.load(plan.run, "Slurm")
        log_path(plan.run, config.slurm, submission.name).write_text(
            f"slurmstepd-n2: error: *** JOB {ended} ON n2 CANCELLED AT 2026-01-01T12:29:06 "
            "DUE TO TIME LIMIT ***\n"
        )
        slurm_double.set(7, 1, "TIMEOUT", "TimeLimit")
        if asked != "squeue":
            slurm_double.purge(7, accounts_too=False)
        causes = {record.task: record.cause for record in told(dispatcher, 1)}
    assert causes[plan.tasks[1].key] is cause


@pytest.mark.parametrize("accounting", [True, False])
def test_a_job_that_squeue_has_forgotten_is_asked_for_once(
    plan: Plan, config: Config, slurm_double: SlurmDouble, accounting: bool
) -> None:
    slurm_double.configure(accounting=accounting)
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        leave_record(plan, 0)
        results.begin(plan.run, plan.tasks[1])
        slurm_double.set(7, 1, "CANCELLED")
        slurm_double.set(7, 2, "NODE_FAIL")
        slurm_double.purge(7, accounts_too=False)
        causes = {record.task: record.cause for record in told(dispatcher, 3)}
    keys = [task.key for task in plan.tasks]
    assert causes == {keys[0]: None, keys[1]: Cause.INTERRUPTED, keys[2]: Cause.INFRASTRUCTURE}
    assert len(slurm_double.calls("sacct")) <= 1


def test_a_job_that_nobody_knows_is_no_success(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    with submitted(Quick(plan.run, config), plan.tasks[:1], slurm_double) as dispatcher:
        slurm_double.purge(7)
        (record,) = told(dispatcher, 1)
    assert record.cause is Cause.INFRASTRUCTURE
    assert "does not know the job any more" in record.message


def test_an_end_is_read_from_the_log_of_jobs(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    (slurm_double.root / "jobcomp.log").write_text(
        "JobId=12 Name=x JobState=PREEMPTED ArrayJobId=7 ArrayTaskId=0 ExitCode=0:15 \n"
    )
    with submitted(Quick(plan.run, config), plan.tasks[:1], slurm_double) as dispatcher:
        results.begin(plan.run, plan.tasks[0])
        slurm_double.purge(7)
        (record,) = told(dispatcher, 1)
    assert record.cause is Cause.INTERRUPTED


def test_an_element_that_is_held_after_its_record_does_not_stay_in_the_queue(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    """Its node was lost between the task's record and the job's end."""
    with submitted(Hasty(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        for number in range(len(plan.tasks)):
            leave_record(plan, number)
        for index, state in enumerate(("COMPLETED", "PENDING", "RUNNING")):
            slurm_double.set(7, index, state, "launch failed requeued held")
        assert {record.task for record in told(dispatcher, 3)} == {task.key for task in plan.tasks}
    states = [state for state, *_ in slurm_double.jobs()[0]["elements"]]
    assert states == ["COMPLETED", "CANCELLED", "CANCELLED"]


def test_a_held_element_of_a_job_whose_other_tasks_a_later_one_has_does_not_stay(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    """Of three tasks one was submitted again before the first driver was lost."""
    lost = Quick(plan.run, config)
    lost.submit(plan.tasks)
    sent(lost, slurm_double)
    slurm_double.set(7, 2, "PENDING", "launch failed requeued held")
    sent(lost, slurm_double, 2)
    with Hasty(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        leave_record(plan, 0)
        leave_record(plan, 1)
        slurm_double.set(7, 0, "COMPLETED")
        slurm_double.set(7, 1, "PENDING", "launch failed requeued held")
        told(dispatcher, 2)
        leave_record(plan, 2)
        slurm_double.set(8, 0, "COMPLETED")
        (last,) = told(dispatcher, 1)
    assert last.task == plan.tasks[2].key
    ends = [[state for state, *_ in job["elements"]] for job in slurm_double.jobs()]
    assert ends == [["COMPLETED", "CANCELLED", "CANCELLED"], ["COMPLETED"]]
    assert submissions.load(plan.run, "Slurm") == []


def test_an_element_that_runs_at_the_end_may_end_by_itself(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    """One does; another, which a restarted controller had started twice, is held."""

    def end() -> None:
        slurm_double.set(7, 0, "COMPLETED")
        slurm_double.set(7, 1, "PENDING", "launch failed requeued held")

    timer = Timer(0.5, end)
    with submitted(Unhurried(plan.run, config), plan.tasks[:2], slurm_double) as dispatcher:
        for index in range(2):
            leave_record(plan, index)
            slurm_double.set(7, index, "RUNNING")
        assert len(told(dispatcher, 2)) == 2
        timer.start()
    timer.join()
    states = [state for state, *_ in slurm_double.jobs()[0]["elements"]]
    assert states == ["COMPLETED", "CANCELLED"]


def test_a_controller_that_is_down_at_the_end_fails_no_finished_run(
    plan: Plan, config: Config, slurm_double: SlurmDouble, caplog: pytest.LogCaptureFixture
) -> None:
    with submitted(Quick(plan.run, config), plan.tasks[:1], slurm_double) as dispatcher:
        leave_record(plan, 0)
        assert len(told(dispatcher, 1)) == 1
        slurm_double.configure(down=True)
    (warning,) = caplog.messages
    assert warning.startswith("Jobs of ended tasks (7) may be queued again")
    assert "Unable to contact slurm controller" in warning


def test_a_requeued_element_is_waited_for(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    with submitted(Quick(plan.run, config), plan.tasks[:1], slurm_double) as dispatcher:
        results.begin(plan.run, plan.tasks[0])
        slurm_double.set(7, 0, "PENDING", "BeginTime")
        assert dispatcher.completed(timeout_s=0.5) == []
        leave_record(plan, 0)
        assert [record.status for record in told(dispatcher, 1)] == ["success"]


def test_a_restarted_driver_adopts_its_jobs(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    first = Quick(plan.run, config)
    first.submit(plan.tasks)
    sent(first, slurm_double)
    leave_record(plan, 0)  # The first driver is gone without a word.
    with Quick(plan.run, config) as second:
        second.submit(plan.tasks)
        assert [record.task for record in told(second, 1)] == [plan.tasks[0].key]
        leave_record(plan, 1)
        leave_record(plan, 2)
        assert len(told(second, 2)) == 2
    assert len(slurm_double.calls("sbatch")) == 1
    assert plan.run.store.list("default/jobs") == []


def test_a_task_that_ends_while_jobs_are_adopted_is_not_sent_again(
    plan: Plan, config: Config, slurm_double: SlurmDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Quick(plan.run, config)
    first.submit(plan.tasks)
    sent(first, slurm_double)
    load = submissions.load

    def late(*of: str) -> list[submissions.Submission]:
        leave_record(plan, 1)
        return load(plan.run, *of[1:])

    with Quick(plan.run, config) as second, monkeypatch.context() as patch:
        patch.setattr(submissions, "load", late)
        second.submit(plan.tasks)
        patch.undo()
        assert [record.task for record in told(second, 1)] == [plan.tasks[1].key]
        leave_record(plan, 0)
        leave_record(plan, 2)
        assert len(told(second, 2)) == 2
    assert len(slurm_double.calls("sbatch")) == 1
    assert plan.run.store.list("default/jobs") == []


def test_a_job_is_kept_while_another_command_may_wait_for_its_other_tasks(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        dispatcher.detached = True
    with Quick(plan.run, config) as narrowed:
        narrowed.submit(plan.tasks[:1])
        leave_record(plan, 0)
        assert len(told(narrowed, 1)) == 1
    with Quick(plan.run, config) as other:
        other.submit(plan.tasks[1:])
        leave_record(plan, 1)
        leave_record(plan, 2)
        assert len(told(other, 2)) == 2
    assert len(slurm_double.calls("sbatch")) == 1
    assert plan.run.store.list("default/jobs") == []


def test_a_job_whose_answer_was_lost_is_found_by_its_name(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(silent=True)
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        slurm_double.configure(silent=False)
        for number in range(3):
            leave_record(plan, number)
        assert len(told(dispatcher, 3)) == 3
    assert len(slurm_double.jobs()) == 1


def test_a_job_that_is_not_found_is_not_sent_again_for_tasks_that_have_ended(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    submissions.begin(plan.run, "Slurm", "automl", {plan.tasks[0].key: 0})
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher._unsure
        leave_record(plan, 0)
        assert len(told(dispatcher, 1)) == 1
        sent(dispatcher, slurm_double)
        while dispatcher._unsure:
            dispatcher.completed(timeout_s=0.05)
        for number in (1, 2):
            leave_record(plan, number)
        assert len(told(dispatcher, 2)) == 2
    assert len(slurm_double.calls("sbatch")) == 1
    assert plan.run.store.list("default/jobs") == []


def test_detached_jobs_are_left(plan: Plan, config: Config, slurm_double: SlurmDouble) -> None:
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        dispatcher.detached = True
    assert slurm_double.calls("scancel") == []
    assert len(submissions.load(plan.run, "Slurm")) == 1


def test_a_controller_that_is_down_is_waited_for_while_records_come(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(down=True)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher.completed(timeout_s=0.3) == []
        slurm_double.configure(down=False)
        sent(dispatcher, slurm_double)
        slurm_double.configure(down=True)
        leave_record(plan, 2)
        assert [record.task for record in told(dispatcher, 1)] == [plan.tasks[2].key]
        slurm_double.configure(down=False)
        leave_record(plan, 0)
        leave_record(plan, 1)
        assert len(told(dispatcher, 2)) == 2


def test_what_could_not_be_cancelled_is_named_and_cancelled_by_the_next_driver(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    dispatcher = Hasty(plan.run, config)
    dispatcher.submit(plan.tasks)
    sent(dispatcher, slurm_double)
    slurm_double.configure(down=True)
    with pytest.raises(BenchmarkError, match=r"may still run: 7 "):
        dispatcher.close()
    slurm_double.configure(down=False)
    with Hasty(plan.run, config) as second:
        second.submit(plan.tasks)
        sent(second, slurm_double, 2)
        assert slurm_double.jobs()[0]["elements"][0][0] == "CANCELLED"


@pytest.mark.slow
def test_a_whole_run_in_which_the_elements_are_processes(
    plan: Plan,
    make_config: Callable[..., Config],
    slurm_double: SlurmDouble,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    slurm_double.configure(runs=True)
    monkeypatch.setattr(SlurmDispatcher, "pace", Quick.pace)
    config = make_config(compute={"*": "slurm"}, slurm={"logs": str(tmp_path / "logs")})
    summary = execute(plan.run, config, plan.tasks)
    assert summary.causes == {"success": 3}
    assert list((tmp_path / "logs").iterdir()) == []
