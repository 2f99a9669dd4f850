"""What tasks cost in the queue: the prices of the machines of its compute environments."""

from __future__ import annotations

import logging
from dataclasses import replace

from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.aws.prices import Offer
from benchmark.compute.batch.definition import MOST_ATTEMPTS
from benchmark.compute.dispatcher import Rate
from benchmark.compute.images import RESERVE_MB
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, as_config_errors
from benchmark.records.tasks import Run

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
