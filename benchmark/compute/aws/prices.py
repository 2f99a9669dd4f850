"""What instance types offer and cost now: cores, memory, spot price and price on demand.

for offer in offers(aws, ["c5.xlarge", "m5.large"]):
    offer.spot                       # USD an hour, the cheapest zone's; None where unknown
    offer.worst("spot", "eu-west-1a")  # that zone's
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from benchmark.compute.aws.clients import RefusedError
from benchmark.compute.dispatcher import Rate
from benchmark.errors import ConfigError
from benchmark.execution import billing
from benchmark.tasks import Resources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmark.compute.aws.clients import Aws
    from benchmark.config import Config
    from benchmark.tasks import Run

_TYPES_AT_ONCE = 100
SPOT, ON_DEMAND = "spot", "on-demand"
# AWS's "optimal" takes from the families of its general, compute and memory lines.
_OPTIMAL = ("c5.*", "m5.*", "r5.*")


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
        Offer(
            shape.instance_type,
            shape.vcpus,
            shape.memory_mb,
            shape.architecture,
            min(spot.get(shape.instance_type, {}).values(), default=None),
            _on_demand_price(aws, shape.instance_type) if on_demand else None,
            spot.get(shape.instance_type, {}),
        )
        for shape in shapes
    ]


def rate_of(found: Iterable[Offer], config: Config, lifecycle: str) -> Rate | None:
    """What a task costs by its share of the machines that it fits: the least in the cheapest zone,
    the most in the dearest."""
    resources = resources_of(config)
    prices: dict[str, float] = {}
    most = 0.0
    for one in found:
        price, worst = one.price(lifecycle), one.worst(lifecycle)
        if price is not None and one.fits(config.cores, config.memory):
            share = billing.share(one.vcpus, one.memory_mb, resources)
            prices[one.instance_type] = price * share
            most = max(most, (worst or price) * share)
    if not prices:
        return None
    ordered = sorted(prices, key=lambda name: prices[name])
    named = ", ".join(ordered[:4]) + (f" and {len(ordered) - 4} more" if len(ordered) > 4 else "")
    return Rate(prices[ordered[0]], most, f"{named}, {lifecycle}")


def write_prices(run: Run, found: Iterable[Offer]) -> None:
    """Note for the runners what their machines cost."""
    told = {
        one.instance_type: {
            SPOT: one.spot,
            ON_DEMAND: one.on_demand,
            "zones": dict(one.zones),
            "vcpus": one.vcpus,
            "memory_mb": one.memory_mb,
        }
        for one in found
    }
    run.store.put(billing.prices_path(run), json.dumps(told).encode())


def _shapes(aws: Aws, types: Sequence[str]) -> Iterator[Offer]:
    """Cores and memory of the types, as patterns or by name."""
    patterns: list[str] = []
    for name in types:
        patterns += _OPTIMAL if name == "optimal" else (name if "." in name else f"{name}.*",)
    found: dict[str, Offer] = {}
    more: dict[str, Any] = {"MaxResults": _TYPES_AT_ONCE}
    while True:
        asked = [{"Name": "instance-type", "Values": patterns}]
        page = aws.call("ec2", "describe_instance_types", Filters=asked, **more)
        for one in page["InstanceTypes"]:
            found[one["InstanceType"]] = Offer(
                one["InstanceType"],
                int(one["VCpuInfo"]["DefaultVCpus"]),
                int(one["MemoryInfo"]["SizeInMiB"]),
                str(one.get("ProcessorInfo", {}).get("SupportedArchitectures", ["x86_64"])[-1]),
            )
        if not page.get("NextToken"):
            break
        more["NextToken"] = page["NextToken"]
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
    for start in range(0, len(types), _TYPES_AT_ONCE):
        more: dict[str, Any] = {}
        while True:
            page = aws.call(
                "ec2",
                "describe_spot_price_history",
                InstanceTypes=list(types[start : start + _TYPES_AT_ONCE]),
                ProductDescriptions=["Linux/UNIX"],
                StartTime=datetime.now(UTC),
                **more,
            )
            for one in page["SpotPriceHistory"]:
                zones = found.setdefault(one["InstanceType"], {})
                # The newest comes first.
                zones.setdefault(str(one.get("AvailabilityZone", "")), float(one["SpotPrice"]))
            if not page.get("NextToken"):
                break
            more = {"NextToken": page["NextToken"]}
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
