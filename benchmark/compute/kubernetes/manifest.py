"""The Indexed Job that carries tasks, one index per task.

It meets Kubernetes' Pod Security Standard `restricted` and OpenShift's `restricted-v2`: no root, no
capability, and any user id, with a home of its own.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.compute.cluster import Request
    from benchmark.config.method_options import KubernetesOptions

MOST_PODS = 500
# A job's name and its index are the name of a host, which has 63 characters.
_LONGEST_NAME = 52
_SCRATCH = "/scratch"
# What a pod needs to reach the same bucket; it has credentials of its own.
_SHARED = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def job_name(name: str) -> str:
    """The name of a submission's Job: its end is unique."""
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower())
    return plain[-_LONGEST_NAME:].strip("-")


def labels_of(url: str, run: str) -> dict[str, str]:
    """The labels of a run's Jobs and pods."""
    identity = hashlib.sha256(f"{url}\0{run}".encode()).hexdigest()[:20]
    return {"app.kubernetes.io/managed-by": "automl-benchmark", "automl-benchmark/run": identity}


def manifest(request: Request, arguments: str, options: KubernetesOptions) -> dict[str, Any]:
    """The Job of a request; `arguments` are its image's: store, run and the rest, as in a shell."""
    words = shlex.split(arguments)
    labels = labels_of(*words[:2])
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(request.name), "labels": labels},
        "spec": {
            "completionMode": "Indexed",
            "completions": request.size,
            "parallelism": min(request.size, request.throttle or MOST_PODS),
            # A pod per index: the driver alone makes further attempts, and counts them.
            "backoffLimitPerIndex": 0,
            "maxFailedIndexes": request.size,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": options.ttl_s,
            "template": {"metadata": {"labels": labels}, "spec": _pod(request, words, options)},
        },
    }


def _pod(request: Request, words: list[str], options: KubernetesOptions) -> dict[str, Any]:
    memory = f"{request.memory_mb}Mi"
    resources = {"cpu": str(request.cores), "memory": memory}
    mounts = [
        {"name": "scratch", "mountPath": _SCRATCH},
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108  # nosec B108 # 64 MB by default
    ]
    volumes: list[dict[str, Any]] = [
        {"name": "scratch", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": memory}},
    ]
    if options.claim:
        mounts.append({"name": "store", "mountPath": words[0]})
        claim = {"claimName": options.claim}
        volumes.append({"name": "store", "persistentVolumeClaim": claim})
    variables = {"HOME": _SCRATCH, "TMPDIR": _SCRATCH, "USER": "benchmark"}
    variables |= {name: os.environ[name] for name in _SHARED if os.environ.get(name)}
    container: dict[str, Any] = {
        "name": "task",
        "image": request.image,
        "args": words,
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "resources": {"requests": resources, "limits": dict(resources)},
        "volumeMounts": mounts,
        # The end of what it printed is kept with the pod's state.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if options.secret:
        container["envFrom"] = [{"secretRef": {"name": options.secret}}]
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        # The harness ends a task at its hard limit; this is for one that cannot any more.
        "activeDeadlineSeconds": max(1, math.ceil(request.time_s)),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [container],
        "volumes": volumes,
    }
    chosen = {
        "serviceAccountName": options.service_account,
        "nodeSelector": options.node_selector,
        "tolerations": options.tolerations,
        "priorityClassName": options.priority_class,
        "imagePullSecrets": options.pull_secret and [{"name": options.pull_secret}],
    }
    return pod | {name: value for name, value in chosen.items() if value}
