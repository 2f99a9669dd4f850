"""Jobs and pods over Kubernetes' official client, as a `Cluster`.

Jobs are listed, not watched: their status names the indices that have ended, so a look is one
request, however many tasks a Job has. Pods are listed only where one of them failed or waits.
"""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.compute.cluster import ClusterError, Element, Elements, Request, indices
from benchmark.compute.faults import PassingError
from benchmark.compute.kubernetes.manifest import INDEX, job_name, manifest, selector
from benchmark.compute.submitting import cause_of_exit
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from benchmark.config.method_options import KubernetesOptions

LARGEST_JOB = 10_000
_PAGE = 500
_ANSWER_S = (10, 60)
# 410: the pages of a list have expired.
_PASSING = (408, 410, 429, 500, 502, 503, 504)
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

    def __init__(self, options: KubernetesOptions, url: str, run: str, attempts: int) -> None:
        from kubernetes import client

        api = client.ApiClient(_configuration(options))
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)
        self._options, self._attempts = options, attempts
        self._selector = selector(url, run)
        self._ended: dict[str, dict[int, Element]] = {}
        self._since: dict[tuple[str, str], float] = {}
        self._quota_reported = False

    def largest_array(self) -> int:
        return LARGEST_JOB

    def submit(self, request: Request, script: str) -> str:
        """Create the Job; `script` are the arguments of its image."""
        self.create(manifest(request, script, self._options, self._attempts))
        return job_name(request.name)

    def create(self, job: dict[str, Any], **options: Any) -> None:
        # Its name is unique: one of this name was created before the connection was lost.
        self._call(self._batch.create_namespaced_job, ignored=409, body=job, **options)

    def find(self, name: str) -> str | None:
        job = job_name(name)
        return job if self._call(self._batch.read_namespaced_job, ignored=404, name=job) else None

    def present(self) -> Elements:
        jobs = self._batch.list_namespaced_job
        return {
            job["metadata"]["name"]: self._elements(job)
            for job in self._listed(jobs, label_selector=self._selector)
        }

    def past(self, jobs: Collection[str]) -> Elements:  # noqa: ARG002
        """Nothing: a Job that is gone has left no trace."""
        return {}

    def cancel(self, jobs: Collection[str]) -> None:
        delete = self._batch.delete_namespaced_job
        for job in jobs:
            self._call(delete, ignored=404, name=job, propagation_policy="Background")
            self._ended.pop(job, None)

    def cancel_element(self, job: str, index: int) -> None:
        """Nothing: a Job would make another pod. It is deleted when no task is left to wait for."""

    def cause_of(self, element: Element | None, log: Path) -> tuple[Cause, str]:  # noqa: ARG002
        if element is None:
            return Cause.INFRASTRUCTURE, "Kubernetes does not know the job any more."
        words = f"{element.state}: {element.reason}" if element.reason else element.state
        if element.state in _CAUSES:
            cause, sentence = _CAUSES[element.state]
            return cause, f"{sentence} ({words})."
        if element.state in _NO_START:
            return Cause.SETUP, f"The container could not start ({words})."
        return cause_of_exit(int(element.code) if element.code else None, words)

    def _elements(self, job: dict[str, Any]) -> dict[int, Element]:
        """What became of each index."""
        name, status = job["metadata"]["name"], job.get("status") or {}
        found = dict.fromkeys(indices(status.get("completedIndexes") or ""), _COMPLETE)
        failed = set(indices(status.get("failedIndexes") or ""))
        known = self._ended.setdefault(name, {})
        if failed - known.keys():
            unseen = dict.fromkeys(failed - known.keys(), Element("Failed", is_over=True))
            known |= unseen | self._pods(name, "Failed", _ended, failed)
        found |= {index: known[index] for index in failed}
        left = [n for n in range(job["spec"]["completions"]) if n not in found]
        over = _condition(status, "Complete") or _condition(status, "Failed")
        if over:
            words = f"{over.get('reason', '')} {over.get('message', '')}".strip()
            return found | dict.fromkeys(left, Element(over["type"], words, is_over=True))
        active, ready = status.get("active") or 0, status.get("ready") or 0
        # Pods are created in the order of the indices.
        found |= dict.fromkeys(left[:ready], Element("Running"))
        waiting = _QUEUED
        if active > ready and left:
            waiting = self._waiting(name, moving=bool(ready or status.get("succeeded")))
        found |= dict.fromkeys(left[ready:], waiting if waiting.is_held else _QUEUED)
        found |= dict.fromkeys(left[ready:active], waiting)
        if active < min(job["spec"]["parallelism"], len(left)) and not waiting.is_held:
            found |= dict.fromkeys(left[max(active, ready) :], self._refused(name))
        if status.get("terminating"):
            found |= self._pods(name, "Running", self._lost, set(left))
        return found

    def _waiting(self, job: str, *, moving: bool) -> Element:
        """What pods without a container wait for; all do, where one image is not to be had."""
        pods = self._call(self._core.list_namespaced_pod, **_of(job, "Pending"), limit=_PAGE)
        reasons = dict(filter(None, map(_reason_to_wait, pods["items"])))
        stuck = next((reason for reason in reasons if reason in _NO_START), None)
        if stuck is None or moving:
            self._since.pop((job, "held"), None)
        elif self._lasts((job, "held"), self.held_s):
            return Element(stuck, reasons[stuck], waits=True, is_held=True)
        full = reasons.get("Unschedulable", "").rstrip(".")
        return Element("Waiting", waits=True, note=full and f"no node has room ({full})")

    def _refused(self, job: str) -> Element:
        """What tasks without a pod wait for: most often a quota."""
        which = f"involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate"
        events = self._call(self._core.list_namespaced_event, field_selector=which, limit=_PAGE)
        note = ""
        for event in events["items"][-1:]:
            # The pod's name in it is another each time.
            why = str(event.get("message", "")).partition("is forbidden: ")
            note = f"no more pods may be created ({(why[2] or why[0]).rstrip('.')})"
        return Element("Waiting", waits=True, note=note)

    def _lost(self, pod: dict[str, Any]) -> Element | None:
        """A pod that was to be deleted long ago: its node does not answer."""
        if not pod["metadata"].get("deletionTimestamp"):
            return None
        if not self._lasts(("pod", pod["metadata"]["uid"]), self.lost_s):
            return None
        node = (pod.get("spec") or {}).get("nodeName", "?")
        return Element("NodeLost", f"the node {node} does not answer", is_over=True)

    def _lasts(self, what: tuple[str, str], seconds: float) -> bool:
        now = time.monotonic()
        return now - self._since.setdefault(what, now) >= seconds

    def _pods(
        self,
        job: str,
        phase: str,
        described: Callable[[dict[str, Any]], Element | None],
        wanted: Collection[int],
    ) -> dict[int, Element]:
        """The newest pod of each index in a phase, where there is something to say of it."""
        found = {}
        pods = self._listed(self._core.list_namespaced_pod, **_of(job, phase))
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp"))):
            index = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
            element = described(pod)
            if element is not None and index.isdigit() and int(index) in wanted:
                found[int(index)] = element
        return found

    def _listed(self, ask: Callable[..., Any], **which: Any) -> list[dict[str, Any]]:
        """All objects, page by page."""
        found: list[dict[str, Any]] = []
        more: dict[str, Any] = {}
        while True:
            page = self._call(ask, limit=_PAGE, **which, **more)
            found += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return found
            more = {"_continue": token}

    def _call(self, ask: Callable[..., Any], ignored: int = 0, **arguments: Any) -> dict[str, Any]:
        """An answer of the API server; empty where it refuses with the status `ignored`.

        Raises:
            PassingError: it cannot be asked now, or a quota forbids more Jobs for now.
            ClusterError: it refuses, in its own words.
        """
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            answer = ask(
                namespace=self._options.namespace,
                _preload_content=False,
                _request_timeout=_ANSWER_S,
                **arguments,
            )
            data = json.loads(answer.data)
        except ApiException as error:
            status = int(error.status or 0)
            if status and status == ignored:
                return {}
            sentence = f"Kubernetes refuses: {_words(error)}."
            if status in _PASSING or not status:
                raise PassingError(sentence, perhaps_done=True) from None
            if "exceeded quota" in sentence:
                if not self._quota_reported:
                    self._quota_reported = True
                    _log.warning("%s More are sent when there is room.", sentence)
                raise PassingError(sentence) from None
            raise ClusterError(sentence) from None
        except (HTTPError, OSError, ValueError) as error:
            why = f"Kubernetes gives no answer: {error}."
            raise PassingError(why, perhaps_done=True) from None
        if not isinstance(data, dict):
            raise PassingError("Kubernetes gives no answer: it is no object.", perhaps_done=True)
        return data


_COMPLETE = Element("Complete", is_over=True)
_QUEUED = Element("Waiting", waits=True)


def _of(job: str, phase: str) -> dict[str, Any]:
    return {
        "label_selector": f"batch.kubernetes.io/job-name={job}",
        "field_selector": f"status.phase={phase}",
    }


def _words(error: Any) -> str:
    """What a refusal says: the message of a Status, else the HTTP reason."""
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
    from urllib3 import Retry

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
    # Asked again after as long as the server says; a Job's name makes that safe for POST, too.
    chosen.retries = Retry(
        total=3,
        backoff_factor=0.2,
        status_forcelist=(429, 503),
        allowed_methods=None,
        raise_on_status=False,
    )
    return chosen


def _ended(pod: Mapping[str, Any]) -> Element:
    """A failed pod: its state is the word that decides on the cause."""
    status = pod.get("status") or {}
    final = _terminated(status)
    code = final.get("exitCode")
    disruption = _condition(status, "DisruptionTarget")
    reasons = (status.get("reason"), (disruption or {}).get("reason"), final.get("reason"))
    state = next(filter(None, reasons), "Failed")
    words = (status.get("message"), (disruption or {}).get("message"), final.get("message"))
    told = "; ".join(" ".join(str(text).split()).rstrip(".") for text in words if text)
    return Element(state, told[-1000:], "" if code is None else str(code), is_over=True)


def _reason_to_wait(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a pod has not started: Kubernetes' reason and its message; None if it gives none."""
    status = pod.get("status") or {}
    for one in status.get("containerStatuses") or []:
        waits = (one.get("state") or {}).get("waiting") or {}
        if waits.get("reason") in _NO_START:
            return str(waits["reason"]), str(waits.get("message") or "")
    scheduled = _condition(status, "PodScheduled", "False")
    if scheduled:
        return str(scheduled.get("reason") or ""), str(scheduled.get("message") or "")
    return None


def _terminated(status: Mapping[str, Any]) -> dict[str, Any]:
    for one in status.get("containerStatuses") or []:
        found = (one.get("state") or {}).get("terminated")
        if found:
            return dict(found)
    return {}


def _condition(status: Mapping[str, Any], kind: str, value: str = "True") -> dict[str, Any] | None:
    found = [one for one in status.get("conditions") or [] if one["type"] == kind]
    return dict(found[0]) if found and found[0]["status"] == value else None
