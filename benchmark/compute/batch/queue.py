"""The queue of the jobs: is it there, and can anything in it ever start?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.compute.aws.clients import Aws
from benchmark.compute.batch.jobs import describe, listed
from benchmark.errors import ConfigError

# What AWS says of jobs that stay RUNNABLE, the gravest first.
# https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
MISCONFIGURATION, CAPACITY = "MISCONFIGURATION", "CAPACITY"
REASONS = (MISCONFIGURATION, "ACTION_REQUIRED", CAPACITY, "UNDETERMINED")


def check_queue(aws: Aws, named: str, key: str = "job_queue_id") -> None:
    """Refuse a queue that is not there or where nothing would start.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    if named.startswith("arn:"):
        region = named.split(":")[3]
        if region != aws.region:
            raise ConfigError(
                f"'{key}' is a queue in {region} and the region is {aws.region}; set "
                f"AWS_REGION={region}, or name a queue in {aws.region}."
            )
    found = aws.call("batch", "describe_job_queues", jobQueues=[named])["jobQueues"]
    if not found:
        there = aws.call("batch", "describe_job_queues")["jobQueues"]
        names = ", ".join(sorted(queue["jobQueueName"] for queue in there)) or "none"
        raise ConfigError(
            f"'{key}' is {named}, and there is no such job queue in {aws.region} (there: "
            f"{names}); correct it, or set AWS_REGION to the queue's region."
        )
    fault = _fault(aws, found[0])
    if fault:
        raise ConfigError(fault)


@dataclass(frozen=True)
class Stuck:
    """Why jobs do not start: AWS's reason, and a sentence with its words."""

    reason: str
    sentence: str

    @property
    def is_for_good(self) -> bool:
        return self.reason == MISCONFIGURATION


def stuck(aws: Aws, named: str, jobs: Iterable[str], arrays: Iterable[str]) -> Stuck | None:
    """Why the single jobs and the children of arrays (ids) do not start, if AWS says so.

    AWS gives the reason to the job at the head of its queue, which may be any child.
    """
    found = aws.call("batch", "describe_job_queues", jobQueues=[named])["jobQueues"]
    if not found:
        return Stuck(MISCONFIGURATION, f"The job queue {named} is gone.")
    fault = _fault(aws, found[0])
    if fault:
        return Stuck(MISCONFIGURATION, fault)
    reasons: dict[str, str] = {}
    for job in _waiting(aws, jobs, arrays):
        why = str(job.get("statusReason") or "").strip()
        word = next((one for one in REASONS if why.startswith(one)), None)
        if word:
            reasons.setdefault(word, why)
        if word == MISCONFIGURATION:
            break
    for word in REASONS:
        if word in reasons:
            does = "cannot" if word == MISCONFIGURATION else "does not"
            why = reasons[word].rstrip(".")
            return Stuck(word, f"AWS Batch {does} start the jobs in {named}: {why}.")
    return None


def _waiting(aws: Aws, jobs: Iterable[str], arrays: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    for job in describe(aws, jobs).values():
        if job["status"] == "RUNNABLE":
            yield job
    for array in arrays:
        yield from listed(aws, array, "RUNNABLE")


def _fault(aws: Aws, queue: dict[str, Any]) -> str | None:
    name = queue["jobQueueName"]
    if queue.get("state") == "DISABLED":
        return f"The job queue {name} is disabled; enable it, or name another in 'job_queue_id'."
    if queue.get("status") in ("INVALID", "DELETING", "DELETED"):
        why = str(queue.get("statusReason") or "AWS gives no reason").rstrip(".")
        return f"The job queue {name} is {queue['status']} ({why}); fix it, or name another."
    order = [one["computeEnvironment"] for one in queue.get("computeEnvironmentOrder", [])]
    if not order:
        return None
    page = aws.call("batch", "describe_compute_environments", computeEnvironments=order)
    environments = page["computeEnvironments"]
    working = [
        one
        for one in environments
        if one.get("state") == "ENABLED" and one.get("status") != "INVALID"
    ]
    if working:
        return None
    states = "; ".join(
        f"{one['computeEnvironmentName']} is {one.get('state')}, {one.get('status')}"
        + (f" ({one['statusReason'].rstrip('.')})" if one.get("statusReason") else "")
        for one in environments
    )
    return (
        f"The job queue {name} has no compute environment that works ({states or 'all are gone'}); "
        "enable one."
    )
