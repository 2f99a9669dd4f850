"""The method kubernetes over a strict double of its API server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from benchmark.compute import submissions
from benchmark.compute.images import image_tag
from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher
from benchmark.compute.waiting import waits_path
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.compute.kubernetes.test_causes import lost, oom
from tests.support.kubernetes_double import CONFIGURATION, KubernetesDouble
from tests.support.kubernetes_driving import leave_record, started, told, until
from tests.support.kubernetes_nodes import Pod


def test_a_job_with_what_the_tasks_ask_for(
    plan: Plan, make_config: Callable[..., Config], kubernetes_api: KubernetesDouble
) -> None:
    options = CONFIGURATION["kubernetes"] | {
        "service_account": "bench",
        "secret": "bucket",
        "pull_secret": "registry",
        "claim": "results",
        "node_selector": {"pool": "cpu"},
        "tolerations": [{"key": "batch", "operator": "Exists", "effect": "NoSchedule"}],
        "priority_class": "low",
        "ttl_s": 60,
    }
    config = make_config(kubernetes=options, job_name="Mine_", parallel=1, max_attempts=3)
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        until(lambda: bool(kubernetes_api.jobs), dispatcher)
        ((name, job),) = kubernetes_api.jobs.items()
        spec = job["spec"]
        pod = spec["template"]["spec"]
        container = pod["containers"][0]
        assert name.startswith("mine-default-")
        assert (spec["completions"], spec["parallelism"], spec["backoffLimitPerIndex"]) == (2, 1, 0)
        assert spec["ttlSecondsAfterFinished"] == 60
        assert pod["activeDeadlineSeconds"] == 60 + 600
        assert container["resources"]["limits"] == {"cpu": "1", "memory": "2524Mi"}
        assert container["args"][:3] == [plan.run.store.url, "default", "--job"]
        assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
        assert pod["serviceAccountName"] == "bench"
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert {m["mountPath"] for m in container["volumeMounts"]} >= {plan.run.store.url}
    assert kubernetes_api.jobs == {}
    assert submissions.load(plan.run, "Kubernetes") == []


def test_a_job_starts_each_pod_once_and_only_infrastructure_is_tried_again(
    plan: Plan, make_config: Callable[..., Config], kubernetes_api: KubernetesDouble
) -> None:
    with started(plan, make_config(max_attempts=2), kubernetes_api) as dispatcher:
        results.begin(plan.run, plan.tasks[1])
        with kubernetes_api._lock:
            lost(kubernetes_api.pod(0))
            oom(kubernetes_api.pod(1))
        records = {record.task: record for record in told(dispatcher, 2)}
        assert Counter(pod.index for pod in kubernetes_api.started) == {0: 1, 1: 1}
    causes = [records[task.key].cause for task in plan.tasks]
    assert [cause.is_retried for cause in causes if cause] == [True, False]


def test_an_image_that_is_not_to_be_had_is_a_setup_fault(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    with started(plan, config, kubernetes_api) as dispatcher:
        for pod in kubernetes_api.all_pods():
            pod.container(waiting={"reason": "ImagePullBackOff", "message": "not found"})
        records = told(dispatcher, 2)
    assert {record.cause for record in records} == {Cause.SETUP}
    assert "ImagePullBackOff: not found" in records[0].message
    assert "Log:" not in records[0].message  # A pod writes none to the store.
    assert kubernetes_api.jobs == {}


def test_a_node_that_does_not_answer_loses_its_pod(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    with started(plan, config, kubernetes_api) as dispatcher:
        with kubernetes_api._lock:
            pod = kubernetes_api.pod(1)
            pod.object["status"]["phase"] = "Running"
            pod.object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        (record,) = told(dispatcher, 1)
    assert record.cause is Cause.INFRASTRUCTURE
    assert "does not answer" in record.message


def test_quota_and_lack_of_room_are_reported_once(
    plan: Plan,
    config: Config,
    kubernetes_api: KubernetesDouble,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kubernetes_api.quota = 1
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        until(lambda: "exceeded quota" in caplog.text, dispatcher)
        message = "0/3 nodes are available: 3 Insufficient cpu."
        kubernetes_api.pod(0).condition("PodScheduled", "False", "Unschedulable", message)
        until(lambda: "Insufficient cpu" in caplog.text, dispatcher)
        asked = kubernetes_api.calls["list", "jobs"]
        until(lambda: kubernetes_api.calls["list", "jobs"] > asked + 3, dispatcher)
        waits = json.loads(plan.run.store.get(waits_path(plan.run)) or b"[]")
    assert waits == [
        "1 task waits in the queue of Kubernetes: no more pods may be created (exceeded quota: "
        "lab, requested: pods=1, used: pods=1).",
        "1 task waits in the queue of Kubernetes: no node has room (0/3 nodes are available: "
        "3 Insufficient cpu).",
    ]
    assert plan.run.store.get(waits_path(plan.run)) is None
    assert [caplog.text.count(words) for words in ("exceeded quota", "Insufficient")] == [1, 1]


def test_a_quota_of_jobs_is_waited_for(
    plan: Plan,
    config: Config,
    kubernetes_api: KubernetesDouble,
    caplog: pytest.LogCaptureFixture,
) -> None:
    kubernetes_api.job_quota = 0
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        until(lambda: kubernetes_api.calls["create", "jobs"] > 2, dispatcher)
        kubernetes_api.job_quota = 1
        until(lambda: len(kubernetes_api.all_pods()) == 2, dispatcher)
        assert len(kubernetes_api.jobs) == 1
    assert caplog.text.count("exceeded quota") == 1


def test_a_driver_that_was_killed_finds_its_job(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    first = started(plan, config, kubernetes_api)
    first.detached = True
    first.close()
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        for number in range(2):
            leave_record(plan, number)
            kubernetes_api.pod(number).end(0)
        assert len(told(dispatcher, 2)) == 2
    assert kubernetes_api.calls["create", "jobs"] == 1
    assert kubernetes_api.jobs == {}


def test_a_driver_killed_before_it_knew_finds_its_job_by_name(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    first = started(plan, config, kubernetes_api)
    first.detached = True
    first.close()
    (one,) = submissions.load(plan.run, "Kubernetes")
    submissions.save(plan.run, replace(one, job=None))
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        until(lambda: kubernetes_api.calls["get", "jobs"] > 0, dispatcher)
    assert kubernetes_api.calls["create", "jobs"] == 1
    assert kubernetes_api.jobs == {}


def test_a_job_that_is_gone_is_no_success(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    with started(plan, config, kubernetes_api) as dispatcher:
        with kubernetes_api._lock:
            kubernetes_api._remove(next(iter(kubernetes_api.jobs)))
        records = told(dispatcher, 2)
    assert {record.cause for record in records} == {Cause.INFRASTRUCTURE}
    assert "does not know the job" in records[0].message


@pytest.mark.parametrize("fault", [429, 500, "lost", "cut"])
def test_faults_of_the_api_are_borne_and_no_job_is_created_twice(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble, fault: int | str
) -> None:
    kubernetes_api.fault = lambda verb, kind, number: fault if number % 2 == 0 else None
    with started(plan, config, kubernetes_api) as dispatcher:
        for number in range(2):
            leave_record(plan, number)
            kubernetes_api.pod(number).end(0)
        assert len(told(dispatcher, 2)) == 2
    kubernetes_api.fault = lambda *_: None
    assert len(kubernetes_api.deleted) + len(kubernetes_api.jobs) == 1


def test_pages_that_expire_are_read_again(
    plan: Plan, config: Config, kubernetes_api: KubernetesDouble
) -> None:
    kubernetes_api.page = 1
    with started(plan, config, kubernetes_api) as dispatcher:
        expired = iter([410])
        kubernetes_api.fault = lambda verb, kind, number: (
            next(expired, None) if (verb, kind) == ("list", "pods") else None
        )
        with kubernetes_api._lock:
            for number in range(2):
                results.begin(plan.run, plan.tasks[number])
                oom(kubernetes_api.pod(number))
        records = told(dispatcher, 2)
    assert [record.cause for record in records] == [Cause.MEMORY] * 2


def test_what_the_cluster_refuses_is_refused_before_anything_is_written(
    make_config: Callable[..., Config],
    kubernetes_api: KubernetesDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = {"s3_bucket_root": "bench", "frameworks": ["constant"]}
    KubernetesDispatcher.check(make_config(**bucket))
    assert (kubernetes_api.jobs, kubernetes_api.calls["create", "jobs"]) == ({}, 1)
    # Rights that only the run needs are seen, too.
    assert kubernetes_api.calls["list", "pods"] == 1
    # A quota that jobs fill now, such as those of a driver that was killed, has room later.
    kubernetes_api.job_quota = 0
    KubernetesDispatcher.check(make_config(**bucket))
    kubernetes_api.fault = lambda verb, kind, _: 403 if (verb, kind) == ("list", "events") else None
    with pytest.raises(ConfigError, match="injected 403"):
        KubernetesDispatcher.check(make_config(**bucket))
    kubernetes_api.fault = lambda *_: None
    kubernetes_api.too_large = "2524Mi"
    with pytest.raises(ConfigError, match="maximum memory usage per Container is 1Gi"):
        KubernetesDispatcher.check(make_config(**bucket))
    other = CONFIGURATION["kubernetes"] | {"namespace": "other"}
    with pytest.raises(ConfigError, match=r"forbidden.*other"):
        KubernetesDispatcher.check(make_config(**bucket, kubernetes=other))
    with pytest.raises(ConfigError, match="no pod sees; name a bucket"):
        KubernetesDispatcher.check(make_config())
    with pytest.raises(ConfigError, match="'image' in 'kubernetes' is unset"):
        KubernetesDispatcher.check(make_config(**bucket, kubernetes={}))
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    with pytest.raises(ConfigError, match=r"cannot be reached.*KUBECONFIG"):
        KubernetesDispatcher.check(make_config(**bucket))


def test_each_framework_runs_in_its_own_image(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    kubernetes_api: KubernetesDouble,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def tag(config: Config, name: str) -> str:
        asked.append(name)  # It reads the registry, and hashes the program.
        return image_tag(config, name)

    monkeypatch.setattr("benchmark.compute.kubernetes.kubernetes.image_tag", tag)
    options = {"image": "registry.example:5000/bench", "namespace": "lab"}
    frameworks = {"frameworks": ["constant", "flaml"]}
    config = make_config(kubernetes=options, **frameworks)
    plan = make_plan(folder_store, **frameworks)
    with KubernetesDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(sorted(plan.tasks, key=lambda task: str(task.labels["dataset"])))
        until(lambda: len(kubernetes_api.jobs) == 2, dispatcher)
        jobs = list(kubernetes_api.jobs.values())
    images = {job["spec"]["template"]["spec"]["containers"][0]["image"] for job in jobs}
    assert len(images) == 2
    assert all(image.startswith("registry.example:5000/bench:") for image in images)
    assert [job["spec"]["completions"] for job in jobs] == [2, 2]
    assert len(asked) == 2


def test_a_repository_of_frameworks_has_no_image_for_trials(
    make_config: Callable[..., Config], plan: Plan, kubernetes_api: KubernetesDouble
) -> None:
    config = make_config(kubernetes={"image": "example/bench", "namespace": "lab"})
    for task in plan.tasks:
        task.labels.pop("framework")
    with (
        pytest.raises(BenchmarkError, match="none for trials"),
        KubernetesDispatcher(plan.run, config) as dispatcher,
    ):
        dispatcher.submit(plan.tasks)
        dispatcher.completed(timeout_s=1)


@pytest.mark.parametrize(
    ("seeds", "losses"), [(4, 3), pytest.param(150, 40, marks=pytest.mark.soak)]
)
@pytest.mark.integration
def test_many_tasks_with_lost_nodes_all_end_and_leave_nothing(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    kubernetes: KubernetesDouble,
    monkeypatch: pytest.MonkeyPatch,
    seeds: int,
    losses: int,
) -> None:
    changes: dict[str, Any] = {"seeds": seeds, "max_attempts": 5}
    plan = make_plan(folder_store, **changes)
    config = make_config(**changes, compute={"*": "kubernetes"})
    lost: list[Pod] = []

    def lose(record: Record) -> None:
        running = [pod for pod in kubernetes.all_pods() if pod.phase == "Running"]
        if len(lost) < losses and running:
            lost.append(running[-1])
            kubernetes.lose_node(running[-1])

    def fault(verb: str, kind: str, number: int) -> int | str | None:
        return {1: 429, 4: "lost", 6: "cut"}.get(number % 8)

    kubernetes.fault = fault
    schedule = kubernetes._schedule

    def schedule_and_lose_the_first() -> None:
        """However late the driver looks, one node is lost while its pod runs."""
        schedule()
        running = [pod for pod in kubernetes.all_pods() if pod.phase == "Running"]
        if not lost and running:
            lost.append(running[-1])
            kubernetes.lose_node(running[-1])

    monkeypatch.setattr(kubernetes, "_schedule", schedule_and_lose_the_first)
    summary = execute(plan.run, config, plan.tasks, lose)
    assert summary.all_have_results
    assert record_reader.without_result(plan.run) == []
    assert len(list(results.records(plan.run))) == 2 * seeds
    assert lost
    assert plan.run.store.list("default/jobs") == []
    # What is lost gets another pod, in another Job; faults of the API double none.
    assert 2 * seeds < len(kubernetes.started) <= 2 * seeds + len(lost)
    assert kubernetes.jobs == {}
