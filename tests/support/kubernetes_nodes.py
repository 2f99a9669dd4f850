"""Nodes of a Kubernetes that tests use: Job controller, scheduler and kubelet, without the API.

Containers are processes that run docker/entrypoint.py.
"""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.config.cache import CACHE_VARIABLE, cache_folder
from tests.support.process_trees import kill_tree, tree_mb

ROOT = Path(__file__).parents[2]
INDEX = "batch.kubernetes.io/job-completion-index"
_TICK_S = 0.05


class Pod:
    """A pod: its object, and its process while it runs."""

    def __init__(self, job: dict[str, Any], index: int) -> None:
        template = copy.deepcopy(job["spec"]["template"])
        name = f"{job['metadata']['name']}-{index}-{uuid.uuid4().hex[:5]}"
        labels = template["metadata"]["labels"]
        labels["batch.kubernetes.io/job-name"] = job["metadata"]["name"]
        labels[INDEX] = str(index)
        self.index, self.started = index, 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.memory = False
        self.is_gone = False
        self.object: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "uid": str(uuid.uuid4()),
                "namespace": job["metadata"]["namespace"],
                "labels": labels,
                "annotations": {INDEX: str(index)},
                "creationTimestamp": now(),
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }

    @property
    def phase(self) -> str:
        return str(self.object["status"]["phase"])

    def condition(self, kind: str, value: str, reason: str, message: str) -> None:
        one = {"type": kind, "status": value, "reason": reason, "message": message}
        self.object["status"].setdefault("conditions", []).append(one)

    def container(self, **state: Any) -> None:
        image = self.object["spec"]["containers"][0]["image"]
        self.object["status"]["containerStatuses"] = [
            {
                "name": "task",
                "image": image,
                "imageID": image,
                "ready": "running" in state,
                "restartCount": 0,
                "state": state,
            }
        ]

    def end(self, code: int, reason: str = "Error", message: str = "") -> None:
        self.object["status"]["phase"] = "Failed" if code else "Succeeded"
        told: dict[str, Any] = {"exitCode": code, "reason": reason if code else "Completed"}
        self.container(terminated=told | ({"message": message} if message else {}))


class Nodes:
    """`slots` pods run at once where `runs`; else a test sets what becomes of the pods."""

    def __init__(self, folder: Path, *, runs: bool) -> None:
        self.folder, self.runs = folder, runs
        self.slots = 2
        self.quota: int | None = None
        self.suspended: dict[str, str] | None = None
        self.absent_images: set[str] = set()
        self.container_memory_mb: int | None = None
        self.time_scale = 1.0
        self.jobs: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.pods: dict[str, list[Pod]] = {}
        self.started: list[Pod] = []
        self.events: list[dict[str, Any]] = []
        self.tries: Counter[tuple[str, int]] = Counter()
        self._lock = threading.RLock()
        self._over = threading.Event()

    def all_pods(self) -> list[Pod]:
        with self._lock:
            return [pod for pods in self.pods.values() for pod in pods]

    def pod(self, index: int, job: str | None = None) -> Pod:
        """The newest pod of an index, of the only job."""
        with self._lock:
            (name,) = [job] if job else list(self.jobs)
            return [pod for pod in self.pods[name] if pod.index == index][-1]

    def lose_node(self, pod: Pod, reason: str = "DeletionByTaintManager") -> None:
        """End a pod from outside. Only the kubelet leaves it; all others delete it, and the Job
        counts it before it goes."""
        with self._lock:
            self._kill(pod)
            pod.end(137)
            pod.condition("DisruptionTarget", "True", reason, "Taint manager: deleting")
            pod.is_gone = reason != "TerminationByKubelet"

    def _remove(self, name: str) -> None:
        del self.jobs[name]
        for pod in self.pods.pop(name):
            if pod.process and pod.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pod.process.pid, signal.SIGTERM)
                threading.Thread(target=self._reap, args=(pod,)).start()
        self.deleted.append(name)

    def _reap(self, pod: Pod) -> None:
        """SIGKILL after the grace period."""
        assert pod.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            pod.process.wait(30)
        self._kill(pod)

    def _control(self) -> None:
        while not self._over.wait(_TICK_S):
            with self._lock:
                for name in list(self.jobs):
                    self._reconcile(name)
                if self.runs:
                    for pod in self.all_pods():
                        self._look_after(pod)
                    self._schedule()

    def _reconcile(self, name: str) -> None:
        """One pod an index, up to the parallelism; failures up to the limit per index."""
        job, pods = self.jobs[name], self.pods[name]
        spec = job["spec"]
        if self.suspended:
            return
        failed = job["status"].setdefault("failed indices", set())
        live: dict[int, Pod] = {}
        for pod in pods:
            live[pod.index] = pod
        wanted = []
        for index in range(spec["completions"]):
            newest = live.get(index)
            if newest is None:
                wanted.append(index)
            elif newest.phase == "Failed" and index not in failed:
                self.tries[name, index] += 1
                if self.tries[name, index] > spec["backoffLimitPerIndex"]:
                    failed.add(index)
                else:
                    wanted.append(index)
        active = sum(pod.phase in ("Pending", "Running") for pod in live.values())
        for index in wanted[: max(0, spec["parallelism"] - active)]:
            if self.quota is not None and active >= self.quota:
                self._refused(name, index)
                break
            pods.append(Pod(job, index))
            self.started.append(pods[-1])
            active += 1

    def _refused(self, job: str, index: int) -> None:
        why = f"exceeded quota: lab, requested: pods=1, used: pods={self.quota}"
        message = f'Error creating: pods "{job}-{index}-x" is forbidden: {why}'
        involved = {"kind": "Job", "name": job, "namespace": "lab"}
        self.events = [
            {
                "metadata": {"name": "e1", "namespace": "lab", "labels": {}},
                "involvedObject": involved,
                "reason": "FailedCreate",
                "message": message,
                "type": "Warning",
            }
        ]

    def _schedule(self) -> None:
        pods = self.all_pods()
        free = self.slots - sum(pod.process is not None for pod in pods)
        for pod in [pod for pod in pods if pod.phase == "Pending"][: max(0, free)]:
            container = pod.object["spec"]["containers"][0]
            if container["image"] in self.absent_images:
                words = f'Back-off pulling image "{container["image"]}"'
                pod.container(waiting={"reason": "ImagePullBackOff", "message": words})
                continue
            variables = {one["name"]: one["value"] for one in container["env"]}
            variables["JOB_COMPLETION_INDEX"] = str(pod.index)
            scratch = self.folder / pod.object["metadata"]["name"]
            scratch.mkdir()
            variables |= {"HOME": str(scratch), "TMPDIR": str(scratch)}
            variables[CACHE_VARIABLE] = str(cache_folder())  # the image has environments
            kept = {k: v for k, v in os.environ.items() if k != "KUBECONFIG"}
            with (scratch / "log").open("wb") as log:
                pod.process = subprocess.Popen(
                    [sys.executable, str(ROOT / "docker/entrypoint.py"), *container["args"]],
                    env=kept | {"PYTHONPATH": str(ROOT)} | variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            pod.started = time.monotonic()
            pod.object["status"]["phase"] = "Running"
            pod.container(running={"startedAt": now()})

    def _look_after(self, pod: Pod) -> None:
        if pod.process is None or pod.phase != "Running":
            return
        code = pod.process.poll()
        spec = pod.object["spec"]
        if code is None:
            limit_s = spec["activeDeadlineSeconds"] * self.time_scale
            if time.monotonic() - pod.started > limit_s:
                self._kill(pod)
                pod.end(137)
                pod.object["status"]["reason"] = "DeadlineExceeded"
            elif self.container_memory_mb and tree_mb(pod.process.pid) > self.container_memory_mb:
                self._kill(pod)
                pod.end(137, "OOMKilled")
            return
        log = (self.folder / pod.object["metadata"]["name"] / "log").read_text(errors="replace")
        pod.end(code if code >= 0 else 128 - code, message=log[-2000:] if code else "")
        pod.process = None

    def _kill(self, pod: Pod) -> None:
        if pod.process:
            kill_tree(pod.process.pid)
            pod.process.wait()
            pod.process = None


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def intervals(numbers: set[int]) -> str:
    """1,3-5, as Kubernetes writes indices."""
    found: list[list[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in found)
