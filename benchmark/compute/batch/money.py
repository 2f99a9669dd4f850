"""What tasks cost in the queue: the prices of the machines of its compute environments."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.errors import BenchmarkError, ConfigError

if TYPE_CHECKING:
    from benchmark.compute.aws.prices import Offer
    from benchmark.compute.dispatcher import Rate
    from benchmark.config import Config
    from benchmark.tasks import Run

_log = logging.getLogger("benchmark.compute")


def machines(aws: Aws, config: Config, queue: str) -> tuple[list[Offer], str]:
    """The types that the queue may start, with their prices, and their lifecycle.

    Of an environment that AWS does not manage, or of Fargate, the types are not known: then those
    of 'instance_types' are meant, which may be none.
    """
    found = aws.call("batch", "describe_job_queues", jobQueues=[queue])["jobQueues"]
    order = [
        one["computeEnvironment"]
        for one in (found[0] if found else {}).get("computeEnvironmentOrder", [])
    ]
    types: list[str] = []
    lifecycle = prices.SPOT
    if order:
        page = aws.call("batch", "describe_compute_environments", computeEnvironments=order)
        for one in page["computeEnvironments"]:
            resources = one.get("computeResources") or {}
            types += resources.get("instanceTypes") or []
            if resources.get("type") == "EC2":
                lifecycle = prices.ON_DEMAND
    types = list(dict.fromkeys(types or config.instance_types))
    if not types:
        return [], lifecycle
    return prices.offers(aws, types, on_demand=lifecycle == prices.ON_DEMAND), lifecycle


def rate_of_queue(config: Config) -> Rate | None:
    """What a task costs in the configured queue; None where its machines are not known.

    Raises:
        ConfigError: 'max_cost' is set and could not be kept.
    """
    if not config.job_queue_id:
        return None
    try:
        found, lifecycle = machines(Aws(), config, config.job_queue_id)
    except ConfigError:
        raise
    except BenchmarkError as error:
        raise ConfigError(str(error)) from None
    rate = prices.rate_of(found, config, lifecycle)
    if rate is None and config.max_cost is not None:
        raise ConfigError(
            f"'max_cost' is {config.max_cost:g}, and what the machines of {config.job_queue_id} "
            "cost is not known; name their types in 'instance_types', or unset 'max_cost'."
        )
    return rate


def note_prices(aws: Aws, run: Run, config: Config, queue: str) -> None:
    """Tell the runners what their machines cost; without the right to ask they will not know."""
    try:
        found, _ = machines(aws, config, queue)
    except RefusedError as error:
        _log.warning("Records will have no cost: %s", error)
        return
    if found:
        prices.write_prices(run, found)
