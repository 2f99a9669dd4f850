"""A strict API server of Kubernetes: an HTTP server with its Job controller, scheduler and kubelet.

What is posted, and each pod and Job that it answers with, is validated against Kubernetes' own
schemas (kubernetes-validate), the rules of the API server that no schema has, and the Pod Security
Standard `restricted`. Containers are processes that run docker/entrypoint.py.

    with KubernetesDouble(folder) as server:
        os.environ["KUBECONFIG"] = str(server.kubeconfig)

`fault(verb, kind, number)` may answer an HTTP status, done instead of the request; "lost": done,
and the connection breaks before the answer; or "cut": the answer breaks in its middle.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import pytest
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from tests.support.kubernetes_nodes import Nodes, intervals, now

VERSION = "1.33"
CONFIGURATION = {"kubernetes": {"image": "registry.example/bench:1", "namespace": "lab"}}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@functools.cache
def strict_schema(kind: str, version: str) -> Draft202012Validator:
    """The strict schema of a kind, which kubernetes-validate would read again each time."""
    folder = f"kubernetes-json-schema/v{VERSION}.0-local-strict"
    own = schema_contents(f"{folder}/{kind}-{version}.json", VERSION)
    shared = Resource.from_contents(schema_contents(f"{folder}/_definitions.json", VERSION))
    registry = shared @ (Resource.from_contents(own) @ Registry())
    return Draft202012Validator(own, registry=registry)


class RefusalError(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


def invalid(message: str) -> RefusalError:
    return RefusalError(422, "Invalid", f"Job.batch is invalid: {message}")


class KubernetesDouble(Nodes):
    """`slots` pods run at once where `runs`; else a test sets what becomes of the pods."""

    def __init__(self, folder: Path, *, runs: bool = True) -> None:
        super().__init__(folder, runs=runs)
        self.page = 500
        self.too_large = ""
        self.job_quota: int | None = None
        self.calls: Counter[tuple[str, str]] = Counter()
        self.fault: Callable[[str, str, int], int | str | None] = lambda *_: None
        self.kubeconfig = folder / "kubeconfig"

    def __enter__(self) -> Self:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                double._serve(self)

            do_POST = do_DELETE = do_GET  # noqa: N815

        self.folder.mkdir(exist_ok=True)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        host = f"http://127.0.0.1:{self._server.server_port}"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "lab", "cluster": {"server": host}}],
                    "users": [{"name": "me", "user": {"token": "no-secret-at-all"}}],
                    "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me"}}],
                    "current-context": "lab",
                }
            )
        )
        self._threads = [
            threading.Thread(target=self._server.serve_forever, args=(0.05,)),
            threading.Thread(target=self._control),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        for thread in self._threads:
            thread.join()
        self._server.server_close()
        for pod in self.all_pods():
            self._kill(pod)

    # The API

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        status, headers, fault = 200, {}, None
        try:
            if request.headers.get("Authorization") != "Bearer no-secret-at-all":
                raise RefusalError(401, "Unauthorized", "Unauthorized")
            parts = re.fullmatch(
                r"/(?:api/v1|apis/batch/v1)/namespaces/([^/]+)/(jobs|pods|events)(?:/([^/]+))?",
                url.path,
            )
            if not parts:
                raise RefusalError(404, "NotFound", "the server could not find the resource")
            namespace, kind, name = parts.groups()
            verb = {"GET": "get" if name else "list", "POST": "create", "DELETE": "delete"}
            done = verb[request.command]
            with self._lock:
                number = self.calls[done, kind]
                self.calls[done, kind] += 1
                fault = self.fault(done, kind, number)
                if isinstance(fault, int):
                    raise RefusalError(fault, "Injected", f"injected {fault}")
                answer = self._answer(done, kind, namespace, name, asked, body)
        except RefusalError as refusal:
            status = refusal.status
            if status == 429:
                headers["Retry-After"] = "0"
            answer = {
                "apiVersion": "v1",
                "kind": "Status",
                "metadata": {},
                "status": "Failure",
                "message": str(refusal),
                "reason": refusal.reason,
                "code": status,
            }
        data = json.dumps(answer).encode()
        if fault == "lost":
            request.close_connection = True
            request.connection.close()
            return
        request.send_response(status)
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
        for key, value in headers.items():
            request.send_header(key, value)
        request.end_headers()
        with contextlib.suppress(OSError):
            request.wfile.write(data[: len(data) // 2] if fault == "cut" else data)
        if fault == "cut":
            request.close_connection = True

    def _answer(
        self,
        verb: str,
        kind: str,
        namespace: str,
        name: str | None,
        asked: dict[str, str],
        body: bytes,
    ) -> dict[str, Any]:
        if namespace != "lab":
            user = 'User "me" cannot access resource in the namespace'
            raise RefusalError(403, "Forbidden", f'{kind} is forbidden: {user} "{namespace}"')
        if "watch" in asked:
            raise RefusalError(400, "BadRequest", "this server is not watched")
        if verb == "create":
            return self._create(json.loads(body), dry="dryRun" in asked)
        if verb == "list":
            return self._list(kind, asked)
        assert name is not None
        if kind != "jobs" or name not in self.jobs:
            raise RefusalError(404, "NotFound", f'jobs.batch "{name}" not found')
        if verb == "get":
            return self._told(self.jobs[name])
        if asked.get("propagationPolicy") != "Background":
            raise RefusalError(400, "BadRequest", "pods would be left without their Job")
        self._remove(name)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}

    def _create(self, job: dict[str, Any], *, dry: bool) -> dict[str, Any]:
        self._admit(job)
        name = job["metadata"]["name"]
        if name in self.jobs:
            raise RefusalError(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        job["metadata"] |= {"namespace": "lab", "uid": str(uuid.uuid4())}
        job["metadata"]["creationTimestamp"] = now()
        job["status"] = {}
        if self.job_quota is not None and len(self.jobs) >= self.job_quota:
            raise RefusalError(403, "Forbidden", "forbidden: exceeded quota: lab, count/jobs.batch")
        if not dry:
            self.jobs[name], self.pods[name] = job, []
        return self._told(job)

    def _admit(self, job: dict[str, Any]) -> None:
        """What the API server refuses, whether or not a schema has it."""
        for error in strict_schema("job", "batch-v1").iter_errors(job):
            raise invalid(str(error))
        name, spec = job["metadata"]["name"], job["spec"]
        pod = spec["template"]["spec"]
        if not _LABEL.fullmatch(name) or len(f"{name}-{spec['completions'] - 1}") > 63:
            raise invalid(f"metadata.name: {name}")
        labels = (job["metadata"]["labels"] | spec["template"]["metadata"]["labels"]).values()
        if any(not re.fullmatch(r"([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?", v) for v in labels):
            raise invalid("metadata.labels")
        if any(len(value) > 63 for value in labels):
            raise invalid("metadata.labels: must be no more than 63 characters")
        if spec["completionMode"] != "Indexed" or "backoffLimit" in spec:
            raise invalid("spec.backoffLimitPerIndex: needs Indexed")
        if spec["backoffLimitPerIndex"] < 0 or spec["maxFailedIndexes"] > spec["completions"]:
            raise invalid("spec.maxFailedIndexes")
        if spec["parallelism"] > 10_000 or spec["completions"] > 100_000:
            raise invalid("spec.parallelism")
        if pod["restartPolicy"] != "Never" or spec["podReplacementPolicy"] != "Failed":
            raise invalid("spec.backoffLimitPerIndex: needs restartPolicy Never")
        if pod["activeDeadlineSeconds"] < 1:
            raise invalid("spec.template.spec.activeDeadlineSeconds")
        mounted = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        if mounted != {volume["name"] for volume in pod["volumes"]}:
            raise invalid("spec.template.spec.containers[0].volumeMounts: not found")
        if any("hostPath" in volume for volume in pod["volumes"]):
            raise RefusalError(403, "Forbidden", "violates PodSecurity restricted: hostPath")
        for container in pod["containers"]:
            own = container["securityContext"]
            kept = {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            }
            # OpenShift gives the user id; one that is named is refused.
            if own != kept or "securityContext" in pod:
                raise RefusalError(403, "Forbidden", "violates PodSecurity restricted")
            limits, requests = container["resources"]["limits"], container["resources"]["requests"]
            if limits != requests:
                raise invalid("resources")
            if self.too_large and limits["memory"] == self.too_large:
                raise RefusalError(403, "Forbidden", "maximum memory usage per Container is 1Gi")

    def _list(self, kind: str, asked: dict[str, str]) -> dict[str, Any]:
        found: list[dict[str, Any]]
        if kind == "jobs":
            found = [self._told(job) for job in self.jobs.values()]
        elif kind == "pods":
            found = [copy.deepcopy(pod.object) for pod in self.all_pods() if not pod.is_gone]
            found.sort(key=lambda pod: str(pod["metadata"]["name"]))
            for pod in found:
                strict_schema("pod", "v1").validate(pod)
        else:
            found = [copy.deepcopy(event) for event in self.events]
        for term in filter(None, asked.get("labelSelector", "").split(",")):
            key, _, value = term.partition("=")
            found = [one for one in found if one["metadata"]["labels"].get(key) == value]
        for term in filter(None, asked.get("fieldSelector", "").split(",")):
            key, sign, value = re.split("(!?=)", term, maxsplit=1)
            found = [one for one in found if (_field(one, key) == value) == (sign == "=")]
        start = int(asked.get("continue") or 0)
        end = start + min(self.page, int(asked.get("limit") or self.page))
        more = {"continue": str(end)} if end < len(found) else {}
        return {"kind": "List", "metadata": {"resourceVersion": "1"} | more} | {
            "apiVersion": "batch/v1" if kind == "jobs" else "v1",
            "items": found[start:end],
        }

    def _told(self, job: dict[str, Any]) -> dict[str, Any]:
        """A Job as it is answered, with its status."""
        told = copy.deepcopy(job)
        pods = self.pods.get(job["metadata"]["name"], [])
        active = [pod for pod in pods if pod.phase in ("Pending", "Running")]
        leaving = [pod for pod in active if "deletionTimestamp" in pod.object["metadata"]]
        done = {pod.index for pod in pods if pod.phase == "Succeeded"}
        failed = {int(i) for i in job["status"].get("failed indices", ())}
        told["status"] = {
            "active": len(active) - len(leaving),
            "ready": sum(p.phase == "Running" for p in active if p not in leaving),
            "terminating": len(leaving),
            "succeeded": len(done),
            "failed": sum(pod.phase == "Failed" for pod in pods),
            "completedIndexes": intervals(done),
            "failedIndexes": intervals(failed),
        }
        if len(done | failed) == job["spec"]["completions"]:
            kind = "Failed" if failed else "Complete"
            reason = "FailedIndexes" if failed else "CompletionsReached"
            one = {"type": kind, "status": "True", "reason": reason}
            told["status"]["conditions"] = [one]
        if self.suspended:
            told["status"]["conditions"] = [self.suspended]
        strict_schema("job", "batch-v1").validate(told)
        return told


def _field(one: dict[str, Any], path: str) -> str:
    value: Any = one
    for part in path.split("."):
        value = value.get(part, {})
    return str(value)


@contextlib.contextmanager
def serving(
    double: KubernetesDouble, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KubernetesDouble]:
    """The double, which drivers of this process look at often."""
    from benchmark.compute.cluster import Pace
    from benchmark.compute.kubernetes.jobs import Kubernetes
    from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher

    quick = Pace(store_s=0.1, engine_s=0.1, settle_s=0.2, stuck_s=0.5, find_s=0.3, patience_s=600.0)
    monkeypatch.setattr(KubernetesDispatcher, "pace", quick)
    monkeypatch.setattr(Kubernetes, "held_s", 0.5)
    monkeypatch.setattr(Kubernetes, "lost_s", 0.3)
    with double:
        monkeypatch.setenv("KUBECONFIG", str(double.kubeconfig))
        yield double


@pytest.fixture
def kubernetes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesDouble]:
    """An API server whose pods are processes."""
    with serving(KubernetesDouble(tmp_path / "kubernetes"), monkeypatch) as double:
        yield double


@pytest.fixture
def kubernetes_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesDouble]:
    """An API server whose pods the test itself ends."""
    with serving(KubernetesDouble(tmp_path / "kubernetes", runs=False), monkeypatch) as double:
        yield double
