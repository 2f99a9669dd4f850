"""What can be refused before a machine is started, one sentence each."""

from __future__ import annotations

from benchmark.compute import methods
from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws
from benchmark.compute.aws.prices import Offer
from benchmark.compute.baremetal import template
from benchmark.compute.baremetal.state import METHOD
from benchmark.config.extras import program
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, as_config_errors
from benchmark.execution.machine import billing
from benchmark.frameworks import registry

# The system, the worker, and its runners with their preloaded interpreters.
_KEPT_MB = 512
# The system packages of frameworks: Debian's names, and those of Amazon Linux 2023.
_AMAZON_LINUX = {
    "libgomp1": "libgomp",
    "openjdk-17-jre-headless": "java-17-amazon-corretto-headless",
}


def check(config: Config) -> None:
    """Refuse what a fleet cannot do with this configuration; nothing is made or changed.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    if not config.ec2_template:
        raise ConfigError(
            "'ec2_template' is unset, and the method baremetal starts its machines from a launch "
            f"template; set it to one's id or name, or let `{program()} init-compute --create` "
            "make one."
        )
    if not config.store_url.startswith("s3://"):
        raise ConfigError(
            f"The results would go to {config.store_url}, which machines of EC2 cannot reach; "
            "name a bucket in 's3_bucket_root'."
        )
    with as_config_errors():
        aws = Aws()
        data = template.check(aws, config.ec2_template)
        usable(aws, config)
        packages(config, amazon_linux=not (config.cluster_image or data.get("ImageId")))


def usable(aws: Aws, config: Config) -> list[Offer]:
    """The configured types that a task fits, with their prices.

    Raises:
        ConfigError: no type is large enough, they are of two architectures, or a type is unknown.
    """
    types = config.instance_types or [config.cluster_type]
    found = prices.offers(aws, types, on_demand=config.on_demand)
    usable_mb = packing(config).usable_mb
    large = [one for one in found if one.vcpus >= config.cores and usable_mb(one) >= config.memory]
    if not large:
        largest = max(found, key=lambda one: (one.vcpus, one.memory_mb))
        raise ConfigError(
            f"A task takes {config.cores} cores and {config.memory} MiB, and "
            f"{largest.instance_type} has {largest.vcpus} and {usable_mb(largest)} for tasks (of "
            f"{largest.memory_mb}); name larger 'instance_types'."
        )
    kinds = sorted({one.architecture for one in large})
    if len(kinds) > 1:
        raise ConfigError(
            f"'instance_types' are of the architectures {' and '.join(kinds)}; name types of one."
        )
    return large


def packages(config: Config, *, amazon_linux: bool) -> dict[str, list[str]]:
    """The system packages of the frameworks that run here, by the program that installs them.

    Raises:
        ConfigError: the machines run Amazon Linux, which is not known to have a package.
    """
    found = registry.scan(config.frameworks_path).frameworks
    wanted: dict[str, str] = {}
    for name in methods.frameworks_of(config, METHOD).values():
        framework = found.get(name.partition("@")[0])
        if framework is not None:
            wanted |= dict.fromkeys(framework.packages, framework.name)
    for package, framework_name in wanted.items():
        if amazon_linux and package not in _AMAZON_LINUX:
            raise ConfigError(
                f"{framework_name} needs the Debian package {package}, and the machines would run "
                "Amazon Linux 2023, which has none of this name; name an AMI of Debian or Ubuntu "
                "in 'cluster_image'."
            )
    return {
        "apt-get": sorted(wanted),
        "dnf": sorted(_AMAZON_LINUX.get(package, package) for package in wanted),
    }


def packing(config: Config) -> prices.Packing:
    """How many tasks a machine holds: `parallel` at most."""
    return prices.Packing(usable=prices.USABLE, most_tasks=config.parallel, kept_mb=_KEPT_MB)


def slots(config: Config, offer: Offer) -> int:
    """How many tasks a machine of that type holds side by side."""
    return billing.tasks_of(packing(config).shape(offer), prices.resources_of(config))
