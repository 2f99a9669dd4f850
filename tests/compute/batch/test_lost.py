"""What was lost with a machine is ended by AWS's word, and its time is paid for."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmark.compute import submissions
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.batch import jobs
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.cluster import ClusterError, Elements
from benchmark.compute.driving import Attempts
from benchmark.compute.faults import PassingError
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.store import Store
from tests.support.batch_double import CONFIGURATION, BatchDouble
from tests.support.batch_job import Job

HOST = {"instance_type": "c5.large", "vcpus": 2, "memory_mb": 4096, "price_per_hour": 0.36}
TOOK_S = 100


def told(begun: str, reason: str, took_s: float = TOOK_S) -> dict[str, Any]:
    """An attempt as describe_jobs gives it; its container starts a second before the task."""
    start = datetime.fromisoformat(begun).astimezone(UTC) - timedelta(seconds=1)
    at = int(start.timestamp() * 1000)
    stop = at + int(took_s * 1000)
    return {"startedAt": at, "stoppedAt": stop, "statusReason": reason, "container": {}}


def aws(jobs: list[dict[str, Any]]) -> Aws:
    """An AWS that knows these jobs."""

    def call(service: str, operation: str, **asked: Any) -> dict[str, Any]:
        assert (service, operation) == ("batch", "describe_jobs")
        return {"jobs": [job for job in jobs if job["jobId"] in asked["jobs"]]}

    return cast("Aws", SimpleNamespace(call=call))


def test_a_lost_attempt_gets_its_cause_its_end_and_its_cost(
    make_plan: Callable[..., Plan], folder_store: Store
) -> None:
    plan = make_plan(folder_store)
    run, (task, other) = plan.run, plan.tasks
    given = submissions.begin(run, "batch", "x", {task.key: 0, other.key: 0})
    object.__setattr__(given, "job", "a-job")
    first = results.begin(run, task, HOST)
    second = results.begin(run, task, HOST)
    success = Record(task=task.key, status="success", labels=task.labels, cost=1.0)
    results.settle(run, second, success)
    results.settle(run, results.begin(run, other), Record(task=other.key, status="success"))
    retried = jobs.tried_again([given], results.attempt_index(run).last)
    assert retried == {task.key: "a-job:0"}
    reason = "Host EC2 (instance i-0f) terminated."
    ends = [told(first.begun, reason), told(second.begun, "Essential container exited", 5)]
    ends[1]["startedAt"] = ends[0]["startedAt"] + 200_000
    jobs.end_lost(aws([{"jobId": "a-job:0", "attempts": ends}]), run, retried)
    (ended,) = results.earlier_ends(run)
    assert (ended.attempt, ended.cause, ended.total_s) == (1, Cause.INFRASTRUCTURE, TOOK_S)
    assert reason.rstrip(".") in ended.message
    assert ended.cost == pytest.approx(0.36 * 0.5 * TOOK_S / 3600)
    assert status(run).spent == pytest.approx(1.0 + 0.36 * 0.5 * TOOK_S / 3600)
    assert status(run).success == 2


def test_what_aws_does_not_know_any_more_is_ended_without_a_cost(
    make_plan: Callable[..., Plan], folder_store: Store
) -> None:
    plan = make_plan(folder_store)
    run, (task, _) = plan.run, plan.tasks
    results.begin(run, task, HOST)
    results.settle(run, results.begin(run, task), Record(task=task.key, status="success"))
    jobs.end_lost(aws([]), run, {task.key: "gone"})
    (ended,) = results.earlier_ends(run)
    assert (ended.cause, ended.cost, ended.message) == (
        Cause.INFRASTRUCTURE,
        None,
        results.NO_TRACE,
    )
    assert results.unended(run, task.key) == []


def test_a_job_that_is_not_found_is_not_sent_for_tasks_that_have_ended(
    make_plan: Callable[..., Plan],
    folder_store: Store,
    make_config: Callable[..., Config],
    batch: BatchDouble,
) -> None:
    plan = make_plan(folder_store, job_queue_id=None, ecr_repo=None)
    batch.fault = lambda name, _: (503, "X") if name == "submitjob" else None
    BatchDispatcher(plan.run, make_config(**CONFIGURATION)).submit(plan.tasks)
    with BatchDispatcher(plan.run, make_config(**CONFIGURATION)) as dispatcher:
        dispatcher.submit(plan.tasks)
        assert dispatcher._unsure
        for task in plan.tasks:
            record = Record(task=task.key, status="success", labels=task.labels)
            results.settle(plan.run, results.begin(plan.run, task), record)
        while dispatcher._tasks:
            dispatcher.completed(timeout_s=0.2)
        batch.fault = lambda name, number: None
        while dispatcher._unsure:
            dispatcher._ask_engine()
    assert not batch.jobs
    assert plan.run.store.list("default/jobs") == []


@pytest.mark.parametrize("begins", [False, True])
def test_each_start_by_aws_is_an_attempt(
    make_plan: Callable[..., Plan],
    folder_store: Store,
    make_config: Callable[..., Config],
    batch: BatchDouble,
    monkeypatch: pytest.MonkeyPatch,
    begins: bool,
) -> None:
    """Each host is lost before the task begins, or after it at the first start."""
    plan = make_plan(folder_store, job_queue_id=None, ecr_repo=None)
    starts: list[str] = []

    def start(job: Job) -> None:
        job.attempts += 1
        job.started = time.monotonic()
        (batch.folder / job.stream).touch()
        if begins and not starts:
            results.begin(plan.run, plan.tasks[0])
        starts.append(job.id)
        batch._attempt_ended(job, "Host EC2 (instance i-0f00ba4) terminated.")

    monkeypatch.setattr(batch, "_start", start)
    config = make_config(**CONFIGURATION, max_attempts=3)
    with BatchDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        found: list[Record] = []
        while not found:
            found = dispatcher.completed(timeout_s=0.2)
    (record,) = found
    assert (len(starts), record.cause, record.attempt) == (3, Cause.INFRASTRUCTURE, 3)
    assert results.unended(plan.run, plan.tasks[0].key) == []
    # The driver makes none in addition.
    assert Attempts(plan.run, 3, {}).final(record) == record
    assert Attempts(plan.run, 3, {record.task: 1}).final(record) is None
    assert plan.run.store.list("default/jobs") == []


def test_children_that_failed_are_accounted_for_though_aws_was_out_of_reach_then(
    make_plan: Callable[..., Plan],
    folder_store: Store,
    make_config: Callable[..., Config],
    batch: BatchDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of two children is lost and the other one goes on; the first question of it fails."""
    plan = make_plan(folder_store, job_queue_id=None, ecr_repo=None)
    batch.slots = 0
    faults = [PassingError("not now")]

    past = jobs.Batch.past

    def asked(cluster: jobs.Batch, ended: Mapping[str, Collection[int]]) -> Elements:
        if faults:
            raise faults.pop()
        return past(cluster, ended)

    monkeypatch.setattr(jobs.Batch, "past", asked)
    with BatchDispatcher(plan.run, make_config(**CONFIGURATION)) as dispatcher:
        dispatcher.submit(plan.tasks)
        while not batch.jobs:
            dispatcher.completed(timeout_s=0.1)
        (job,) = batch.jobs.values()
        lost = job.children[0]
        lost.ended.append({})
        lost.status, lost.status_reason = "FAILED", "Host EC2 (i-0) terminated."
        found: list[Record] = []
        end = time.monotonic() + 60
        while not found and time.monotonic() < end:
            found = dispatcher.completed(timeout_s=0.2)
    assert [record.task for record in found] == [plan.tasks[0].key]
    assert faults == []


def test_an_array_that_has_ended_is_described_child_by_child(
    make_plan: Callable[..., Plan], folder_store: Store
) -> None:
    """Children that are waited for and whose ends are not in the list are asked for twice."""
    plan = make_plan(folder_store)
    keys = {task.key: 0 for task in plan.tasks} | {"third": 0}
    one = submissions.begin(plan.run, "batch", "x", keys)
    object.__setattr__(one, "job", "a")
    reason = "Host EC2 (instance i-0f) terminated."
    end = told("2026-01-01T00:00:00+00:00", reason) | {"status": "FAILED"}
    counts = {"statusSummary": {"FAILED": 1, "RUNNING": 2}}
    parent = {"jobId": "a", "status": "PENDING", "arrayProperties": counts}
    children = [{"jobId": "a:0"} | end, {"jobId": "a:1", "status": "SUCCEEDED"}]
    listed: list[str] = []

    def items(service: str, operation: str, key: str, **asked: Any) -> list[dict[str, Any]]:
        listed.append(asked["jobStatus"])
        return [child for child in children if child["status"] == asked["jobStatus"]]

    cluster = jobs.Batch(plan.run, "bench")
    double = aws([parent, children[0] | {"attempts": [{}, {}]}])
    cluster.__dict__["aws"] = SimpleNamespace(call=double.call, items=items)
    found = cluster.present([one])["a"]
    assert [(found[n].is_over, found[n].waits) for n in range(3)] == [
        (True, False),
        (False, False),
        (False, False),
    ]
    assert cluster.present([one])["a"] == found
    assert listed == ["FAILED"]  # Listed again only when more have failed.
    (lost,) = cluster.past({"a": {0, 2}})["a"].values()
    assert (lost.starts, lost.took_s) == (2, TOOK_S)
    assert cluster.cause_of(lost, Path())[0] is Cause.INFRASTRUCTURE
    parent["status"] = "FAILED"
    assert [one.is_over for one in cluster.present([one])["a"].values()] == [True, True, False]
    assert [one.is_over for one in cluster.present([one])["a"].values()] == [True] * 3
    assert cluster.present([replace(one, job="unknown")]) == {}


def test_a_job_that_aws_refuses_to_end_does_not_keep_the_others(
    make_plan: Callable[..., Plan], folder_store: Store
) -> None:
    """One that AWS has forgotten needs no end."""
    asked: list[str] = []

    def call(service: str, operation: str, **words: Any) -> dict[str, Any]:
        if operation == "describe_jobs":
            return {"jobs": [{"jobId": job} for job in words["jobs"] if job != "forgotten"]}
        asked.append(words["jobId"])
        if words["jobId"] != "good":
            raise RefusedError("AWS refuses batch:TerminateJob.", "ClientException")
        return {}

    cluster = jobs.Batch(make_plan(folder_store).run, "bench")
    cluster.__dict__["aws"] = SimpleNamespace(call=call)
    cluster.cancel(["forgotten", "good"])
    with pytest.raises(ClusterError, match=r"^bad: AWS refuses batch:TerminateJob\.$"):
        cluster.cancel(["bad", "good"])
    assert asked == ["forgotten", "good", "bad", "good"]


def test_what_was_lost_before_the_command_goes_to_the_queue_of_its_configuration(
    make_plan: Callable[..., Plan],
    folder_store: Store,
    make_config: Callable[..., Config],
    batch: BatchDouble,
) -> None:
    """The queue of the earlier command may be disabled, or dearer."""
    plan = make_plan(folder_store, job_queue_id=None, ecr_repo=None)
    batch.slots = 0
    with BatchDispatcher(plan.run, make_config(**CONFIGURATION)) as first:
        first.submit(plan.tasks)
        first.detached = True
    (job,) = batch.jobs.values()
    for child in job.children:
        child.ended.append({})
        child.status, child.status_reason = "FAILED", "Host EC2 (i-0) terminated."
    arn = batch.make_queue("other")
    changed = make_config(**(CONFIGURATION | {"job_queue_id": "other"}))
    with BatchDispatcher(plan.run, changed) as second:
        second.submit(plan.tasks)
        end = time.monotonic() + 60
        while len(batch.jobs) < 2 and time.monotonic() < end:
            assert second.completed(timeout_s=0.2) == []
        assert [(one.queue, len(one.children)) for one in batch.jobs.values()][1:] == [(arn, 2)]
