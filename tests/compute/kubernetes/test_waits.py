"""What Kubernetes does not start or refuses for now, and pods that are lost again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher
from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from tests.support.kubernetes_double import KubernetesDouble
from tests.support.kubernetes_driving import leave_record, started, told, until


def test_jobs_are_looked_at_while_a_quota_refuses_more(
    plan: Plan,
    config: Config,
    kubernetes_api: KubernetesDouble,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The only Job that the quota allows ends with a task that left no record."""
    kubernetes_api.job_quota = 1
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        until(lambda: len(kubernetes_api.all_pods()) == 1, dispatcher)
        dispatcher.submit(plan.tasks[1:])
        until(lambda: kubernetes_api.calls["create", "jobs"] > 1, dispatcher)
        assert "no more Jobs may be created" in status(plan.run).waits[0]
        results.begin(plan.run, plan.tasks[0])
        kubernetes_api.pod(0).end(137)
        (record,) = told(dispatcher, 1)
        assert (record.task, record.cause) == (plan.tasks[0].key, Cause.INFRASTRUCTURE)
        until(
            lambda: len(kubernetes_api.deleted) == 1 and len(kubernetes_api.jobs) == 1, dispatcher
        )
        assert status(plan.run).waits == ()
    assert caplog.text.count("exceeded quota") == 1


def test_a_quota_is_waited_for_longer_than_a_fault(
    plan: Plan,
    config: Config,
    kubernetes_api: KubernetesDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pace = replace(KubernetesDispatcher.pace, patience_s=0.0)
    monkeypatch.setattr(KubernetesDispatcher, "pace", pace)
    kubernetes_api.job_quota = 0
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        until(lambda: kubernetes_api.calls["create", "jobs"] > 3, dispatcher)
        kubernetes_api.job_quota = 1
        until(lambda: len(kubernetes_api.all_pods()) == 2, dispatcher)


def test_an_image_that_is_gone_while_tasks_run_is_reported(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    with started(plan, config, kubernetes_api) as dispatcher:
        leave_record(plan, 0)
        kubernetes_api.pod(0).end(0)
        kubernetes_api.pod(1).container(waiting={"reason": "ImagePullBackOff", "message": "gone"})
        until(lambda: bool(status(plan.run).waits), dispatcher)
        (sentence,) = status(plan.run).waits
    assert sentence == (
        "1 task waits in the queue of Kubernetes: a container cannot start "
        "(ImagePullBackOff: gone)."
    )


def test_a_job_that_a_queue_of_the_cluster_suspends_says_why(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    condition = {
        "type": "Suspended",
        "status": "True",
        "reason": "JobSuspended",
        "message": "Kueue",
    }
    kubernetes_api.suspended = condition
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        until(lambda: bool(status(plan.run).waits), dispatcher)
        (sentence,) = status(plan.run).waits
    assert sentence == (
        "2 tasks wait in the queue of Kubernetes: the Job is suspended (JobSuspended Kueue)."
    )


@pytest.mark.parametrize("reason", ["TerminationByKubelet", "PreemptionByScheduler"])
def test_a_task_is_started_max_attempts_times_and_no_more(
    plan: Plan,
    make_config: Callable[..., Config],
    kubernetes: KubernetesDouble,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
) -> None:
    """Each pod is lost before its task begins, with its node or alone."""

    def lose_all() -> None:
        for pod in kubernetes.all_pods():
            if pod.phase == "Pending":
                kubernetes.lose_node(pod, reason)

    monkeypatch.setattr(kubernetes, "_schedule", lose_all)
    config = make_config(max_attempts=3, compute={"*": "kubernetes"})
    summary = execute(plan.run, config, plan.tasks)
    assert Counter(pod.index for pod in kubernetes.started) == {0: 3, 1: 3}
    assert {(one.cause, one.attempt) for one in summary.records.values()} == {
        (Cause.INTERRUPTED, 3)
    }


def test_a_pod_that_was_refused_by_its_node_is_no_attempt(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    """Its container was never started, so its task gets another pod, twice."""
    refusal = {"phase": "Failed", "reason": "OutOfcpu", "message": "Pod was rejected"}
    with started(plan, config, kubernetes_api) as dispatcher:
        leave_record(plan, 0)
        kubernetes_api.pod(0).end(0)
        for number in range(1, 4):
            assert len(kubernetes_api.started) == 1 + number
            assert number == 1 or len(kubernetes_api.jobs) == 1
            kubernetes_api.started[-1].object["status"] = dict(refusal)
            if number < 3:
                found = until(lambda n=number: len(kubernetes_api.started) > n + 1, dispatcher)
                assert {one.status for one in found} <= {"success"}
        (record,) = [one for one in told(dispatcher, 1) if one.status != "success"]
    assert (record.cause, record.attempt) == (Cause.INFRASTRUCTURE, 1)
    assert "OutOfcpu: Pod was rejected" in record.message
