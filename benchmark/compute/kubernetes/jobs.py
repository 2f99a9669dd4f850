"""Jobs and pods over Kubernetes' official client, as a `Cluster`.

Jobs are listed, not watched: their status names the indices that have ended, so a look is one
request, however many tasks a Job has. Pods are listed only where one of them waits, or has failed
and left no record.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.compute.cluster import ClusterError, Element, Elements, FullError, Request, indices
from benchmark.compute.faults import PassingError
from benchmark.compute.kubernetes.manifest import INDEX, job_name, manifest, selector
from benchmark.compute.submitting import cause_of_exit
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from benchmark.config.method_options import KubernetesOptions

LARGEST_JOB = 10_000
_FAILURES = "batch.kubernetes.io/job-index-failure-count"
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
_COMPLETE = Element("Complete", is_over=True)
_FAILED = Element("", is_over=True)
_QUEUED = Element("Waiting", waits=True)
_log = logging.getLogger("benchmark.compute")


class Kubernetes:
    """The Jobs of one run in a namespace.

    A pod whose container cannot start is given up after `held_s`; one whose node is lost is
    believed lost `lost_s` after it was to be deleted.
    """

    name = "Kubernetes"
    held_s = 120.0
    lost_s = 90.0

    def __init__(self, options: KubernetesOptions, url: str, run: str, attempts: int) -> None:
        self._options, self._attempts = options, attempts
        self._selector = selector(url, run)

    def largest_array(self) -> int:
        return LARGEST_JOB

    def submit(self, request: Request, script: str, **options: Any) -> str:
        """Create the Job; `script` are the arguments of its image, `options` the API's."""
        job = manifest(request, script, self._options, self._attempts)
        # Its name is unique: one of this name was created before the connection was lost.
        self._call("create", "job", ignored=409, body=job, **options)
        return job_name(request.name)

    def find(self, name: str) -> str | None:
        job = job_name(name)
        return job if self._call("read", "job", ignored=404, name=job) else None

    def present(self) -> Elements:
        jobs = self._listed("job", label_selector=self._selector)
        return {job["metadata"]["name"]: self._elements(job) for job in jobs}

    def past(self, jobs: Collection[str]) -> Elements:
        """How pods have failed, for as long as their Job is there."""
        return {job: _by_index(self._pods(job, "Failed"), _ended) for job in jobs}

    def cancel(self, jobs: Collection[str]) -> None:
        for job in jobs:
            self._call("delete", "job", ignored=404, name=job, propagation_policy="Background")

    def cancel_element(self, job: str, index: int) -> None:
        """Nothing: a Job would make another pod. It is deleted when no task is left to wait for."""

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

    def _elements(self, job: dict[str, Any]) -> dict[int, Element]:
        """What became of each index."""
        name, status = job["metadata"]["name"], job.get("status") or {}
        found = dict.fromkeys(indices(status.get("completedIndexes") or ""), _COMPLETE)
        found |= dict.fromkeys(indices(status.get("failedIndexes") or ""), _FAILED)
        left = [n for n in range(job["spec"]["completions"]) if n not in found]
        over = _condition(status, "Complete") or _condition(status, "Failed")
        if over:
            return found | dict.fromkeys(left, Element(over["type"], _text(over), is_over=True))
        active, ready = status.get("active") or 0, status.get("ready") or 0
        # Pods are created in the order of the indices.
        found |= dict.fromkeys(left, _QUEUED) | dict.fromkeys(left[:ready], Element("Running"))
        waiting = _QUEUED
        if active > ready and left:
            waiting = self._waiting(name, moving=bool(ready or status.get("succeeded")))
            found |= dict.fromkeys(left[ready : None if waiting.is_held else active], waiting)
        if active < min(job["spec"]["parallelism"], len(left)) and not waiting.is_held:
            found |= dict.fromkeys(left[max(active, ready) :], self._refused(name, status))
        if status.get("terminating"):
            lost = _by_index(self._pods(name, "Running"), self._lost)
            found |= {index: element for index, element in lost.items() if index in left}
        return found

    def _waiting(self, job: str, *, moving: bool) -> Element:
        """What pods without a container wait for; all do, where one image cannot be pulled."""
        reasons = dict(filter(None, map(_reason_to_wait, self._pods(job, "Pending"))))
        stuck = next((reason for reason in reasons if reason in _NO_START), "")
        if stuck and not moving:
            return Element(stuck, reasons[stuck], is_held=True, after_s=self.held_s)
        full = reasons.get("Unschedulable", "").rstrip(".")
        note = f"no node has room ({full})" if full else ""
        if stuck:
            note = f"a container cannot start ({stuck}: {reasons[stuck].rstrip('.')})"
        return Element("Waiting", waits=True, note=note)

    def _refused(self, job: str, status: Mapping[str, Any]) -> Element:
        """What tasks without a pod wait for: most often a quota."""
        suspended = _condition(status, "Suspended")
        if suspended:
            return Element("Waiting", waits=True, note=f"the Job is suspended ({_text(suspended)})")
        which = f"involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate"
        events = self._call("list", "event", field_selector=which, limit=_PAGE)["items"]
        if not events:
            return _QUEUED
        # The pod's name in it is another each time.
        why = str(events[-1].get("message", "")).partition("is forbidden: ")
        note = f"no more pods may be created ({(why[2] or why[0]).rstrip('.')})"
        return Element("Waiting", waits=True, note=note)

    def _lost(self, pod: Mapping[str, Any]) -> Element | None:
        """A pod that was to be deleted: if it stays, its node does not answer."""
        if not pod["metadata"].get("deletionTimestamp"):
            return None
        why = f"the node {(pod.get('spec') or {}).get('nodeName', '?')} does not answer"
        return Element("NodeLost", why, is_over=True, after_s=self.lost_s)

    def _pods(self, job: str, phase: str) -> list[dict[str, Any]]:
        own, state = f"batch.kubernetes.io/job-name={job}", f"status.phase={phase}"
        return self._listed("pod", label_selector=own, field_selector=state)

    def _listed(self, kind: str, **which: Any) -> list[dict[str, Any]]:
        """All objects, page by page."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = self._call("list", kind, limit=_PAGE, **which, **more)
            found += page["items"]
            more = {"_continue": page["metadata"].get("continue")}
            if not more["_continue"]:
                return found

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
            if status in _PASSING or not status:
                why = f"Kubernetes refuses: {message}."
                raise PassingError(why, perhaps_done=status != _TOO_MANY) from None
            if "exceeded quota" in message:
                raise FullError(f"no more Jobs may be created ({message})") from None
            raise ClusterError(f"Kubernetes refuses: {message}.") from None
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


def _by_index(
    pods: Iterable[dict[str, Any]], described: Callable[[dict[str, Any]], Element | None]
) -> dict[int, Element]:
    """The newest pod of each index, where `described` has an element for it."""
    found = {}
    for pod in sorted(pods, key=_age):
        element, index = described(pod), _annotation(pod, INDEX)
        if element is not None and index.isdigit():
            found[int(index)] = element
    return found


def _ended(pod: Mapping[str, Any]) -> Element:
    """A failed pod: its state is the word that decides on the cause."""
    status = pod.get("status") or {}
    states = [one.get("state") or {} for one in status.get("containerStatuses") or []]
    final: Mapping[str, Any] = next(
        (one["terminated"] for one in states if one.get("terminated")), {}
    )
    code = final.get("exitCode")
    sources = [status, _condition(status, "DisruptionTarget") or {}, final]
    state = next((one["reason"] for one in sources if one.get("reason")), "Failed")
    messages = [" ".join(str(one.get("message") or "").split()).rstrip(".") for one in sources]
    words = "; ".join(filter(None, messages))[-1000:]
    return Element(state, words, "" if code is None else str(code), is_over=True)


def _reason_to_wait(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a pod has not started: Kubernetes' reason and its message; None if it gives none."""
    status = pod.get("status") or {}
    waits = _containers(status, "waiting")
    found = next((one for one in waits if one.get("reason") in _NO_START), None)
    found = found or _condition(status, "PodScheduled", "False")
    return (str(found.get("reason") or ""), str(found.get("message") or "")) if found else None


def _containers(status: Mapping[str, Any], state: str) -> Iterator[dict[str, Any]]:
    """What is known of each container in a state."""
    for one in status.get("containerStatuses") or []:
        found = (one.get("state") or {}).get(state)
        if found:
            yield dict(found)


def _condition(status: Mapping[str, Any], kind: str, value: str = "True") -> dict[str, Any] | None:
    found = [one for one in status.get("conditions") or [] if one["type"] == kind]
    return dict(found[0]) if found and found[0]["status"] == value else None


def _text(condition: Mapping[str, Any]) -> str:
    return f"{condition.get('reason', '')} {condition.get('message', '')}".strip()


def _annotation(pod: Mapping[str, Any], name: str) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(name, ""))


def _age(pod: Mapping[str, Any]) -> tuple[int, str]:
    """Pods of an index in their order, though created within one second."""
    failures = _annotation(pod, _FAILURES)
    before = int(failures) if failures.isdigit() else 0
    return before, str(pod["metadata"].get("creationTimestamp"))
