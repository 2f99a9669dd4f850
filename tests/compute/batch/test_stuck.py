"""Jobs of AWS Batch that stay RUNNABLE: the reason, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.compute import submissions
from benchmark.compute.aws.clients import Aws
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.batch.queue import stuck
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records import results
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.store import Store
from tests.support.batch_double import CONFIGURATION, BatchDouble
from tests.support.batch_job import Job

CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity"
RESOURCES = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - The job needs more than a machine has"
UNDETERMINED = "UNDETERMINED - Batch job is blocked, root cause is undetermined"
ACTION = "ACTION_REQUIRED - The service cannot provision the requested capacity"


@pytest.fixture
def plan(batch: BatchDouble, make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    batch.slots = 0
    return make_plan(folder_store, job_queue_id=None, ecr_repo=None)


@pytest.fixture
def config(make_config: Callable[..., Config]) -> Callable[..., Config]:
    return lambda **aws: make_config(**CONFIGURATION, aws=aws)


def stop_at(batch: BatchDouble, *reasons: str | None) -> list[Job]:
    """Give reasons to the first jobs that wait, as AWS does at the head of a queue."""
    jobs = [one for job in batch.jobs.values() for one in job.children or [job]]
    for job, reason in zip(jobs, reasons, strict=False):
        job.status_reason = reason
    return jobs


@pytest.mark.parametrize(
    ("reasons", "expected"),
    [
        ((None, None), None),
        ((None, CAPACITY), "CAPACITY"),
        ((UNDETERMINED, CAPACITY), "CAPACITY"),
        ((CAPACITY, ACTION), "ACTION_REQUIRED"),
        ((UNDETERMINED,), "UNDETERMINED"),
        ((CAPACITY, RESOURCES), "MISCONFIGURATION"),
    ],
)
@pytest.mark.parametrize("tasks", [1, 2])
def test_the_gravest_reason_of_any_job(
    plan: Plan,
    config: Callable[..., Config],
    batch: BatchDouble,
    reasons: tuple[Any, ...],
    expected: str | None,
    tasks: int,
) -> None:
    if tasks == 1 and len(reasons) > 1:
        reasons = reasons[1:]
    with BatchDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks[:tasks])
        stop_at(batch, *reasons)
        (job,) = batch.jobs
        which = ([job], []) if tasks == 1 else ([], [job])
        found = stuck(Aws(), "bench", *which)
    assert (found and found.reason) == expected
    if found:
        assert found.is_for_good == (expected == "MISCONFIGURATION")
        assert "jobs in bench: " in found.sentence


@pytest.mark.parametrize("child", [0, 1500])
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (CAPACITY, "CAPACITY"),
        (RESOURCES, "MISCONFIGURATION"),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - maxvCpus", "MISCONFIGURATION"),
        ("MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS - a role", "MISCONFIGURATION"),
        (UNDETERMINED, "UNDETERMINED"),
        (ACTION, "ACTION_REQUIRED"),
    ],
)
def test_any_child_of_an_array_is_stuck_for_any_documented_reason(
    words: str, reason: str, child: int
) -> None:
    """Only the children that wait are listed, all of them; the parent has no reason."""
    queue = {"jobQueueName": "bench", "computeEnvironmentOrder": []}
    waiting = [{"jobId": f"a:{n}", "status": "RUNNABLE"} for n in range(1501)]
    waiting[child]["statusReason"] = words

    def call(service: str, operation: str, **asked: Any) -> dict[str, Any]:
        return {"jobQueues": [queue], "jobs": []}

    def items(service: str, operation: str, key: str, **asked: Any) -> list[dict[str, str]]:
        assert (operation, asked["arrayJobId"], asked["jobStatus"]) == (
            "list_jobs",
            "a",
            "RUNNABLE",
        )
        return waiting

    found = stuck(cast("Aws", SimpleNamespace(call=call, items=items)), "bench", [], ["a"])
    assert found
    assert (found.reason, words in found.sentence) == (reason, True)


def test_a_wait_for_capacity_is_in_the_status_until_it_is_over(
    plan: Plan, config: Callable[..., Config], batch: BatchDouble, caplog: pytest.LogCaptureFixture
) -> None:
    with BatchDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        stop_at(batch, None, CAPACITY)
        while not status(plan.run).waits:
            dispatcher.completed(timeout_s=0.2)
        dispatcher.completed(timeout_s=1)
        (sentence,) = status(plan.run).waits
        assert sentence.startswith("AWS Batch does not start the jobs in bench: CAPACITY:INSUFF")
        assert caplog.text.count("The run waits.") == 1
    assert status(plan.run).waits == ()


@pytest.mark.parametrize(
    ("options", "reason"), [({}, RESOURCES), ({"stuck": "stop"}, UNDETERMINED)]
)
def test_what_never_starts_ends_the_run_and_other_reasons_if_configured(
    plan: Plan,
    config: Callable[..., Config],
    batch: BatchDouble,
    options: dict[str, str],
    reason: str,
) -> None:
    with BatchDispatcher(plan.run, config(**options)) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        stop_at(batch, reason)
        with pytest.raises(BenchmarkError, match=reason.partition(" ")[0]):
            dispatcher.completed(timeout_s=300)


def test_children_that_a_user_ends_before_they_start_are_sent_again_without_an_attempt(
    plan: Plan, config: Callable[..., Config], batch: BatchDouble
) -> None:
    with BatchDispatcher(plan.run, config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        while not batch.jobs:
            dispatcher.completed(timeout_s=0.1)
        for number in range(1, 3):
            assert len(batch.jobs) == number
            job = list(batch.jobs.values())[-1]
            batch.client().terminate_job(jobId=job.id, reason="not now")
            while len(batch.jobs) == number:
                assert dispatcher.completed(timeout_s=0.1) == []
        assert [len(job.children) for job in batch.jobs.values()] == [2, 2, 2]
        assert results.attempt_index(plan.run).last == {}
    assert submissions.load(plan.run) == []


@pytest.mark.slow
def test_jobs_that_wait_for_capacity_move_to_the_queue_on_demand(
    plan: Plan, config: Callable[..., Config], batch: BatchDouble
) -> None:
    other = config(on_demand_queue="dearer")
    with pytest.raises(ConfigError, match="'on_demand_queue' is dearer"):
        BatchDispatcher.check(other.model_copy(update={"s3_bucket_root": "bench"}))
    arn = batch.make_queue("dearer")
    with BatchDispatcher(plan.run, other) as dispatcher:
        dispatcher.submit(plan.tasks)
        stop_at(batch, CAPACITY)
        while len(dispatcher._live) != 1 or len(batch.jobs) != 2:
            dispatcher.completed(timeout_s=0.2)
        first, second = batch.jobs.values()
        assert first.state == "FAILED"
        assert first.terminated
        assert (second.queue, len(second.children)) == (arn, 2)
        assert [one.job for one in dispatcher._live.values()] == [second.id]
        stop_at(batch, None, None, CAPACITY)
        dispatcher.completed(timeout_s=2)
        assert len(batch.jobs) == 2
