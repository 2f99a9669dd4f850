"""What a task's time costs: the price of its machine and its share of it. Money is USD.

`{run}/prices.json` is written by the dispatcher before the tasks start, for a container may not
ask for prices: `{"c5.xlarge": {"spot": 0.07, "on-demand": 0.17, "zones": {"eu-west-1a": 0.07},
"vcpus": 4, "memory_mb": 8192, "usable_mb": 7500, "reserve_mb": 1024}}`. A spot machine costs what
its own zone does. A task's job takes `reserve_mb` beside its memory, and jobs share `usable_mb`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from benchmark.execution.machine.instance import Instance

if TYPE_CHECKING:
    from benchmark.records.tasks import Resources, Run


_SHAPE = ("vcpus", "memory_mb", "usable_mb", "reserve_mb", "most_tasks")


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
    known = {key: offer[key] for key in _SHAPE if key in offer}
    return facts | known | ({"price_per_hour": price} if price is not None else {})


def tasks_of(machine: Mapping[str, Any], resources: Resources) -> int:
    """How many such tasks a machine holds side by side: whole ones; one that is too large too."""
    usable_mb = machine.get("usable_mb", machine["memory_mb"])
    job_mb = resources.memory_mb + machine.get("reserve_mb", 0)
    most = min(machine["vcpus"] // resources.cores, usable_mb // job_mb)
    return max(1, int(min(most, machine.get("most_tasks", most))))


def share(machine: Mapping[str, Any], resources: Resources) -> float:
    """What a task takes of a machine: what no one can use beside it is paid for as well."""
    return 1 / tasks_of(machine, resources)


def cost(host: Mapping[str, Any], resources: Resources, seconds: float) -> float | None:
    """What so many seconds of a task on that host cost; None where its price is not known."""
    try:
        return float(host["price_per_hour"]) * share(host, resources) * seconds / 3600
    except KeyError:
        return None
