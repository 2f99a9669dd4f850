"""Jobs and pods of Kubernetes, as a `Cluster`.

A look is two requests, however many tasks there are: the Jobs of the run, whose status names the
indices that have ended, and their pods that wait or run. Ended pods are listed only where one left
no record. A Job starts one pod per index: the driver alone counts attempts.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.compute.aws.clients import bucket_variables
from benchmark.compute.cluster import (
    Cluster,
    ClusterError,
    Element,
    Elements,
    FullError,
    Request,
    indices,
)
from benchmark.compute.faults import PassingError
from benchmark.compute.submissions import Submission
from benchmark.config.method_options import KubernetesOptions
from benchmark.errors import BenchmarkError
from benchmark.files.input_files import expanded
from benchmark.records.results import Cause

# Labels that the Job controller gives to its pods.
_JOB, _INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"
_ACTIVE, _FAILED = "status.phase!=Succeeded,status.phase!=Failed", "status.phase=Failed"
# A job's name and its index are the name of a host, which has 63 characters.
_LONGEST_NAME = 52
_PLACES = {"HOME": "/scratch", "TMPDIR": "/scratch", "USER": "benchmark"}
# Reasons for which a container does not start; of the image, and of what the pod refers to.
_NO_START = {
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    *("ContainerCannotRun", "StartError"),
}
_NODE_LOST = (Cause.INFRASTRUCTURE, "The pod's node was lost")
_NODE_DOWN = (Cause.INTERRUPTED, "The pod's node shut down")
_CAUSES = {
    **dict.fromkeys(_NO_START, (Cause.SETUP, "The container could not start")),
    **dict.fromkeys(("DeletionByTaintManager", "DeletionByPodGC", "NodeLost"), _NODE_LOST),
    **dict.fromkeys(("Terminated", "TerminationByKubelet"), _NODE_DOWN),
    "OOMKilled": (Cause.MEMORY, "The container was killed for its memory"),
    "DeadlineExceeded": (Cause.TIMEOUT, "Kubernetes ended the pod at its time limit"),
    "Evicted": (Cause.INFRASTRUCTURE, "The node evicted the pod"),
    "Preempting": (Cause.INTERRUPTED, "The node needed the pod's place for a critical one"),
    "PreemptionByScheduler": (Cause.INTERRUPTED, "The pod was preempted"),
    "EvictionByEvictionAPI": (Cause.INTERRUPTED, "The pod was evicted, as when a node is drained"),
    "Complete": (Cause.INFRASTRUCTURE, "The pod ended without a record of its task"),
    # What preempts, drains and collects pods deletes them; those that end by themselves stay.
    "": (Cause.INTERRUPTED, "The pod was preempted, drained, or deleted by someone"),
}
_PAGE = 500
_ANSWER_S = (10, 60)
# 410: the pages of a list have expired.
_TOO_MANY = 429
_PASSING = (0, 408, 410, _TOO_MANY, 500, 502, 503, 504)
_log = logging.getLogger("benchmark.compute")


def job_name(name: str) -> str:
    """The name of a submission's Job: its end is unique."""
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower())
    return plain[-_LONGEST_NAME:].strip("-")


class Api:
    """The jobs, pods and events of a namespace, as JSON, by Kubernetes' official client."""

    def __init__(self, namespace: str, context: str | None) -> None:
        self._namespace, self._context = namespace, context

    def call(self, verb: str, kind: str, ignored: int = -1, **arguments: Any) -> Any:
        """An answer of the API server; empty where it refuses with the status `ignored`.

        Raises:
            PassingError: it cannot be asked now.
            FullError: a quota forbids more Jobs for now.
            ClusterError: it refuses, in its own words, or there is none.
        """
        ask = getattr(self._clients[kind], f"{verb}_namespaced_{kind}")
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        options = {"_preload_content": False, "_request_timeout": _ANSWER_S}
        try:
            return json.loads(ask(namespace=self._namespace, **options, **arguments).data)
        except ApiException as error:
            status, message = int(error.status or 0), _message(error)
            if status == ignored:
                return {}
            why = f"Kubernetes refuses: {message}."
            if status in _PASSING:
                raise PassingError(why, perhaps_done=status != _TOO_MANY) from None
            if "exceeded quota" in message:
                raise FullError(f"no more Jobs may be created ({message})") from None
            raise ClusterError(why) from None
        except (HTTPError, OSError, ValueError) as error:
            why = f"Kubernetes gives no answer: {error}."
            raise PassingError(why, perhaps_done=True) from None

    def listed(
        self, kind: str, labels: Mapping[str, str], fields: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """All objects, page by page."""
        selector = ",".join(map("=".join, labels.items())) or None
        which: dict[str, Any] = {
            "label_selector": selector,
            "field_selector": fields,
            "limit": _PAGE,
        }
        more = None
        while more != "":
            page = self.call("list", kind, _continue=more, **which)
            yield from page["items"]
            more = page["metadata"].get("continue") or ""

    @functools.cached_property
    def _clients(self) -> dict[str, Any]:
        """The cluster of the kubeconfig, or that of the pod in which this runs."""
        from kubernetes import client, config

        chosen = client.Configuration()
        files = os.environ.get("KUBECONFIG") or str(expanded("~/.kube/config"))
        try:
            if any(Path(file).is_file() for file in files.split(os.pathsep)):
                config.load_kube_config(files, self._context, chosen)
            else:
                config.load_incluster_config(client_configuration=chosen)
        except config.ConfigException as error:
            raise ClusterError(
                f"Kubernetes cannot be reached: {str(error).rstrip('.')}; name its kubeconfig in "
                "KUBECONFIG, or run this in a pod of the cluster."
            ) from None
        api = client.ApiClient(chosen)
        core = client.CoreV1Api(api)
        return {"job": client.BatchV1Api(api), "pod": core, "event": core}


class Kubernetes(Cluster):
    """The Jobs of one run in a namespace.

    A pod whose container cannot start is given up after `held_s`; one whose node is lost is
    believed lost `lost_s` after it was to be deleted.
    """

    name = "Kubernetes"
    causes = _CAUSES
    held_s = 120.0
    lost_s = 90.0

    def __init__(self, options: KubernetesOptions, url: str, run: str) -> None:
        self._options = options
        self._api = Api(options.namespace, options.context)
        identity = hashlib.sha256(f"{url}\0{run}".encode()).hexdigest()[:20]
        managed = {"app.kubernetes.io/managed-by": "automl-benchmark"}
        self._labels = managed | {"automl-benchmark/run": identity}
        self._disrupted: dict[tuple[str, int], Element] = {}

    def submit(self, request: Request, script: str, **options: Any) -> str:
        """Create the Job; `script` are the arguments of its image, `options` the API's."""
        import yaml

        from benchmark.templates import render

        if request.mpi:
            raise ClusterError("Kubernetes starts no MPI ranks; use the method slurm or pilot.")
        name, words = job_name(request.name), shlex.split(script)
        values = {"name": name, "labels": self._labels, "words": words}
        values["variables"] = _PLACES | bucket_variables()
        text = render("kubernetes/job.yaml", request=request, options=self._options, **values)
        # Its name is unique: one of this name was created before the connection was lost.
        self._api.call("create", "job", ignored=409, body=yaml.safe_load(text), **options)
        return name

    def check(self, request: Request, script: str) -> None:
        """Ask for what a run needs; nothing is created. A quota that is full may have room later.

        Raises:
            ClusterError: the cluster refuses the Job, or what a run asks it.
        """
        with suppress(FullError):
            self.submit(request, script, dry_run="All")
        self.present()
        self._refusal_of_pods(job_name(request.name))

    def find(self, name: str) -> str | None:
        job = job_name(name)
        return job if self._api.call("read", "job", ignored=404, name=job) else None

    def present(self, jobs: Collection[Submission] = ()) -> Elements:  # noqa: ARG002  all are
        known = {job["metadata"]["name"]: job for job in self._api.listed("job", self._labels)}
        pods = self._pods(_ACTIVE)
        return {name: self._elements(name, job, pods.get(name, {})) for name, job in known.items()}

    def past(self, jobs: Collection[str]) -> Elements:  # noqa: ARG002  all are in one list
        """How pods have failed, for as long as they and their Job are there."""
        return {
            job: {index: _ended(pod["status"]) for index, pod in pods.items()}
            for job, pods in self._pods(_FAILED).items()
        }

    def cancel(self, jobs: Collection[str]) -> None:
        for job in jobs:
            self._api.call("delete", "job", 404, name=job, propagation_policy="Background")

    def forget(self, job: str) -> bool:
        """Delete the Job with its pods."""
        try:
            self.cancel([job])
        except BenchmarkError as error:
            ttl_s = self._options.ttl_s
            _log.warning("The job %s is left for %d s after its end: %s", job, ttl_s, error)
        return True

    def _elements(
        self, name: str, job: Mapping[str, Any], pods: Mapping[int, Mapping[str, Any]]
    ) -> dict[int, Element]:
        """What became of each index; `pods` are those that wait or run."""
        spec, status = job["spec"], job.get("status") or {}
        every = range(spec["completions"])
        complete = Element("Complete", is_over=True)
        found = dict.fromkeys(indices(status.get("completedIndexes") or ""), complete)
        for index in indices(status.get("failedIndexes") or ""):
            found[index] = self._disrupted.get((name, index), Element("", is_over=True))
        over = _condition(status, "Complete") or _condition(status, "Failed")
        if over:
            return dict.fromkeys(every, Element(over["type"], _text(over), is_over=True)) | found
        moves = bool(status.get("ready") or status.get("succeeded"))
        live = {index: self._live(pod, moves=moves) for index, pod in pods.items()}
        rest = next((one for one in live.values() if one.is_held), Element("Waiting", waits=True))
        if not rest.is_held and len(live) < min(spec["parallelism"], len(every) - len(found)):
            suspended = _condition(status, "Suspended")
            note = f"the Job is suspended ({_text(suspended)})" if suspended else ""
            note = note or self._refusal_of_pods(name)  # Most often it is a quota.
            rest = Element("Waiting", waits=True, note=note)
        return dict.fromkeys(every, rest) | live | found

    def _live(self, pod: Mapping[str, Any], *, moves: bool) -> Element:
        """A pod that waits or runs. Where no other pod has started (`moves`) and it cannot pull its
        image, none can."""
        own, status = pod["metadata"], pod["status"]
        if own.get("deletionTimestamp"):
            why = _condition(status, "DisruptionTarget")
            if why:  # The pod is gone as soon as the Job has counted it.
                place = own["labels"][_JOB], int(own["labels"][_INDEX])
                self._disrupted[place] = Element(why["reason"], why["message"], is_over=True)
            node = f"the node {pod['spec'].get('nodeName', '?')} does not answer"
            return Element("NodeLost", node, is_over=True, after_s=self.lost_s)
        if status["phase"] == "Running":
            return Element("Running")
        faults = [one for one in _states(status, "waiting") if one.get("reason") in _NO_START]
        why = faults[0] if faults else _condition(status, "PodScheduled", "False") or {}
        reason, message = why.get("reason", ""), str(why.get("message", "")).rstrip(".")
        if faults and not moves:
            return Element(reason, message, is_held=True, after_s=self.held_s)
        note = f"a container cannot start ({reason}: {message})" if faults else ""
        if reason == "Unschedulable":
            note = f"no node has room ({message})"
        return Element("Waiting", waits=True, note=note)

    def _refusal_of_pods(self, job: str) -> str:
        """Why the Job may not create pods; empty where it may."""
        note = ""
        which = f"involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate"
        for event in self._api.listed("event", {}, which):  # The last one counts.
            # The pod's name in it is another each time.
            why = str(event.get("message", "")).partition("is forbidden: ")
            note = f"no more pods may be created ({(why[2] or why[0]).rstrip('.')})"
        return note

    def _pods(self, phase: str) -> dict[str, dict[int, dict[str, Any]]]:
        """The run's pods by their Job and index."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for pod in self._api.listed("pod", self._labels, phase):
            own = pod["metadata"]["labels"]
            found.setdefault(own[_JOB], {})[int(own[_INDEX])] = pod
        return found


def _ended(status: Mapping[str, Any]) -> Element:
    """A failed pod: its state is the reason that decides on the cause."""
    final = next(iter(_states(status, "terminated")), {})
    sources = [status, _condition(status, "DisruptionTarget") or {}, final]
    reasons = [one["reason"] for one in sources if one.get("reason")]
    state = next((one for one in reasons if one in _CAUSES), (*reasons, "Failed")[0])
    messages = [" ".join(str(one.get("message") or "").split()).rstrip(".") for one in sources]
    words = "; ".join(filter(None, dict.fromkeys(messages)))[-1000:]
    code = str(final.get("exitCode", ""))
    return Element(state, words, code, is_over=True, starts=bool(final))


def _states(status: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """The states of this kind that containers are in."""
    states = [one.get("state") or {} for one in status.get("containerStatuses") or []]
    return [one[kind] for one in states if one.get(kind)]


def _condition(status: Mapping[str, Any], kind: str, value: str = "True") -> dict[str, Any] | None:
    found = [one for one in status.get("conditions") or [] if one["type"] == kind]
    return dict(found[0]) if found and found[0]["status"] == value else None


def _text(condition: Mapping[str, Any]) -> str:
    return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()


def _message(error: Any) -> str:
    """The message of a refusal's Status, else the HTTP reason."""
    try:
        message = json.loads(error.body)["message"]
    except (ValueError, TypeError, KeyError):
        message = error.reason or error.status
    return " ".join(str(message).split()).rstrip(".")
