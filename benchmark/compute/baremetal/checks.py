"""What can be refused before a machine is started, one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws
from benchmark.compute.baremetal import template
from benchmark.errors import BenchmarkError, ConfigError

if TYPE_CHECKING:
    from benchmark.compute.aws.prices import Offer
    from benchmark.config import Config


def check(config: Config) -> None:
    """Refuse what a fleet cannot do with this configuration; nothing is made or changed.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    if not config.ec2_template:
        raise ConfigError(
            "'ec2_template' is unset, and the method baremetal starts its machines from a launch "
            "template; set it to one's id or name, or let `main.py init-compute --create` make one."
        )
    if not config.store_url.startswith("s3://"):
        raise ConfigError(
            f"The results would go to {config.store_url}, which machines of EC2 cannot reach; "
            "name a bucket in 's3_bucket_root'."
        )
    try:
        aws = Aws()
        template.check(aws, config.ec2_template)
        usable(aws, config)
    except ConfigError:
        raise
    except BenchmarkError as error:
        raise ConfigError(str(error)) from None


def usable(aws: Aws, config: Config) -> list[Offer]:
    """The configured types that a task fits, with their prices.

    Raises:
        ConfigError: no type is large enough, they are of two architectures, or a type is unknown.
    """
    types = config.instance_types or [config.cluster_type]
    found = prices.offers(aws, types, on_demand=config.on_demand)
    large = [one for one in found if one.fits(config.cores, config.memory)]
    if not large:
        largest = max(found, key=lambda one: (one.vcpus, one.memory_mb))
        raise ConfigError(
            f"A task takes {config.cores} cores and {config.memory} MB, and "
            f"{largest.instance_type} has {largest.vcpus} and {largest.memory_mb}; name larger "
            "'instance_types'."
        )
    kinds = sorted({one.architecture for one in large})
    if len(kinds) > 1:
        raise ConfigError(
            f"'instance_types' are of the architectures {' and '.join(kinds)}; name types of one."
        )
    return large


def slots(config: Config, offer: Offer) -> int:
    """How many tasks a machine of that type holds side by side."""
    most = min(offer.vcpus // config.cores, offer.memory_mb // config.memory)
    return max(1, min(most, config.parallel or most))
