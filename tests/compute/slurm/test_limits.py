"""What the cluster limits: sizes of arrays, submissions, and jobs that can never start."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmark.cli.runs.execute import _ended
from benchmark.compute import submissions
from benchmark.compute.pilot.pilot import PilotDispatcher
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.execute import execute
from benchmark.runs.job_states import in_engines
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.store import Store
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import DATASETS, Quick, leave_record, sent, submitted, told


class QuickPilot(PilotDispatcher):
    pace = Quick.pace


def test_arrays_are_cut_where_the_cluster_cuts(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(largest=2)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        sent(dispatcher, slurm_double, 2)
        assert [job["size"] for job in slurm_double.jobs()] == [2, 1]
        assert len({job["name"] for job in slurm_double.jobs()}) == 2


def test_a_limit_of_submissions_is_kept_until_there_is_room(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(most=1)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        for number in range(3):
            sent(dispatcher, slurm_double, number + 1)
            slurm_double.set(7 + number, 0, "COMPLETED")
            leave_record(plan, number)
        assert [job["size"] for job in slurm_double.jobs()] == [1, 1, 1]


def test_a_limit_that_other_jobs_fill_is_waited_for(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(most=0)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher.completed(timeout_s=0.3) == []
        slurm_double.configure(most=10)
        sent(dispatcher, slurm_double)
    assert [job["size"] for job in slurm_double.jobs()] == [3]


@pytest.mark.parametrize(
    "limit", [{"most": 0}, pytest.param({"taken": True}, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("method", [Quick, QuickPilot])
def test_a_limit_that_other_jobs_fill_is_reported_and_waited_for_without_end(
    plan: Plan,
    config: Config,
    slurm_double: SlurmDouble,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    limit: dict[str, Any],
    method: type[Quick | QuickPilot],
) -> None:
    """Though sbatch itself would try for two minutes where MaxJobCount is reached."""
    monkeypatch.setattr(method, "pace", replace(method.pace, patience_s=0.0))
    slurm_double.configure(**limit)
    with method(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        while len(slurm_double.calls("sbatch")) < 6:
            assert dispatcher.completed(timeout_s=0.05) == []
        (sentence,) = status(plan.run).waits
        words = "MaxSubmitJobPerUser" if "most" in limit else "temporarily unable to accept job"
        assert re.search(rf"in the queue of Slurm: no more jobs are accepted .*{words}", sentence)
        slurm_double.configure(most=10, taken=False)
        sent(dispatcher, slurm_double)
        while status(plan.run).waits:
            dispatcher.completed(timeout_s=0.05)
    assert caplog.text.count("no more jobs are accepted") == 1


@pytest.mark.parametrize(
    "refusal",
    [
        "Invalid job array specification",
        "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits) "
        "QOSMaxWallDurationPerJobLimit",
    ],
)
def test_a_refusal_that_no_end_of_other_jobs_changes_ends_the_run(
    plan: Plan, config: Config, slurm_double: SlurmDouble, refusal: str
) -> None:
    slurm_double.configure(refusal=refusal)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        with pytest.raises(BenchmarkError, match=re.escape(refusal)):
            told(dispatcher, 1)


def test_an_allocation_that_is_refused_leaves_those_that_run(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    """The reason is in `status`."""
    slurm = config.slurm.model_copy(
        update={"pilot": config.slurm.pilot.model_copy(update={"jobs": 2})}
    )
    refusal = "Requested partition configuration not available now"
    with QuickPilot(plan.run, config.model_copy(update={"slurm": slurm})) as dispatcher:
        slurm_double.configure(most=1)
        dispatcher.submit(plan.tasks)
        sent(dispatcher, slurm_double)
        slurm_double.set(7, 0, "RUNNING")
        slurm_double.configure(refusal=refusal)
        while not any(wait.endswith(f"{refusal}.") for wait in status(plan.run).waits):
            assert dispatcher.completed(timeout_s=0.05) == []
        assert not any(wait.endswith("..") for wait in status(plan.run).waits)
    assert len(slurm_double.jobs()) == 1


def test_tasks_that_were_lost_or_not_submitted_are_not_left_running(
    plan: Plan,
    make_config: Callable[..., Config],
    slurm_double: SlurmDouble,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ctrl-C comes once the first of three tasks is lost; Slurm takes two jobs and then no more."""
    monkeypatch.setattr(SlurmDispatcher, "pace", Quick.pace)
    config = make_config(slurm={"partition": "main"}, compute={"*": "slurm"})
    lost, _, last = plan.tasks

    def interrupt() -> None:
        while len(slurm_double.jobs()) < 2:
            time.sleep(0.02)
        slurm_double.configure(most=0)
        slurm_double.set(7, 0, "NODE_FAIL")
        while results.last_attempt(plan.run, lost.key) is None:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    slurm_double.configure(most=2)
    thread = threading.Thread(target=interrupt)
    thread.start()
    summary = execute(plan.run, config, plan.tasks, detach=True)
    thread.join()
    assert (summary.detached, summary.not_submitted) == (["slurm"], 1)
    assert {key: one.cause for key, one in summary.records.items()} == {
        lost.key: Cause.INFRASTRUCTURE
    }
    assert _ended(summary) == 1
    assert "1 task had not been submitted" in capsys.readouterr().err
    # Each of them alone is enough.
    assert _ended(replace(summary, not_submitted=0)) == _ended(replace(summary, records={})) == 1
    assert _ended(replace(summary, not_submitted=0, records={})) == 0
    assert last.key not in in_engines(plan.run)


def test_tasks_in_lists_that_no_allocation_takes_are_not_left_running(
    plan: Plan,
    make_config: Callable[..., Config],
    slurm_double: SlurmDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ctrl-C comes while the cluster accepts no allocation of the pilot."""
    monkeypatch.setattr(PilotDispatcher, "pace", Quick.pace)
    slurm_double.configure(most=0)

    def interrupt() -> None:
        while not status(plan.run).waits:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    config = make_config(slurm={"partition": "main"}, compute={"*": "pilot"})
    summary = execute(plan.run, config, plan.tasks, detach=True)
    thread.join()
    assert (summary.detached, summary.not_submitted) == (["pilot"], len(plan.tasks))
    assert in_engines(plan.run) == set()
    submissions.begin(plan.run, "pilot", "automl-pilot", {})
    assert in_engines(plan.run) == {task.key for task in plan.tasks}


def test_after_a_full_queue_the_rest_goes_in_arrays(
    make_plan: Callable[..., Plan], folder_store: Store, config: Config, slurm_double: SlurmDouble
) -> None:
    plan = make_plan(folder_store, DATASETS, seeds=4)
    slurm_double.configure(most=6)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        sent(dispatcher, slurm_double, 1)
        assert [job["size"] for job in slurm_double.jobs()] == [6]
        for number in range(6):
            slurm_double.set(7, number, "COMPLETED")
            leave_record(plan, number)
        sent(dispatcher, slurm_double, 2)
        assert [job["size"] for job in slurm_double.jobs()] == [6, 6]


def test_a_job_that_a_killed_driver_did_not_submit_goes_once_there_is_room(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    submissions.begin(plan.run, "Slurm", "automl", {task.key: 0 for task in plan.tasks})
    slurm_double.configure(most=2)
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        sent(dispatcher, slurm_double, 2)
        assert [job["size"] for job in slurm_double.jobs()] == [1, 1]


def test_what_can_never_start_is_reported(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(reason="PartitionTimeLimit")
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        with pytest.raises(BenchmarkError, match=r"never start.*PartitionTimeLimit"):
            told(dispatcher, 1)


def test_one_that_waits_in_hope_holds_the_others_verdict(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    """While a task runs, or may start, the limits that others are above may still be lifted."""
    slurm_double.configure(reason="PartitionTimeLimit")
    with submitted(Quick(plan.run, config), plan.tasks, slurm_double) as dispatcher:
        slurm_double.set(7, 0, "RUNNING")
        assert dispatcher.completed(timeout_s=0.6) == []
        slurm_double.set(7, 0, "COMPLETED")
        leave_record(plan, 0)
        assert len(told(dispatcher, 1)) == 1
        with pytest.raises(BenchmarkError, match="never start"):
            told(dispatcher, 1)


def test_what_slurm_refuses_is_said_in_its_words(
    plan: Plan, config: Config, slurm_double: SlurmDouble
) -> None:
    slurm_double.configure(refusal="Invalid account or account/partition combination specified")
    with Quick(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        with pytest.raises(BenchmarkError, match="Invalid account"):
            told(dispatcher, 1)
    assert submissions.load(plan.run, "Slurm") == []
