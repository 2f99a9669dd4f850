"""Jobs and pods over Kubernetes' official client, as a `Cluster`.

A look is two requests, however many tasks there are: the Jobs of the run, whose status names the
indices that have ended, and their pods that wait or run. Ended pods are listed only where one left
no record. A Job starts one pod per index: the driver alone counts attempts.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.compute.cluster import ClusterError, Element, Elements, FullError, Request, indices
from benchmark.compute.faults import PassingError
from benchmark.compute.kubernetes.manifest import job_name, labels_of, manifest
from benchmark.compute.submitting import cause_of_exit
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from benchmark.config.method_options import KubernetesOptions

# Labels that the Job controller gives to its pods.
_JOB, _INDEX = "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"
_ACTIVE = "status.phase!=Succeeded,status.phase!=Failed"
_PAGE = 500
_ANSWER_S = (10, 60)
# 410: the pages of a list have expired.
_TOO_MANY = 429
_PASSING = (408, 410, _TOO_MANY, 500, 502, 503, 504)
# Reasons for which a container does not start; of the image, and of what the pod refers to.
_NO_START = {
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
    *("ContainerCannotRun", "StartError"),
}
_CAUSES = {
    "OOMKilled": (Cause.MEMORY, "The container was killed for its memory"),
    "DeadlineExceeded": (Cause.TIMEOUT, "Kubernetes ended the pod at its time limit"),
    "Evicted": (Cause.INFRASTRUCTURE, "The node evicted the pod"),
    "PreemptionByScheduler": (Cause.INTERRUPTED, "The pod was preempted"),
    "EvictionByEvictionAPI": (Cause.INTERRUPTED, "The pod was evicted, as when a node is drained"),
    "TerminationByKubelet": (Cause.INTERRUPTED, "The pod's node shut down"),
    "DeletionByTaintManager": (Cause.INFRASTRUCTURE, "The pod's node was lost"),
    "DeletionByPodGC": (Cause.INFRASTRUCTURE, "The pod's node was lost"),
    "NodeLost": (Cause.INFRASTRUCTURE, "The pod's node was lost"),
    "Complete": (Cause.INFRASTRUCTURE, "The pod ended without a record of its task"),
}
_log = logging.getLogger("benchmark.compute")


class Kubernetes:
    """The Jobs of one run in a namespace.

    A pod whose container cannot start is given up after `held_s`; one whose node is lost is
    believed lost `lost_s` after it was to be deleted.
    """

    name = "Kubernetes"
    held_s = 120.0
    lost_s = 90.0

    def __init__(self, options: KubernetesOptions, url: str, run: str) -> None:
        self._options = options
        self._selector = ",".join(map("=".join, labels_of(url, run).items()))

    def largest_array(self) -> int:
        return 10_000

    def submit(self, request: Request, script: str, **options: Any) -> str:
        """Create the Job; `script` are the arguments of its image, `options` the API's."""
        job = manifest(request, script, self._options)
        # Its name is unique: one of this name was created before the connection was lost.
        self._call("create", "job", ignored=409, body=job, **options)
        return job_name(request.name)

    def check(self, request: Request, script: str) -> None:
        """Ask for what a run needs; nothing is created. A quota that is full may have room later.

        Raises:
            ClusterError: the cluster refuses the Job, or what a run asks it.
        """
        with contextlib.suppress(FullError):
            self.submit(request, script, dry_run="All")
        self.present()
        self._refusal_of_pods(job_name(request.name))

    def find(self, name: str) -> str | None:
        job = job_name(name)
        return job if self._call("read", "job", ignored=404, name=job) else None

    def present(self) -> Elements:
        jobs = {job["metadata"]["name"]: job for job in self._listed("job", self._selector)}
        pods = self._pods(self._selector, _ACTIVE)
        return {name: self._elements(job, pods.get(name, {})) for name, job in jobs.items()}

    def past(self, jobs: Collection[str]) -> Elements:
        """How pods have failed, for as long as their Job is there."""
        found: Elements = {}
        for job in jobs:
            pods = self._pods(f"{_JOB}={job}", "status.phase=Failed").get(job, {})
            found[job] = {index: _ended(pod["status"]) for index, pod in pods.items()}
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        for job in jobs:
            self._call("delete", "job", ignored=404, name=job, propagation_policy="Background")

    def cancel_element(self, job: str, index: int) -> None:
        """Nothing: the Job is deleted with its pods when no task is left to wait for."""

    def forget(self, job: str) -> bool:
        """Delete the Job with its pods."""
        try:
            self.cancel([job])
        except (PassingError, ClusterError) as error:
            ttl_s = self._options.ttl_s
            _log.warning("The job %s is left for %d s after its end: %s", job, ttl_s, error)
        return True

    def cause_of(self, element: Element | None, log: Path) -> tuple[Cause, str]:  # noqa: ARG002
        if element is None:
            return Cause.INFRASTRUCTURE, "Kubernetes does not know the job any more."
        state = element.state or "Failed"
        words = f"{state}: {element.reason}" if element.reason else state
        if state in _CAUSES:
            cause, sentence = _CAUSES[state]
            return cause, f"{sentence} ({words})."
        if state in _NO_START:
            return Cause.SETUP, f"The container could not start ({words})."
        return cause_of_exit(int(element.code) if element.code else None, words)

    def _elements(
        self, job: Mapping[str, Any], pods: Mapping[int, Mapping[str, Any]]
    ) -> dict[int, Element]:
        """What became of each index; `pods` are those that wait or run."""
        spec, status = job["spec"], job.get("status") or {}
        found: dict[int, Element] = {}
        for key, state in (("completedIndexes", "Complete"), ("failedIndexes", "")):
            ended = Element(state, is_over=True)
            found |= dict.fromkeys(indices(status.get(key) or ""), ended)
        over = _condition(status, "Complete") or _condition(status, "Failed")
        if over:
            rest = Element(over["type"], _text(over), is_over=True)
            return dict.fromkeys(range(spec["completions"]), rest) | found
        moves = bool(status.get("ready") or status.get("succeeded"))
        live = {index: self._live(pod, moves=moves) for index, pod in pods.items()}
        rest = next((one for one in live.values() if one.is_held), Element("Waiting", waits=True))
        room = min(spec["parallelism"], spec["completions"] - len(found))
        if not rest.is_held and len(live) < room:
            rest = self._without_pod(job["metadata"]["name"], status)
        return dict.fromkeys(range(spec["completions"]), rest) | live | found

    def _live(self, pod: Mapping[str, Any], *, moves: bool) -> Element:
        """A pod that waits or runs. Where no other pod has started (`moves`) and it cannot pull its
        image, none can."""
        status = pod["status"]
        if pod["metadata"].get("deletionTimestamp"):
            node = f"the node {pod['spec'].get('nodeName', '?')} does not answer"
            return Element("NodeLost", node, is_over=True, after_s=self.lost_s)
        if status["phase"] == "Running":
            return Element("Running")
        waits = [one for one in _containers(status, "waiting") if one.get("reason") in _NO_START]
        why: Mapping[str, Any] = next(
            iter(waits), _condition(status, "PodScheduled", "False") or {}
        )
        reason, message = why.get("reason", ""), str(why.get("message", "")).rstrip(".")
        if waits and not moves:
            return Element(reason, message, is_held=True, after_s=self.held_s)
        note = f"a container cannot start ({reason}: {message})" if waits else ""
        if reason == "Unschedulable":
            note = f"no node has room ({message})"
        return Element("Waiting", waits=True, note=note)

    def _without_pod(self, job: str, status: Mapping[str, Any]) -> Element:
        """What tasks without a pod wait for: most often a quota."""
        suspended = _condition(status, "Suspended")
        if suspended:
            note = f"the Job is suspended ({_text(suspended)})"
        else:
            note = self._refusal_of_pods(job)
        return Element("Waiting", waits=True, note=note)

    def _refusal_of_pods(self, job: str) -> str:
        """Why the Job may not create pods; empty where it may."""
        note = ""
        which = f"involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate"
        for event in self._listed("event", None, which):  # The last one counts.
            # The pod's name in it is another each time.
            why = str(event.get("message", "")).partition("is forbidden: ")
            note = f"no more pods may be created ({(why[2] or why[0]).rstrip('.')})"
        return note

    def _pods(self, labels: str, phase: str) -> dict[str, dict[int, dict[str, Any]]]:
        """Pods by their Job and index."""
        found: dict[str, dict[int, dict[str, Any]]] = {}
        for pod in self._listed("pod", labels, phase):
            own = pod["metadata"]["labels"]
            found.setdefault(own[_JOB], {})[int(own[_INDEX])] = pod
        return found

    def _listed(
        self, kind: str, labels: str | None, fields: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """All objects, page by page."""
        which: dict[str, Any] = {"label_selector": labels, "field_selector": fields, "limit": _PAGE}
        page: dict[str, Any] = {}
        while not page or page["metadata"].get("continue"):
            more = page["metadata"]["continue"] if page else None
            page = self._call("list", kind, _continue=more, **which)
            yield from page["items"]

    @functools.cached_property
    def _apis(self) -> dict[str, Any]:
        from kubernetes import client

        api = client.ApiClient(_configuration(self._options))
        core = client.CoreV1Api(api)
        return {"job": client.BatchV1Api(api), "pod": core, "event": core}

    def _call(self, verb: str, kind: str, ignored: int = 0, **arguments: Any) -> dict[str, Any]:
        """An answer of the API server; empty where it refuses with the status `ignored`.

        Raises:
            PassingError: it cannot be asked now.
            FullError: a quota forbids more Jobs for now.
            ClusterError: it refuses, in its own words.
        """
        ask = getattr(self._apis[kind], f"{verb}_namespaced_{kind}")
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        arguments |= {"namespace": self._options.namespace, "_preload_content": False}
        try:
            data = json.loads(ask(_request_timeout=_ANSWER_S, **arguments).data)
            if not isinstance(data, dict):
                raise ValueError("it is not an object")
        except ApiException as error:
            status = int(error.status or 0)
            if status and status == ignored:
                return {}
            message = _message(error)
            why = f"Kubernetes refuses: {message}."
            if status in _PASSING or not status:
                raise PassingError(why, perhaps_done=status != _TOO_MANY) from None
            if "exceeded quota" in message:
                raise FullError(f"no more Jobs may be created ({message})") from None
            raise ClusterError(why) from None
        except (HTTPError, OSError, ValueError) as error:
            why = f"Kubernetes gives no answer: {error}."
            raise PassingError(why, perhaps_done=True) from None
        return data


def _message(error: Any) -> str:
    """The message of a refusal's Status, else the HTTP reason."""
    try:
        message = json.loads(error.body or b"{}").get("message")
    except (ValueError, AttributeError):
        message = None
    return " ".join(str(message or error.reason or error.status).split()).rstrip(".")


def _configuration(options: KubernetesOptions) -> Any:
    """The cluster of the kubeconfig, or that of the pod in which this runs.

    Raises:
        ClusterError: there is neither.
    """
    from kubernetes import client, config

    chosen = client.Configuration()
    files = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    try:
        if any(Path(file).is_file() for file in files.split(os.pathsep)):
            config.load_kube_config(files, options.context, chosen)
        else:
            config.load_incluster_config(client_configuration=chosen)
    except config.ConfigException as error:
        raise ClusterError(
            f"Kubernetes cannot be reached: {str(error).rstrip('.')}; name its kubeconfig in "
            "KUBECONFIG, or run this in a pod of the cluster."
        ) from None
    return chosen


def _ended(status: Mapping[str, Any]) -> Element:
    """A failed pod: its state is the word that decides on the cause."""
    final = next(iter(_containers(status, "terminated")), {})
    sources = [status, _condition(status, "DisruptionTarget") or {}, final]
    state = next((one["reason"] for one in sources if one.get("reason")), "Failed")
    messages = [" ".join(str(one.get("message") or "").split()).rstrip(".") for one in sources]
    words = "; ".join(filter(None, messages))[-1000:]
    return Element(state, words, str(final.get("exitCode", "")), is_over=True)


def _containers(status: Mapping[str, Any], state: str) -> list[dict[str, Any]]:
    """What is known of each container in a state."""
    states = [one.get("state") or {} for one in status.get("containerStatuses") or []]
    return [one[state] for one in states if one.get(state)]


def _condition(status: Mapping[str, Any], kind: str, value: str = "True") -> dict[str, Any] | None:
    found = [one for one in status.get("conditions") or [] if one["type"] == kind]
    return dict(found[0]) if found and found[0]["status"] == value else None


def _text(condition: Mapping[str, Any]) -> str:
    return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()
