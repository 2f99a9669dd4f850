"""Why a job of AWS Batch ended as it did: the cause, and a sentence with AWS's own words.

A job is a dict as `describe_jobs` and `list_jobs` give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.compute.submitting import cause_of_exit
from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDED = ("SUCCEEDED", "FAILED")
HOST_LOSS = "Host EC2"
_NO_START = (
    *("CannotPullContainer", "CannotPullECRContainer", "CannotCreateContainer"),
    *("CannotStartContainer", "ResourceInitializationError", "MISCONFIGURATION"),
)


def cause_of(job: Mapping[str, Any]) -> tuple[Cause, str]:
    """The cause where the task itself left no word, by what the engine says."""
    container = job.get("container") or {}
    reason = str(container.get("reason") or "").strip()
    status = str(job.get("statusReason") or "").strip()
    words = "; ".join(dict.fromkeys(part.rstrip(".") for part in (reason, status) if part))
    if "attempt duration exceeded timeout" in status:
        return Cause.TIMEOUT, f"AWS Batch ended the job at its time limit ({words})."
    if "OutOfMemory" in words:
        return Cause.MEMORY, f"The container was killed for its memory ({words})."
    if job.get("isTerminated") or job.get("isCancelled"):
        return Cause.INTERRUPTED, f"The job was terminated ({words or 'no reason was given'})."
    if status.startswith(HOST_LOSS):
        return Cause.INFRASTRUCTURE, f"The machine of the job was lost ({words})."
    if any(name in words for name in _NO_START):
        return Cause.SETUP, f"The container could not start ({words})."
    return cause_of_exit(container.get("exitCode"), words or "no reason was given")
