"""The queue of the jobs: is it there, and can anything in it ever start?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.compute.batch.watching import listed
from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmark.compute.aws.clients import Aws


def check_queue(aws: Aws, named: str) -> None:
    """Refuse a queue that is not there or where nothing would start.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    if named.startswith("arn:"):
        region = named.split(":")[3]
        if region != aws.region:
            raise ConfigError(
                f"'job_queue_id' is a queue in {region} and the region is {aws.region}; set "
                f"AWS_REGION={region}, or name a queue in {aws.region}."
            )
    found = aws.call("batch", "describe_job_queues", jobQueues=[named])["jobQueues"]
    if not found:
        there = aws.call("batch", "describe_job_queues")["jobQueues"]
        names = ", ".join(sorted(queue["jobQueueName"] for queue in there)) or "none"
        raise ConfigError(
            f"'job_queue_id' is {named}, and there is no such job queue in {aws.region} (there: "
            f"{names}); correct it, or set AWS_REGION to the queue's region."
        )
    fault = _fault(aws, found[0])
    if fault:
        raise ConfigError(fault)


def stuck(aws: Aws, named: str, jobs: Iterable[str]) -> str | None:
    """Why none of the jobs (ids) will ever start, if that is so."""
    found = aws.call("batch", "describe_job_queues", jobQueues=[named])["jobQueues"]
    if not found:
        return f"The job queue {named} is gone."
    fault = _fault(aws, found[0])
    if fault:
        return fault
    for job in jobs:
        for child in listed(aws, arrayJobId=job, jobStatus="RUNNABLE"):
            why = str(child.get("statusReason", ""))
            if why.startswith("MISCONFIGURATION"):
                return f"AWS Batch cannot start the jobs in {named}: {why.rstrip('.')}."
            break  # The first is at the head of the queue; only there AWS gives a reason.
    return None


def _fault(aws: Aws, queue: dict[str, Any]) -> str | None:
    name = queue["jobQueueName"]
    if queue.get("state") == "DISABLED":
        return f"The job queue {name} is disabled; enable it, or name another in 'job_queue_id'."
    if queue.get("status") in ("INVALID", "DELETING", "DELETED"):
        why = str(queue.get("statusReason") or "AWS gives no reason").rstrip(".")
        return f"The job queue {name} is {queue['status']} ({why}); mend it, or name another."
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
