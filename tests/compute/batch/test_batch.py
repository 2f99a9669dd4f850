"""The method batch over a double of AWS Batch whose containers are real processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute import submissions
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.support.batch_double import CONFIGURATION, BatchDouble
from tests.support.batch_job import Job

pytestmark = pytest.mark.integration  # a minute of containers as processes

PATIENCE_S = 500.0


@pytest.fixture
def make_config(make_config: Callable[..., Config]) -> Callable[..., Config]:
    return lambda **changes: make_config(**(CONFIGURATION | changes))


@pytest.fixture
def plan(batch: BatchDouble, make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    """Two tasks; `make_plan` checks no method here, because the store is a folder."""
    return make_plan(folder_store, job_queue_id=None, ecr_repo=None)


def told(dispatcher: BatchDispatcher, number: int = 1) -> list[Record]:
    found: list[Record] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < number and time.monotonic() < end:
        found += dispatcher.completed(timeout_s=1)
    return found


def began(batch: BatchDouble, plan: Plan) -> Job:
    """A job that runs, or an array's child, when its own task has begun an attempt."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        begun = results.attempt_index(plan.run).last
        for job in batch.running():
            if plan.tasks[job.index or 0].key in begun:
                return job
        time.sleep(0.05)
    raise AssertionError("no task has begun")


def found_again(dispatcher: BatchDispatcher, batch: BatchDouble) -> None:
    """Wait until the dispatcher waits for the jobs that there are."""
    while [one.job for one in dispatcher._live.values()] != list(batch.jobs):
        assert dispatcher.completed(timeout_s=0.2) == []
    assert dispatcher.completed(timeout_s=1) == []


def own_paths(plan: Plan) -> dict[str, Any]:
    facts = next(iter(plan.run.manifest.frameworks.values()))
    return {"frameworks_path": facts.get("paths", [])}


def test_an_array_a_plain_job_and_the_definition(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    with BatchDispatcher(plan.run, make_config(job_name="mine")) as dispatcher:
        batch.slots = 0
        dispatcher.submit(plan.tasks)
    with BatchDispatcher(plan.run, make_config(job_name="mine")) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
    array, plain = batch.jobs.values()
    assert (len(array.children), len(plain.children)) == (2, 0)
    assert array.name.startswith("mine-default-constant-")
    assert array.definition["jobDefinitionArn"] == plain.definition["jobDefinitionArn"]
    assert array.definition["jobDefinitionName"] == "mine-constant"
    container = array.definition["containerProperties"]
    assert container["image"].startswith("registry.example/bench:")
    assert container["resourceRequirements"] == [
        {"type": "VCPU", "value": "1"},
        {"type": "MEMORY", "value": str(1500 + 1024)},
    ]
    assert array.definition["timeout"] == {"attemptDurationSeconds": 360}
    assert batch.calls["registerjobdefinition"] == 1


def test_closing_cancels_the_jobs_and_the_next_driver_sends_new_ones(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
    (job,) = batch.jobs.values()
    assert {child.status_reason for child in job.children} == {"The run default was stopped"}
    assert plan.run.store.list("default/jobs") == []
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert batch.calls["submitjob"] == 2


def test_what_a_detached_driver_leaves_is_picked_up_and_not_sent_again(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        dispatcher.detached = True
    (job,) = batch.jobs.values()
    assert job.state == "PENDING"
    batch.slots = 2
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert {record.status for record in told(dispatcher, 2)} == {"success"}
    assert batch.calls["submitjob"] == 1
    assert plan.run.store.list("default/jobs") == []


def test_a_task_that_ends_while_jobs_are_adopted_is_not_sent_again(
    plan: Plan,
    make_config: Callable[..., Config],
    batch: BatchDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        dispatcher.detached = True
    load = submissions.load

    def late(*of: str) -> list[submissions.Submission]:
        task = plan.tasks[1]
        record = Record(task=task.key, status="success", labels=task.labels)
        results.settle(plan.run, results.begin(plan.run, task), record)
        return load(plan.run, *of[1:])

    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        with monkeypatch.context() as patch:
            patch.setattr(submissions, "load", late)
            dispatcher.submit(plan.tasks)
        batch.slots = 2
        assert {record.status for record in told(dispatcher, 2)} == {"success"}
    assert batch.calls["submitjob"] == 1


def test_a_driver_killed_before_it_noted_the_id_finds_the_job_by_its_name(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    killed = BatchDispatcher(plan.run, make_config())
    path = plan.run.store
    kept = {}
    put = path.put

    def noting(name: str, data: bytes) -> None:
        if name in kept:
            raise SystemExit("killed")
        if name.endswith(".job.json"):
            kept[name] = data
        put(name, data)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(path, "put", noting)
        killed.submit(plan.tasks)
    assert batch.calls["submitjob"] == 1
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        found_again(dispatcher, batch)
        assert [one.job for one in dispatcher._live.values()] == list(batch.jobs)
        assert batch.calls["submitjob"] == 1


def test_a_driver_killed_before_it_submitted_submits_once(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    batch.fault = lambda name, _: (400, "TooManyRequestsException") if name == "submitjob" else None
    killed = BatchDispatcher(plan.run, make_config())
    killed.submit(plan.tasks)
    assert not batch.jobs
    batch.fault = lambda name, number: None
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        while not batch.jobs:
            assert dispatcher.completed(timeout_s=0.2) == []
        assert dispatcher.completed(timeout_s=2) == []
        assert len(batch.jobs) == 1


def test_a_lost_reply_leads_to_no_second_job(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    batch.fault = lambda name, number: "lost" if (name, number) == ("submitjob", 0) else None
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        found_again(dispatcher, batch)
        assert [one.job for one in dispatcher._live.values()] == list(batch.jobs)
    assert batch.calls["submitjob"] == 1


def test_ten_thousand_is_the_largest_array_and_takes_few_calls(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble, aws: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    # On a busy machine the submission takes longer than these tests' jobs may stand still.
    aws.setattr(BatchDispatcher, "pace", replace(BatchDispatcher.pace, stuck_s=600.0))
    batch.slots = 0
    one = plan.tasks[0]
    many = [replace(one, key=f"constant/penguins/{seed}") for seed in range(10_001)]
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(many)
        assert [len(job.children) for job in batch.jobs.values()] == [10_000, 0]
        assert batch.calls.total() - sum(batch.setup.values()) <= 10


def test_throttled_and_expired_for_a_while_is_survived_and_for_long_is_a_sentence(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble, aws: pytest.MonkeyPatch
) -> None:
    answers = [(429, "TooManyRequestsException"), (400, "ExpiredTokenException"), (503, "X")] * 2
    batch.fault = lambda name, _: answers.pop() if answers else None
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        while answers or not batch.jobs:
            assert dispatcher.completed(timeout_s=0.2) == []
        assert (len(batch.jobs), answers) == (1, [])
        from dataclasses import replace

        dispatcher.detached = True
        aws.setattr(BatchDispatcher, "pace", replace(BatchDispatcher.pace, patience_s=1.0))
        batch.fault = lambda name, _: (400, "ExpiredTokenException")
        with pytest.raises(BenchmarkError, match=r"credentials have expired.*too long"):
            dispatcher.completed(timeout_s=300)


def test_a_denied_action_is_a_sentence_and_leaves_no_job(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.fault = lambda name, _: (403, "AccessDeniedException") if name == "submitjob" else None
    dispatcher = BatchDispatcher(plan.run, make_config())
    with pytest.raises(BenchmarkError, match="AWS denies batch:SubmitJob"):
        dispatcher.submit(plan.tasks)
    dispatcher.close()
    assert not batch.jobs


def test_a_queue_that_is_disabled_later_is_told(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        batch.client().update_job_queue(jobQueue="bench", state="DISABLED")
        with pytest.raises(BenchmarkError, match="queue bench is disabled"):
            dispatcher.completed(timeout_s=300)


def test_an_absent_image_ends_as_setup(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        (job,) = batch.jobs.values()
        batch.absent_images.add(job.definition["containerProperties"]["image"])
        batch.slots = 2
        found = told(dispatcher, 2)
    assert {record.cause for record in found} == {Cause.SETUP}
    assert all("CannotPullContainerError" in record.message for record in found)
    logs = plan.run.store.list(f"{plan.run.name}/logs/fail")
    assert len(logs) == 2
    assert b"never started" in (plan.run.store.get(logs[0]) or b"")
    assert {child.attempts for child in job.children} == {1}


def test_a_container_that_takes_too_much_memory_ends_as_memory(
    slow_plan: Callable[..., Plan], make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    plan = slow_plan(mb=1200)
    batch.container_memory_mb = 900
    with BatchDispatcher(plan.run, make_config(**own_paths(plan))) as dispatcher:
        dispatcher.submit(plan.tasks)
        (record,) = told(dispatcher)
    assert (record.cause, record.attempt) == (Cause.MEMORY, 1)
    assert "OutOfMemoryError" in record.message
    assert record_reader.without_result(plan.run) == []


def test_a_kill_before_the_task_began_is_no_result(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    batch.container_memory_mb = 1
    with BatchDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        (record,) = told(dispatcher)
    assert record.cause is Cause.INFRASTRUCTURE
    assert "Before the task began" in record.message
    (log,) = plan.run.store.list(f"{plan.run.name}/logs/fail")
    assert b"OutOfMemoryError" in (plan.run.store.get(log) or b"")


def test_the_time_limit_of_the_engine_ends_as_timeout(
    slow_plan: Callable[..., Plan], make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    plan = slow_plan()
    with BatchDispatcher(plan.run, make_config(**own_paths(plan))) as dispatcher:
        dispatcher.submit(plan.tasks)
        began(batch, plan)
        batch.time_scale = 0.0
        (record,) = told(dispatcher)
    assert record.cause is Cause.TIMEOUT


def test_a_job_that_the_user_ends_is_interrupted(
    slow_plan: Callable[..., Plan], make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    plan = slow_plan()
    with BatchDispatcher(plan.run, make_config(**own_paths(plan))) as dispatcher:
        dispatcher.submit(plan.tasks)
        job = began(batch, plan)
        batch.client().terminate_job(jobId=job.id, reason="too dear")
        (record,) = told(dispatcher)
    assert record.cause is Cause.INTERRUPTED
    assert len(record_reader.without_result(plan.run)) == 1


def test_a_lost_host_is_tried_again_by_aws_and_counts_once(
    slow_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    batch: BatchDouble,
    tmp_path: Path,
) -> None:
    plan = slow_plan(("cpu", "concrete"), until=str(tmp_path / "enough"))
    with BatchDispatcher(
        plan.run, make_config(max_attempts=2, hard_limit=600, **own_paths(plan))
    ) as dispatcher:
        dispatcher.submit(plan.tasks)
        job = began(batch, plan)
        batch.lose_host(job)
        (tmp_path / "enough").touch()
        assert {record.status for record in told(dispatcher, 2)} == {"success"}
    assert job.attempts == 2
    assert len(list(results.records(plan.run))) == 2
    (lost,) = results.earlier_ends(plan.run)
    assert (lost.cause, lost.attempt) == (Cause.INFRASTRUCTURE, 1)
    assert "Host EC2" in lost.message
    assert lost.total_s
    assert batch.calls["submitjob"] == 1


def test_the_word_of_a_job_that_ended_without_a_driver_is_kept(
    slow_plan: Callable[..., Plan], make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    plan = slow_plan(mb=1200)
    batch.container_memory_mb = 900
    config = make_config(**own_paths(plan))
    with BatchDispatcher(plan.run, config) as gone:
        gone.submit(plan.tasks)
        gone.detached = True
    (job,) = batch.jobs.values()
    end = time.monotonic() + PATIENCE_S
    while job.status != "FAILED" and time.monotonic() < end:
        time.sleep(0.05)
    with BatchDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert [record.cause for record in told(dispatcher)] == [Cause.MEMORY]
    assert len(batch.jobs) == 1
    assert plan.run.store.list("default/jobs") == []


def test_lost_tasks_are_made_again_by_the_driver(
    plan: Plan, make_config: Callable[..., Config], batch: BatchDouble
) -> None:
    """A second round submits anew: what the first one left has been accounted for."""
    batch.container_memory_mb = 1
    config = make_config(max_attempts=2, compute={"*": "batch"})
    summary = execute(plan.run, config, plan.tasks[:1])
    assert summary.causes == {"infrastructure": 1}
    assert results.attempt_index(plan.run).last == {plan.tasks[0].key: 2}
    assert batch.calls["submitjob"] == 2
