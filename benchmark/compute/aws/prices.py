"""What instance types offer and cost now: cores, memory, spot price and price on demand.

for offer in offers(aws, ["c5.xlarge", "m5.large"]):
    offer.spot                       # USD an hour, the cheapest zone's; None where unknown
    offer.worst("spot", "eu-west-1a")  # that zone's
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from benchmark.compute.aws.clients import Aws, RefusedError, batches
from benchmark.compute.dispatcher import Machines, Rate
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.execution.machine import billing
from benchmark.records.tasks import Resources, Run

_TYPES_AT_ONCE = 100
SPOT, ON_DEMAND = "spot", "on-demand"
# What AWS Batch chooses from by itself (since November 2025 "optimal" is "default_x86_64").
# https://docs.aws.amazon.com/batch/latest/userguide/instance-type-compute-table.html
_BUNDLES = {
    "optimal": ("m6i.*", "c6i.*", "r6i.*", "c7i.*"),
    "default_x86_64": ("m6i.*", "c6i.*", "r6i.*", "c7i.*"),
    "default_arm64": ("m6g.*", "c6g.*", "r6g.*", "c7g.*"),
}
# The kernel and ECS keep a part of the memory: an m4.large of 8192 MB offers 7985 - 32 to jobs, and
# newer families less.
USABLE = 0.92
# USD an hour: a public IPv4 address, and 30 GB of gp3 (0.08 USD a GB and month).
_ADDRESS, _DISK = 0.005, 30 * 0.08 / 730
# A machine's boot and its wait for more tasks; EC2 bills 60 s at least.
_IDLE_S = (60.0, 300.0, 900.0)
_LEFT_OUT = (
    "images in ECR, logs in CloudWatch, objects and requests of S3, traffic, and tasks that are "
    "run again after a fault of the infrastructure"
)


@dataclass(frozen=True)
class Offer:
    """An instance type. Memory in MB, prices in USD an hour, None where they are not known."""

    instance_type: str
    vcpus: int
    memory_mb: int
    architecture: str = "x86_64"
    spot: float | None = None
    on_demand: float | None = None
    zones: Mapping[str, float] = field(default_factory=dict)
    """The spot price in each zone."""

    def price(self, lifecycle: str) -> float | None:
        """The least for a machine of that lifecycle, in the cheapest zone."""
        return self.spot if lifecycle == SPOT else self.on_demand

    def worst(self, lifecycle: str, zone: str | None = None) -> float | None:
        """For a machine in that zone; where it is not known in the dearest."""
        if lifecycle != SPOT or not self.zones:
            return self.price(lifecycle)
        return self.zones.get(zone or "", max(self.zones.values()))

    def fits(self, cores: int, memory_mb: int) -> bool:
        return self.vcpus >= cores and self.memory_mb >= memory_mb


def resources_of(config: Config) -> Resources:
    return Resources(config.cores, config.memory, config.runtime, config.hard_limit)


def offers(aws: Aws, types: Sequence[str], *, on_demand: bool = False) -> list[Offer]:
    """The types with what they cost in the region now; families such as "c5" are all their types.

    Raises:
        ConfigError: a type does not exist in the region.
    """
    shapes = list(_shapes(aws, types))
    spot = _spot_prices(aws, [shape.instance_type for shape in shapes])
    return [
        replace(
            shape,
            spot=min(spot.get(shape.instance_type, {}).values(), default=None),
            on_demand=_on_demand_price(aws, shape.instance_type) if on_demand else None,
            zones=spot.get(shape.instance_type, {}),
        )
        for shape in shapes
    ]


@dataclass(frozen=True)
class Packing:
    """What a task's job takes beside the task, and how many a machine may hold at most. Of its
    memory the part `usable` is there for jobs, without the `kept_mb` of what is not a job."""

    reserve_mb: int = 0
    usable: float = 1.0
    most_tasks: int | None = None
    kept_mb: int = 0

    def usable_mb(self, offer: Offer) -> int:
        return int(offer.memory_mb * self.usable) - self.kept_mb

    def shape(self, offer: Offer) -> dict[str, Any]:
        """The machine as `billing` reads it."""
        shape = {
            "vcpus": offer.vcpus,
            "memory_mb": offer.memory_mb,
            "usable_mb": self.usable_mb(offer),
            "reserve_mb": self.reserve_mb,
        }
        return shape | ({"most_tasks": self.most_tasks} if self.most_tasks else {})


def batch_packing(reserve_mb: int) -> Packing:
    """How AWS Batch puts jobs on machines, each with so much memory beside its task's."""
    return Packing(reserve_mb, USABLE)


def rate_of(
    found: Iterable[Offer], config: Config, lifecycle: str, packing: Packing | None = None
) -> Rate | None:
    """What a task costs by its share of the machines that it fits: the least in the cheapest zone,
    the most in the dearest. A machine is shared by as many tasks as fit whole."""
    packing = packing or Packing()
    resources = resources_of(config)
    fitting: list[tuple[float, float, int, str]] = []
    for one in found:
        price = one.price(lifecycle)
        if price is not None and one.fits(config.cores, config.memory + packing.reserve_mb):
            tasks = billing.tasks_of(packing.shape(one), resources)
            fitting.append((price, one.worst(lifecycle) or price, tasks, one.instance_type))
    if not fitting:
        return None
    fitting.sort(key=lambda machine: machine[0] / machine[2])
    names = [name for *_, name in fitting]
    named = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    price, _, tasks, _ = fitting[0]
    machines = Machines(
        price=price,
        beside=_ADDRESS + _DISK,
        tasks=tasks,
        dearest=max(worst for _, worst, _, _ in fitting),
        alone=max(worst * (1 - 1 / tasks) for _, worst, tasks, _ in fitting),
        fewest=min(tasks for _, _, tasks, _ in fitting),
        most=config.cluster_size,
        idle_s=_IDLE_S,
        left_out=_LEFT_OUT,
    )
    most = max(worst / tasks for _, worst, tasks, _ in fitting)
    return Rate(price / tasks, most, f"{named}, {lifecycle}", machines=machines)


def dearest(rates: Iterable[Rate | None]) -> Rate | None:
    """The first rate that is known, with the most of all."""
    known = [rate for rate in rates if rate is not None]
    machines = [rate.machines for rate in known if rate.machines]
    if not known:
        return None
    most = machines and replace(
        machines[0],
        dearest=max(one.dearest for one in machines),
        alone=max(one.alone for one in machines),
        fewest=min(one.fewest for one in machines),
    )
    return replace(known[0], high=max(rate.high for rate in known), machines=most or None)


def write_prices(run: Run, found: Iterable[Offer], packing: Packing | None = None) -> None:
    """Note for the runners what their machines cost."""
    stored = {
        one.instance_type: {
            SPOT: one.spot,
            ON_DEMAND: one.on_demand,
            "zones": dict(one.zones),
            **(packing or Packing()).shape(one),
        }
        for one in found
    }
    run.store.put(billing.prices_path(run), json.dumps(stored).encode())


def read_prices(run: Run) -> list[Offer]:
    """What `write_prices` has noted; nothing where that cannot be read."""
    try:
        noted = json.loads(run.store.get(billing.prices_path(run)) or b"{}")
        return [
            Offer(
                name,
                int(one["vcpus"]),
                int(one["memory_mb"]),
                spot=one[SPOT],
                on_demand=one[ON_DEMAND],
                zones=one["zones"],
            )
            for name, one in noted.items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return []


def _shapes(aws: Aws, types: Sequence[str]) -> Iterator[Offer]:
    """Cores and memory of the types, as patterns or by name."""
    patterns: list[str] = []
    for name in types:
        patterns += _BUNDLES.get(name, (name if "." in name else f"{name}.*",))
    found: dict[str, Offer] = {}
    asked = {
        "Filters": [{"Name": "instance-type", "Values": patterns}],
        "MaxResults": _TYPES_AT_ONCE,
    }
    for one in aws.items("ec2", "describe_instance_types", "InstanceTypes", **asked):
        found[one["InstanceType"]] = Offer(
            one["InstanceType"],
            int(one["VCpuInfo"]["DefaultVCpus"]),
            int(one["MemoryInfo"]["SizeInMiB"]),
            str(one.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])[-1]),
        )
    for pattern in patterns:
        if "*" not in pattern and pattern not in found:
            raise ConfigError(
                f"There is no instance type {pattern} in {aws.region}; correct 'instance_types' "
                "or 'cluster_type', or set AWS_REGION."
            )
    yield from found.values()


def _spot_prices(aws: Aws, types: Sequence[str]) -> dict[str, dict[str, float]]:
    """The last price of each type, by zone."""
    found: dict[str, dict[str, float]] = {}
    for some in batches(types, _TYPES_AT_ONCE):
        asked = {
            "InstanceTypes": list(some),
            "ProductDescriptions": ["Linux/UNIX"],
            "StartTime": datetime.now(UTC),
        }
        for one in aws.items("ec2", "describe_spot_price_history", "SpotPriceHistory", **asked):
            zones = found.setdefault(one["InstanceType"], {})
            # The newest comes first.
            zones.setdefault(str(one.get("AvailabilityZone", "")), float(one["SpotPrice"]))
    return found


def _on_demand_price(aws: Aws, instance_type: str) -> float | None:
    """None where these credentials may not ask for it, or there is no such offer."""
    wanted = {
        "instanceType": instance_type,
        "regionCode": aws.region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    try:
        page = aws.call("pricing", "get_products", ServiceCode="AmazonEC2", Filters=filters)
    except RefusedError:
        return None
    for text in page["PriceList"]:
        for term in json.loads(text)["terms"].get("OnDemand", {}).values():
            for dimension in term["priceDimensions"].values():
                price = float(dimension["pricePerUnit"].get("USD", 0))
                if price > 0:
                    return price
    return None
