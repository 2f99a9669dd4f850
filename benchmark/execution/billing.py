"""What a task's time costs: the price of its machine and its share of it. Money is USD.

`{run}/prices.json` is written by the dispatcher before the tasks start, for a container may not
ask for prices: `{"c5.xlarge": {"spot": 0.07, "on-demand": 0.17, "zones": {"eu-west-1a": 0.07},
"vcpus": 4, "memory_mb": 8192}}`. A spot machine costs what its own zone does.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from benchmark.execution.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.tasks import Resources, Run


def prices_path(run: Run) -> str:
    return f"{run.name}/prices.json"


def machine_facts(run: Run, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The instance of this process with its price an hour; empty where it is none of EC2's."""
    instance = Instance.here(os.environ if variables is None else variables)
    facts: dict[str, Any] = dict(instance.facts()) if instance else {}
    if "instance_type" not in facts:
        return {}
    try:
        offer = json.loads(run.store.get(prices_path(run)) or b"{}").get(facts["instance_type"], {})
    except ValueError:
        return facts
    lifecycle = facts.get("lifecycle", "on-demand")
    price = offer.get("on-demand")
    if lifecycle == "spot":
        zones = offer.get("zones") or {}
        price = zones.get(facts.get("zone"), max(zones.values(), default=offer.get("spot")))
    known = {key: offer[key] for key in ("vcpus", "memory_mb") if key in offer}
    return facts | known | ({"price_per_hour": price} if price is not None else {})


def share(vcpus: float, machine_mb: float, resources: Resources) -> float:
    """What a task takes of a machine: cores or memory, whichever is the larger part."""
    return min(1.0, max(resources.cores / vcpus, resources.memory_mb / machine_mb))


def cost(host: Mapping[str, Any], resources: Resources, seconds: float) -> float | None:
    """What so many seconds of a task on that host cost; None where its price is not known."""
    try:
        part = share(host["vcpus"], host["memory_mb"], resources)
        return float(host["price_per_hour"]) * part * seconds / 3600
    except KeyError:
        return None
