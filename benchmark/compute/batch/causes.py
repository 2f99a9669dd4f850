"""Why a job of AWS Batch ended as it did: the cause, and a sentence with AWS's own words.

A job is a dict as `describe_jobs` and `list_jobs` give it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.records.results import Cause

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDED = ("SUCCEEDED", "FAILED")
HOST_LOSS = "Host EC2"
_NO_START = (
    *("CannotPullContainer", "CannotPullECRContainer", "CannotCreateContainer"),
    *("CannotStartContainer", "ResourceInitializationError", "MISCONFIGURATION"),
)
_SIGTERM, _SIGKILL = 143, 137


def cause_of(job: Mapping[str, Any]) -> tuple[Cause, str]:  # noqa: PLR0911  a case a line
    """The cause where the task itself left no word, by what the engine says."""
    container = job.get("container") or {}
    reason = str(container.get("reason") or "").strip()
    status = str(job.get("statusReason") or "").strip()
    code = container.get("exitCode")
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
    if code == _SIGTERM:
        return Cause.INTERRUPTED, f"The container was ended by SIGTERM ({words})."
    if code == _SIGKILL:
        return Cause.INFRASTRUCTURE, f"The container was killed from outside ({words})."
    if code is None:
        return Cause.INFRASTRUCTURE, f"The job ended without a container ({words or 'no reason'})."
    end = f"; AWS Batch says: {words}" if words else ""
    return Cause.INFRASTRUCTURE, f"The container ended with exit code {code} and no word{end}."
