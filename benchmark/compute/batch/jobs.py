"""Jobs of AWS Batch: to submit, find and end them, and to see which have ended and why.

A job's queue and definition stand in the options of its submission. A job is a dict as
`describe_jobs` and `list_jobs` give it. An array's parent counts its children by state; they are
listed only when that count has grown.

Attempts that were lost with their machine and that AWS Batch has made again could say nothing
themselves: `end_lost` ends them by AWS's word, with why, when, and what the time has cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmark.compute.aws.clients import Aws, batches
from benchmark.compute.submissions import Submission
from benchmark.compute.submitting import cause_of_exit
from benchmark.execution.machine import billing
from benchmark.records import results
from benchmark.records.results import Attempt, Cause, Record
from benchmark.records.tasks import Run, Task

LARGEST_ARRAY = 10_000
DESCRIBED_AT_ONCE = 100
_LISTED_AT_ONCE = 1000
_MOVING = ("STARTING", "RUNNING")
ENDED = ("SUCCEEDED", "FAILED")
HOST_LOSS = "Host EC2"
# The clocks of AWS and of the machine may differ by so much.
_SKEW_S = 2.0
_NO_START = (
    *("CannotPullContainer", "CannotPullECRContainer", "CannotCreateContainer"),
    *("CannotStartContainer", "ResourceInitializationError", "MISCONFIGURATION"),
)


def submit(aws: Aws, run: Run, submission: Submission, variables: Mapping[str, str]) -> str:
    """Ask AWS for the job once, and return its id; what a lost reply left is for `find`."""
    arguments: dict[str, Any] = {
        "jobName": submission.name,
        "jobQueue": submission.options["queue"],
        "jobDefinition": submission.options["definition"],
        "containerOverrides": {
            "command": [run.store.url, run.name, "--job", submission.name],
            "environment": [{"name": k, "value": v} for k, v in variables.items()],
        },
    }
    if len(submission.keys) > 1:
        arguments["arrayProperties"] = {"size": len(submission.keys)}
    return str(aws.call("batch", "submit_job", once=True, **arguments)["jobId"])


def find(aws: Aws, submission: Submission) -> str | None:
    """The id of the job, if AWS lists one of this name."""
    page = aws.call(
        "batch",
        "list_jobs",
        jobQueue=submission.options["queue"],
        filters=[{"name": "JOB_NAME", "values": [submission.name]}],
    )
    found = [job for job in page["jobSummaryList"] if job["jobName"] == submission.name]
    return str(found[0]["jobId"]) if found else None


def end(aws: Aws, run: Run, jobs: Iterable[str]) -> None:
    """Terminate jobs with all their children, whatever state they are in."""
    for job in jobs:
        reason = f"The run {run.name} was stopped"
        aws.call("batch", "terminate_job", jobId=job, reason=reason)


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
    for some in batches(list(jobs), DESCRIBED_AT_ONCE):
        page = aws.call("batch", "describe_jobs", jobs=some)
        found |= {job["jobId"]: job for job in page["jobs"]}
    return found


def starts(aws: Aws, ended: Iterable[Ended]) -> dict[str, int]:
    """How often AWS has tried to start jobs that were lost, by task."""
    lost = {one.key: one.job.get("jobId", "") for one in ended if cause_of(one.job)[0].is_retried}
    jobs = describe(aws, filter(None, dict.fromkeys(lost.values())))
    return {key: len(jobs[job].get("attempts") or ()) for key, job in lost.items() if job in jobs}


def listed(aws: Aws, array: str, status: str) -> Iterator[dict[str, Any]]:
    """The children of an array that are in a state."""
    asked = {"arrayJobId": array, "jobStatus": status, "maxResults": _LISTED_AT_ONCE}
    yield from aws.items("batch", "list_jobs", "jobSummaryList", **asked)


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
    if any(name in words for name in _NO_START):
        return Cause.SETUP, f"The container could not start ({words})."
    if job.get("isTerminated") or job.get("isCancelled"):
        return Cause.INTERRUPTED, f"The job was terminated ({words or 'no reason was given'})."
    if status.startswith(HOST_LOSS):
        return Cause.INFRASTRUCTURE, f"The machine of the job was lost ({words})."
    return cause_of_exit(container.get("exitCode"), words or "no reason was given")


def tried_again(known: Iterable[Submission], last: Mapping[str, int]) -> dict[str, str]:
    """By task, the job that has started more than one attempt of it, or the array's child.

    `last` are the numbers of the tasks' last attempts.
    """
    found = {}
    for one in known:
        for key in last.keys() & one.positions.keys():
            index = one.positions[key]
            if last[key] > one.since[index] + 1:
                found[key] = f"{one.job}:{index}" if len(one.keys) > 1 else str(one.job)
    return found


def end_lost(aws: Aws, run: Run, retried: Mapping[str, str]) -> None:
    """End the attempts of these tasks (with their jobs) that others have followed.

    Raises:
        BenchmarkError: AWS does not answer, or denies to.
    """
    lost = {key: attempts for key in retried if (attempts := results.unended(run, key))}
    jobs = describe(aws, (retried[key] for key in lost))
    for key, attempts in lost.items():
        facts = jobs.get(retried[key], {}).get("attempts") or []
        for attempt in attempts:
            results.settle(run, attempt, _ended(run.task(key), attempt, facts))


def took_s(facts: Mapping[str, Any]) -> float | None:
    """For how long a job, or an attempt of it, had a container; None where AWS does not say."""
    if not facts.get("startedAt") or not facts.get("stoppedAt"):
        return None
    return float(facts["stoppedAt"] - facts["startedAt"]) / 1000


def _away_s(facts: Mapping[str, Any], moment: float) -> float:
    """How far the moment is from the time in which AWS's attempt had a container."""
    return float(max(facts["startedAt"] / 1000 - moment, moment - facts["stoppedAt"] / 1000, 0))


def _ended(task: Task, attempt: Attempt, facts: Iterable[Mapping[str, Any]]) -> Record:
    """How it ended by AWS's word; of an attempt that AWS does not know, that it did."""
    begun = datetime.fromisoformat(attempt.begun).timestamp()
    near = {away: one for one in facts if took_s(one) and (away := _away_s(one, begun)) <= _SKEW_S}
    one = near[min(near)] if near else {}
    took = took_s(one)
    if took is None:
        return results.failure(task, Cause.INFRASTRUCTURE, results.NO_TRACE, host=attempt.host)
    cause, message = cause_of(one)
    if cause.is_result:  # The task was started again, so this end is no result.
        cause = Cause.INFRASTRUCTURE
    return results.failure(
        task,
        cause,
        message,
        host=attempt.host,
        total_s=took,
        cost=billing.cost(attempt.host, task.resources, took),
        ended=datetime.fromtimestamp(one["stoppedAt"] / 1000, UTC).isoformat("T", "milliseconds"),
    )
