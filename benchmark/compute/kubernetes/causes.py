"""Why a pod ended as it did, or does not start, in Kubernetes' own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.compute.cluster import Element
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

# Reasons for which a container does not start; of the image, and of what the pod refers to.
NO_START = {
    *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"),
    *("CreateContainerConfigError", "CreateContainerError", "RunContainerError"),
}
_ENDED = {"ContainerCannotRun", "StartError"}
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
_SIGKILL, _SIGTERM = 137, 143


def index_of(pod: Mapping[str, Any], annotation: str) -> int:
    """The index of a pod of an Indexed Job; -1 of another."""
    text = (pod["metadata"].get("annotations") or {}).get(annotation, "")
    return int(text) if text.isdigit() else -1


def ended(pod: Mapping[str, Any]) -> Element:
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


def waiting(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Why a pod has not started: Kubernetes' word and its sentence; empty where it gives none."""
    status = pod.get("status") or {}
    for one in status.get("containerStatuses") or []:
        waits = (one.get("state") or {}).get("waiting") or {}
        if waits.get("reason") in NO_START:
            return str(waits["reason"]), str(waits.get("message") or "")
    scheduled = _condition(status, "PodScheduled", "False")
    if scheduled:
        return str(scheduled.get("reason") or ""), str(scheduled.get("message") or "")
    return "", ""


def cause_of(element: Element | None) -> tuple[Cause, str]:  # noqa: PLR0911  a case a line
    """The cause where the task itself left no record."""
    if element is None:
        return Cause.INFRASTRUCTURE, "Kubernetes does not know the job any more."
    words = f"{element.state}: {element.reason}" if element.reason else element.state
    if element.state in _CAUSES:
        cause, sentence = _CAUSES[element.state]
        return cause, f"{sentence} ({words})."
    if element.state in NO_START | _ENDED:
        return Cause.SETUP, f"The container could not start ({words})."
    if element.code == str(_SIGTERM):
        return Cause.INTERRUPTED, f"The container was ended by SIGTERM ({words})."
    if element.code == str(_SIGKILL):
        return Cause.INFRASTRUCTURE, f"The container was killed from outside ({words})."
    if element.code:
        code = f"The container ended with exit code {element.code} and left no record"
        return Cause.INFRASTRUCTURE, f"{code} ({words})."
    return Cause.INFRASTRUCTURE, f"The pod ended without a container ({words})."


def _terminated(status: Mapping[str, Any]) -> dict[str, Any]:
    for one in status.get("containerStatuses") or []:
        found = (one.get("state") or {}).get("terminated")
        if found:
            return dict(found)
    return {}


def _condition(status: Mapping[str, Any], kind: str, value: str = "True") -> dict[str, Any] | None:
    found = [one for one in status.get("conditions") or [] if one["type"] == kind]
    return dict(found[0]) if found and found[0]["status"] == value else None
