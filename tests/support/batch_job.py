"""A job of the double of AWS Batch, and how AWS tells it."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

ENDED = ("SUCCEEDED", "FAILED")


@dataclass
class Job:
    """A job, or a child of an array, or an array's parent (which has children and no process)."""

    id: str
    name: str
    queue: str
    definition: dict[str, Any]
    overrides: dict[str, Any]
    index: int | None = None
    children: list[Job] = field(default_factory=list)
    status: str = "RUNNABLE"
    reason: str | None = None
    status_reason: str | None = None
    exit_code: int | None = None
    attempts: int = 0
    ended: list[dict[str, Any]] = field(default_factory=list)
    terminated: str | None = None
    ends_with: str | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    stop_at: float = 0.0
    weighed: float = 0.0

    @property
    def stream(self) -> str:
        return f"{self.id.replace(':', '-')}-{self.attempts}.log"

    @property
    def state(self) -> str:
        if not self.children:
            return self.status
        if any(child.status not in ENDED for child in self.children):
            return "PENDING"
        return "FAILED" if any(c.status == "FAILED" for c in self.children) else "SUCCEEDED"

    def told_of_attempt(self) -> dict[str, Any]:
        """As describe_jobs gives an attempt that has ended; times in milliseconds."""
        told = self.described()
        kept = {key: told[key] for key in ("container", "statusReason") if key in told}
        times = {"startedAt": told["startedAt"]} if self.started else {}
        return kept | times | {"stoppedAt": int(time.time() * 1000)}

    def described(self) -> dict[str, Any]:
        """As list_jobs gives it."""
        said: dict[str, Any] = {"jobId": self.id, "jobName": self.name, "status": self.state}
        said |= {"createdAt": 0, "jobQueue": self.queue}
        said["jobDefinition"] = self.definition["jobDefinitionArn"]
        container = {}
        if self.exit_code is not None:
            container["exitCode"] = self.exit_code
        if self.reason:
            container["reason"] = self.reason
        if self.attempts and self.reason is None:
            container["logStreamName"] = self.stream
        if container:
            said["container"] = container
        if self.started:
            said["startedAt"] = int((time.time() - time.monotonic() + self.started) * 1000)
        if self.status_reason:
            said["statusReason"] = self.status_reason
        if self.terminated is not None:
            said["isTerminated"] = True
        if self.index is not None:
            said["arrayProperties"] = {"index": self.index}
        if self.children:
            counts = Counter(child.status for child in self.children)
            said["arrayProperties"] = {"size": len(self.children), "statusSummary": dict(counts)}
        return said
