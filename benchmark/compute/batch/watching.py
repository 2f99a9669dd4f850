"""What AWS Batch says of jobs: which children have ended and how, with as few calls as possible.

An array's parent counts its children by state; they are listed only when that count has grown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.compute.batch.causes import ENDED
from benchmark.compute.batch.jobs import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmark.compute.aws.clients import Aws
    from benchmark.compute.submissions import Submission

DESCRIBED_AT_ONCE = 100
_LISTED_AT_ONCE = 1000
_MOVING = ("STARTING", "RUNNING")


@dataclass(frozen=True)
class Ended:
    """A task whose job has ended, and the job as AWS describes it."""

    submission: Submission
    key: str
    job: Mapping[str, Any]

    @property
    def since(self) -> int:
        """The task's last attempt before the job was submitted."""
        return self.submission.since[self.submission.indices[self.key]]


class Watch:
    """Looks at jobs and remembers what it has listed."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._counted: dict[str, int] = {}
        self._over: set[str] = set()
        self.moving = False

    def ended(self, submissions: Sequence[Submission]) -> list[Ended]:
        """The tasks that are waited for and whose jobs have ended, each perhaps again."""
        jobs = describe(self._aws, (one.job for one in submissions if one.job))
        found: list[Ended] = []
        self.moving = False
        for one in submissions:
            if one.job is None:
                continue
            job = jobs.get(one.job)
            if job is None:
                gone = {"statusReason": f"AWS Batch does not know the job {one.job} any more"}
                found += [Ended(one, key, gone) for key in one.indices]
            elif len(one.keys) == 1:
                self.moving |= job["status"] in _MOVING
                if job["status"] in ENDED:
                    found += [Ended(one, key, job) for key in one.indices]
            else:
                found += self._children(one, job)
        return found

    def _children(self, one: Submission, parent: Mapping[str, Any]) -> Iterator[Ended]:
        counts = (parent.get("arrayProperties") or {}).get("statusSummary") or {}
        self.moving |= any(counts.get(state, 0) for state in _MOVING)
        over = parent["status"] in ENDED
        failed = counts.get("FAILED", 0)
        parent_id = str(one.job)
        waited = {index: key for key, index in one.indices.items()}
        if failed > self._counted.get(parent_id, 0) or over:
            for index, child in self._listed(parent_id, "FAILED"):
                if index in waited:
                    yield Ended(one, waited.pop(index), child)
            self._counted[parent_id] = failed
        if not over or not waited:
            return
        # A task that succeeded has its record, which is seen in the store before this is asked.
        for index, child in self._listed(parent_id, "SUCCEEDED"):
            if index in waited:
                yield Ended(one, waited.pop(index), child)
        if parent_id in self._over:  # An array that ended before its children were made.
            for key in waited.values():
                yield Ended(one, key, parent)
        self._over.add(parent_id)

    def _listed(self, parent_id: str, status: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for job in listed(self._aws, parent_id, status):
            yield int(str(job["jobId"]).rpartition(":")[2]), job


def describe(aws: Aws, jobs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The jobs that AWS knows, by id."""
    found: dict[str, dict[str, Any]] = {}
    for some in cut(list(jobs), DESCRIBED_AT_ONCE):
        page = aws.call("batch", "describe_jobs", jobs=some)
        found |= {job["jobId"]: job for job in page["jobs"]}
    return found


def listed(aws: Aws, array: str, status: str) -> Iterator[dict[str, Any]]:
    """The children of an array that are in a state."""
    asked = {"arrayJobId": array, "jobStatus": status, "maxResults": _LISTED_AT_ONCE}
    yield from aws.items("batch", "list_jobs", "jobSummaryList", **asked)
