"""The queue of the jobs: whether anything in it can start, and what its machines cost."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.aws.prices import Offer
from benchmark.compute.batch.definition import MOST_ATTEMPTS
from benchmark.compute.batch.jobs import describe, listed
from benchmark.compute.dispatcher import Rate
from benchmark.compute.images import RESERVE_MB
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, as_config_errors
from benchmark.records.tasks import Run

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


_log = logging.getLogger("benchmark.compute")


def machines(aws: Aws, config: Config, queue: str) -> tuple[list[Offer], str, int]:
    """The types that the queue may start, with their prices, their lifecycle, and how many cores
    they have at most; 0 where that is not known.

    Of an environment that AWS does not manage, or of Fargate, the types are not known: then those
    of 'instance_types' are meant, which may be none.
    """
    found = aws.call("batch", "describe_job_queues", jobQueues=[queue])["jobQueues"]
    order = [
        one["computeEnvironment"]
        for one in (found[0] if found else {}).get("computeEnvironmentOrder", [])
    ]
    types: list[str] = []
    cores = 0
    lifecycle = prices.SPOT
    if order:
        page = aws.call("batch", "describe_compute_environments", computeEnvironments=order)
        for one in page["computeEnvironments"]:
            resources = one.get("computeResources") or {}
            types += resources.get("instanceTypes") or []
            cores += int(resources.get("maxvCpus") or 0)
            if resources.get("type") == "EC2":
                lifecycle = prices.ON_DEMAND
    types = list(dict.fromkeys(types or config.instance_types))
    if not types:
        return [], lifecycle, cores
    return prices.offers(aws, types, on_demand=lifecycle == prices.ON_DEMAND), lifecycle, cores


def rate_of_queue(config: Config) -> Rate | None:
    """What a task costs in the configured queue; None where its machines are not known.

    Raises:
        ConfigError: 'max_cost' is set and could not be kept.
    """
    if not config.job_queue_id:
        return None
    other = config.aws.on_demand_queue
    rate = _rate(config, config.job_queue_id)
    if rate and other:  # A task may come to run in either.
        rate = prices.dearest((rate, _rate(config, other)))
    return rate


def _rate(config: Config, queue: str) -> Rate | None:
    with as_config_errors():
        found, lifecycle, cores = machines(Aws(), config, queue)
    rate = prices.rate_of(found, config, lifecycle, prices.batch_packing(RESERVE_MB))
    if rate is None and config.max_cost is not None:
        raise ConfigError(
            f"'max_cost' is {config.max_cost:g}, and what the machines of {queue} "
            "cost is not known; name their types in 'instance_types', or unset 'max_cost'."
        )
    if rate is None or rate.machines is None:
        return rate
    # Batch may exceed its limit by one machine, and tries a job whose machine is lost again.
    largest = max(one.vcpus for one in found)
    most = (cores + largest) // config.cores if cores else rate.machines.most
    return replace(
        rate,
        tries=min(config.max_attempts, MOST_ATTEMPTS),
        machines=replace(rate.machines, most=most),
    )


def note_prices(aws: Aws, run: Run, config: Config, queue: str) -> None:
    """Tell the runners what their machines cost; without the right to ask they will not know."""
    other = config.aws.on_demand_queue
    found: list[Offer] = []
    try:
        for one in (queue, *((other,) if other else ())):
            found += machines(aws, config, one)[0]
    except RefusedError as error:
        _log.warning("Records will have no cost: %s", error)
        return
    if found:
        prices.write_prices(run, found, prices.batch_packing(RESERVE_MB))
