"""Why pods ended that left no record, by what Kubernetes keeps of them."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.plan import Plan
from tests.support.kubernetes_double import KubernetesDouble
from tests.support.kubernetes_driving import leave_record, started, told, until
from tests.support.kubernetes_nodes import Pod


def oom(pod: Pod) -> None:
    pod.end(137, "OOMKilled")


def late(pod: Pod) -> None:
    pod.end(137)
    pod.object["status"]["reason"] = "DeadlineExceeded"


def evicted(pod: Pod) -> None:
    pod.object["status"] |= {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}
    pod.condition("DisruptionTarget", "True", "TerminationByKubelet", "low on memory")


def drained(pod: Pod) -> None:
    pod.end(143)
    pod.condition("DisruptionTarget", "True", "EvictionByEvictionAPI", "drained")


def lost(pod: Pod) -> None:
    pod.end(137)
    pod.condition("DisruptionTarget", "True", "DeletionByTaintManager", "no answer")


def shut_down(pod: Pod) -> None:
    pod.end(137)
    pod.object["status"]["reason"] = "Terminated"
    pod.condition("DisruptionTarget", "True", "TerminationByKubelet", "imminent node shutdown")


def displaced(pod: Pod) -> None:
    pod.end(137)
    pod.object["status"]["reason"] = "Preempting"


def preempted(pod: Pod) -> None:
    """The scheduler deletes it, so it is gone once the Job has counted it."""
    pod.end(143)
    pod.condition("DisruptionTarget", "True", "PreemptionByScheduler", "for another pod")
    pod.is_gone = True


def harness(pod: Pod) -> None:
    pod.end(2, message="There is no list of tasks")


@pytest.mark.parametrize(
    ("end", "begun", "cause", "words"),
    [
        (oom, True, Cause.MEMORY, "killed for its memory"),
        (oom, False, Cause.INFRASTRUCTURE, "Before the task began"),
        (late, True, Cause.TIMEOUT, "time limit"),
        (evicted, True, Cause.INFRASTRUCTURE, "evicted the pod.*low on memory"),
        (drained, True, Cause.INTERRUPTED, "drained"),
        (shut_down, True, Cause.INTERRUPTED, "node shut down.*imminent node shutdown"),
        (displaced, True, Cause.INTERRUPTED, "critical one"),
        (preempted, True, Cause.INTERRUPTED, "preempted, drained, or deleted"),
        (preempted, False, Cause.INTERRUPTED, "preempted, drained, or deleted"),
        (lost, True, Cause.INFRASTRUCTURE, "node was lost"),
        (harness, False, Cause.INFRASTRUCTURE, "exit code 2.*no list of tasks"),
        (lambda pod: pod.end(137), True, Cause.INFRASTRUCTURE, "killed from outside"),
        (lambda pod: pod.end(128, "StartError"), False, Cause.SETUP, "could not start"),
        (lambda pod: pod.end(0), True, Cause.INFRASTRUCTURE, "without a record"),
    ],
)
def test_a_pod_that_left_no_record_is_accounted_by_its_state(
    plan: Plan,
    config: Config,
    kubernetes_api: KubernetesDouble,
    end: Callable[[Pod], None],
    begun: bool,
    cause: Cause,
    words: str,
) -> None:
    with started(plan, config, kubernetes_api) as dispatcher:
        leave_record(plan, 0)
        if begun:
            results.begin(plan.run, plan.tasks[1])
        with kubernetes_api._lock:
            kubernetes_api.pod(0).end(0)
            end(kubernetes_api.pod(1))
        records = {record.task: record for record in told(dispatcher, 2)}
    assert records[plan.tasks[0].key].status == "success"
    record = records[plan.tasks[1].key]
    assert record.cause is cause
    assert re.search(words, record.message)
    assert kubernetes_api.jobs == {}


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("PreemptionByScheduler", Cause.INTERRUPTED),
        ("EvictionByEvictionAPI", Cause.INTERRUPTED),
        ("DeletionByTaintManager", Cause.INFRASTRUCTURE),
        ("DeletionByPodGC", Cause.INFRASTRUCTURE),
    ],
)
def test_why_a_pod_was_deleted_is_known_where_it_was_seen_to_end(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble, reason: str, cause: Cause
) -> None:
    with started(plan, config, kubernetes_api) as dispatcher:
        with kubernetes_api._lock:
            pod = kubernetes_api.pod(1)
            pod.object["status"]["phase"] = "Running"
            pod.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            pod.condition("DisruptionTarget", "True", reason, "why it is")
            asked = kubernetes_api.calls["list", "pods"]
        until(lambda: kubernetes_api.calls["list", "pods"] > asked + 1, dispatcher)
        with kubernetes_api._lock:
            pod.end(143)
            pod.is_gone = True
        (record,) = told(dispatcher, 1)
    assert (record.cause, record.attempt) == (cause, 1)
    assert f"({reason}: why it is)" in record.message
