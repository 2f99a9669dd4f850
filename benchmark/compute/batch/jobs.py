"""Jobs of AWS Batch, as a `Cluster`: which have ended and why.

A job's queue and definition stand in the options of its submission. A job is a dict as
`describe_jobs` and `list_jobs` give it. An array's parent counts its children by state; they are
listed only when that count has grown.

Attempts that were lost with their machine and that AWS Batch has made again could say nothing
themselves: `end_lost` ends them by AWS's word, with why, when, and what the time has cost.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmark.compute.aws.clients import Aws, RefusedError, batches, bucket_variables
from benchmark.compute.cluster import (
    Cluster,
    ClusterError,
    Element,
    Elements,
    Request,
    cause_of_exit,
)
from benchmark.compute.submissions import Submission
from benchmark.execution.machine import billing
from benchmark.records import results
from benchmark.records.results import Attempt, Cause, Record
from benchmark.records.tasks import Run, Task

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


class Batch(Cluster):
    """The jobs of one run, by default in `queue`, and what has been listed of them."""

    name = "AWS Batch"

    def __init__(self, run: Run, queue: str) -> None:
        self._run, self._queue = run, queue
        self._counted: dict[str, int] = {}
        self._over: set[str] = set()
        self._ended: dict[str, dict[int, Mapping[str, Any]]] = {}

    @functools.cached_property
    def aws(self) -> Aws:
        return Aws()

    def submit(self, request: Request, script: str) -> str:
        """Ask AWS for the job once; what a lost reply left is for `find`. `script` are the
        arguments of its image."""
        variables = bucket_variables(self.aws.region)
        arguments: dict[str, Any] = {
            "jobName": request.name,
            "jobQueue": request.options["queue"],
            "jobDefinition": request.options["definition"],
            "containerOverrides": {
                "command": shlex.split(script),
                "environment": [{"name": k, "value": v} for k, v in variables.items()],
            },
        }
        if request.size > 1:
            arguments["arrayProperties"] = {"size": request.size}
        return str(self.aws.call("batch", "submit_job", once=True, **arguments)["jobId"])

    def find(self, name: str, queue: str | None = None) -> str | None:
        """The id of the job, if AWS lists one of this name in the queue."""
        which = [{"name": "JOB_NAME", "values": [name]}]
        page = self.aws.call("batch", "list_jobs", jobQueue=queue or self._queue, filters=which)
        found = [job for job in page["jobSummaryList"] if job["jobName"] == name]
        return str(found[0]["jobId"]) if found else None

    def present(self, jobs: Collection[Submission] = ()) -> Elements:
        known = describe(self.aws, (one.job for one in jobs if one.job))
        return {job: self._elements(one, known[job]) for one in jobs if (job := one.job) in known}

    def past(self, jobs: Mapping[str, Collection[int]]) -> Elements:
        """Jobs and children that were seen to have ended, with their attempts."""
        seen = {job: self._ended.get(job, {}) for job in jobs}
        ids = {
            (job, index): str(seen[job][index]["jobId"])
            for job, some in jobs.items()
            for index in some
            if index in seen[job]
        }
        known = describe(self.aws, dict.fromkeys(ids.values()))
        found: Elements = {job: {} for job in jobs}
        for (job, index), child in ids.items():
            facts = known.get(child, seen[job][index])
            starts = len(facts.get("attempts") or ()) if child in known else 1
            found[job][index] = Element(
                facts["status"], is_over=True, starts=starts, took_s=took_s(facts), facts=facts
            )
        return found

    def cancel(self, jobs: Collection[str]) -> None:
        """Terminate jobs with all their children, whatever state they are in."""
        left = []
        for job in jobs:
            try:
                reason = f"The run {self._run.name} was stopped"
                self.aws.call("batch", "terminate_job", jobId=job, reason=reason)
            except RefusedError as refusal:
                if describe(self.aws, [job]):  # What AWS has forgotten needs no end.
                    left.append(f"{job}: {refusal}")
        if left:
            raise ClusterError("; ".join(left))

    def cancel_element(self, job: str, index: int) -> None:
        self.cancel([f"{job}:{index}"])

    def forget(self, job: str) -> bool:
        self._ended.pop(job, None)
        return True

    def cause_of(self, element: Element, log: Path) -> tuple[Cause, str]:  # noqa: ARG002
        return cause_of(element.facts)

    def _elements(self, one: Submission, job: Mapping[str, Any]) -> dict[int, Element]:
        """What became of each child, or of the one task of a job that is no array."""
        name, over = str(one.job), job["status"] in ENDED
        ended, every = self._ended.setdefault(name, {}), range(len(one.keys))
        if len(one.keys) == 1:
            ended |= {0: job} if over else {}
            moves = job["status"] in _MOVING
        else:
            counts = (job.get("arrayProperties") or {}).get("statusSummary") or {}
            moves = any(counts.get(state, 0) for state in _MOVING)
            failed = counts.get("FAILED", 0)
            waited = set(one.indices.values())
            if failed > self._counted.get(name, 0) or (over and waited - ended.keys()):
                ended |= self._listed(name, "FAILED")
                self._counted[name] = failed
            # A task that succeeded has its record, which is seen in the store before.
            if over and waited - ended.keys():
                ended |= self._listed(name, "SUCCEEDED")
                if name in self._over:  # An array that ended before its children were made.
                    ended |= dict.fromkeys(waited - ended.keys(), job)
                self._over.add(name)
        rest = Element(job["status"], waits=not (moves or over))
        over_ones = {n: Element("", is_over=True, facts=facts) for n, facts in ended.items()}
        return dict.fromkeys(every, rest) | over_ones

    def _listed(self, array: str, status: str) -> dict[int, Mapping[str, Any]]:
        children = listed(self.aws, array, status)
        return {int(str(job["jobId"]).rpartition(":")[2]): job for job in children}


def describe(aws: Aws, jobs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The jobs that AWS knows, by id."""
    found: dict[str, dict[str, Any]] = {}
    for some in batches(list(jobs), DESCRIBED_AT_ONCE):
        page = aws.call("batch", "describe_jobs", jobs=some)
        found |= {job["jobId"]: job for job in page["jobs"]}
    return found


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
