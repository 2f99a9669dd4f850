"""Jobs and pods over Kubernetes' official client, as a `Cluster`.

Jobs are listed, not watched: their status names the indices that have ended, so a look is one
request, however many tasks a Job has. Pods are listed only where one of them failed or waits.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.compute.cluster import ClusterError, Element, Elements, indices
from benchmark.compute.faults import PassingError
from benchmark.compute.kubernetes import causes
from benchmark.compute.kubernetes.manifest import INDEX, job_name, manifest, selector

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from benchmark.compute.cluster import Request
    from benchmark.config.method_options import KubernetesOptions
    from benchmark.records.results import Cause

LARGEST_JOB = 10_000
_PAGE = 500
_ANSWER_S = (10, 60)
_PASSING = (408, 429, 500, 502, 503, 504)
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
        self._reported: set[str] = set()

    def largest_array(self) -> int:
        return LARGEST_JOB

    def submit(self, request: Request, script: str) -> str:
        """Create the Job; `script` are the arguments of its image."""
        self.create(manifest(request, script, self._options, self._attempts))
        return job_name(request.name)

    def create(self, job: dict[str, Any], **options: Any) -> None:
        try:
            self._call(self._batch.create_namespaced_job, body=job, **options)
        except _RefusedError as error:
            # Its name is unique, so that one of this name is this one, created before the
            # connection was lost.
            if error.status != 409:
                raise

    def find(self, name: str) -> str | None:
        try:
            self._call(self._batch.read_namespaced_job, name=job_name(name))
        except _RefusedError as error:
            if error.status != 404:
                raise
            return None
        return job_name(name)

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
        for job in jobs:
            try:
                delete = self._batch.delete_namespaced_job
                self._call(delete, name=job, propagation_policy="Background")
            except _RefusedError as error:
                if error.status != 404:
                    raise
            self._ended.pop(job, None)

    def cancel_element(self, job: str, index: int) -> None:
        """Nothing: a Job would make another pod. It is deleted when no task is left to wait for."""

    def cause_of(self, element: Element | None, log: Path) -> tuple[Cause, str]:  # noqa: ARG002
        return causes.cause_of(element)

    def _elements(self, job: dict[str, Any]) -> dict[int, Element]:
        """What became of each index."""
        name, status = job["metadata"]["name"], job.get("status") or {}
        found = dict.fromkeys(indices(status.get("completedIndexes") or ""), _COMPLETE)
        failed = set(indices(status.get("failedIndexes") or ""))
        known = self._ended.setdefault(name, {})
        if failed - known.keys():
            known |= dict.fromkeys(failed - known.keys(), Element("Failed", is_over=True))
            known |= self._pods(name, "Failed", causes.ended, failed)
        found |= {index: known[index] for index in failed}
        left = set(range(job["spec"]["completions"])) - found.keys()
        conditions = status.get("conditions") or []
        over = [c for c in conditions if c["type"] in ("Complete", "Failed")]
        over = [c for c in over if c["status"] == "True"]
        if over:
            words = f"{over[0].get('reason', '')} {over[0].get('message', '')}".strip()
            return found | dict.fromkeys(left, Element(over[0]["type"], words, is_over=True))
        active, ready = status.get("active") or 0, status.get("ready") or 0
        state = "Running" if ready else "Waiting"
        found |= dict.fromkeys(left, Element(state, waits=not ready))
        if active > ready and left:
            found |= self._held(name, left, moving=bool(ready or status.get("succeeded")))
        if status.get("terminating"):
            found |= self._pods(name, "Running", self._lost, left)
        if active < min(job["spec"]["parallelism"], len(left)):
            self._report_refused(name)
        return found

    def _held(self, job: str, left: set[int], *, moving: bool) -> dict[int, Element]:
        """The pods that cannot start; all of them do not, where one image is not to be had."""
        pods = self._page(job, "Pending")
        reasons = dict(filter(None, (causes.waiting(pod) for pod in pods)))
        stuck = [word for word in reasons if word in causes.NO_START]
        if "Unschedulable" in reasons:
            why = f"Pods of the job {job} wait for a node: {reasons['Unschedulable']}"
            self._report(job, why)
        if not stuck or moving:
            self._since.pop((job, "held"), None)
            return {}
        since = self._since.setdefault((job, "held"), time.monotonic())
        if time.monotonic() - since < self.held_s:
            return {}
        element = Element(stuck[0], reasons[stuck[0]], waits=True, is_held=True)
        return dict.fromkeys(left, element)

    def _lost(self, pod: dict[str, Any]) -> Element | None:
        """A pod that was to be deleted long ago: its node does not answer."""
        uid = pod["metadata"]["uid"]
        if not pod["metadata"].get("deletionTimestamp"):
            return None
        since = self._since.setdefault(("pod", uid), time.monotonic())
        if time.monotonic() - since < self.lost_s:
            return None
        node = (pod.get("spec") or {}).get("nodeName", "?")
        return Element("NodeLost", f"the node {node} does not answer", is_over=True)

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
            index, element = causes.index_of(pod, INDEX), described(pod)
            if element is not None and index in wanted:
                found[index] = element
        return found

    def _page(self, job: str, phase: str) -> list[dict[str, Any]]:
        some = self._call(self._core.list_namespaced_pod, **_of(job, phase), limit=_PAGE)
        return list(some["items"])

    def _report_refused(self, job: str) -> None:
        """Report why no more pods are created: most often a quota."""
        which = f"involvedObject.kind=Job,involvedObject.name={job},reason=FailedCreate"
        events = self._call(self._core.list_namespaced_event, field_selector=which, limit=_PAGE)
        for event in events["items"][-1:]:
            # The pod's name in it is another each time.
            why = str(event.get("message", "")).partition("is forbidden: ")
            self._report(job, f"Tasks of the job {job} wait for pods: {why[2] or why[0]}")

    def _report(self, of: str, why: str) -> None:
        """Once, though the figures in it change."""
        key = of + re.sub(r"\d+", "", why)
        if key not in self._reported:
            self._reported.add(key)
            _log.warning("%s.", why.rstrip("."))

    def _listed(self, ask: Callable[..., Any], **which: Any) -> Iterator[dict[str, Any]]:
        """All objects, page by page; from the beginning where the pages have expired."""
        while True:
            found: list[dict[str, Any]] = []
            more: dict[str, Any] = {}
            try:
                while True:
                    page = self._call(ask, limit=_PAGE, **which, **more)
                    found += page["items"]
                    token = page["metadata"].get("continue")
                    if not token:
                        yield from found
                        return
                    more = {"_continue": token}
            except _RefusedError as error:
                if error.status != 410:
                    raise

    def _call(self, ask: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        """An answer of the API server.

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
            sentence = f"Kubernetes refuses: {_words(error)}."
            if status in _PASSING or not status:
                raise PassingError(sentence, perhaps_done=True) from None
            if "exceeded quota" in sentence:
                self._report("quota", f"{sentence.rstrip('.')} More are sent when there is room")
                raise PassingError(sentence) from None
            raise _RefusedError(sentence, status) from None
        except (HTTPError, OSError, ValueError) as error:
            why = f"Kubernetes gives no answer: {error}."
            raise PassingError(why, perhaps_done=True) from None
        if not isinstance(data, dict):
            raise PassingError("Kubernetes gives no answer: it is no object.", perhaps_done=True)
        return data


class _RefusedError(ClusterError):
    """A refusal with its HTTP status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


_COMPLETE = Element("Complete", is_over=True)


def _of(job: str, phase: str) -> dict[str, str]:
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
