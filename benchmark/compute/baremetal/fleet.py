"""The machines of a fleet: started where there is capacity, counted, paid for, ended.

Each carries the fleet's token as a tag, so that one whose start was never answered is found too. A
machine leaves a word in the store at its end; `Boots` counts those that do not come to work.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws, RefusedError, batches
from benchmark.compute.aws.prices import Offer
from benchmark.compute.baremetal.template import named
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.tasks import Run

_log = logging.getLogger("benchmark.compute")
TAG = "automl-benchmark"
LIVE = ("pending", "running")
# EC2 may not describe for a while what it has just started.
_UNSEEN_S = 600.0
_UNKNOWN = "InvalidInstanceID.NotFound"
_IDS = 100
_FAILED = 3
# Why EC2 ends a machine that is in order; none where it does not say why.
_TAKEN_AWAY = (
    *("Client.UserInitiatedShutdown", "Server.SpotInstanceTermination"),
    *("Server.SpotInstanceShutdown", "Server.ScheduledStop"),
    *("Server.InsufficientInstanceCapacity", ""),
)
# What may be otherwise in a minute, or in another zone.
_NO_CAPACITY = (
    *("InsufficientInstanceCapacity", "InsufficientHostCapacity", "UnfulfillableCapacity"),
    *("MaxSpotInstanceCountExceeded", "VcpuLimitExceeded", "InstanceLimitExceeded"),
    *("SpotMaxPriceTooLow", "InsufficientFreeAddressesInSubnet", "RequestLimitExceeded"),
    *("Unsupported", "UnsupportedOperation", "InsufficientCapacity"),
)


@dataclass(frozen=True)
class Machine:
    """An instance as EC2 describes it. `started` in seconds since 1970, `reason` why it ended."""

    id: str
    type: str
    lifecycle: str
    state: str
    started: float
    reason: str = ""
    zone: str | None = None

    @property
    def live(self) -> bool:
        return self.state in LIVE


@dataclass(frozen=True)
class Fleet:
    """Token, template with version, the types that may be started, and those that were (by id)."""

    token: str
    template: str
    version: str
    offers: tuple[Offer, ...]
    started: dict[str, Machine] = field(default_factory=dict)

    def start(self, aws: Aws, number: int, lifecycle: str) -> tuple[int, str | None]:
        """Start machines now; returns how many came, and what there was no capacity for.

        Raises:
            BenchmarkError: EC2 refuses for a reason that waiting does not fix.
        """
        overrides = [{"InstanceType": one.instance_type} for one in self.offers]
        specification = {**named(self.template), "Version": self.version}
        tags = [{"Key": TAG, "Value": self.token}, {"Key": "Name", "Value": TAG}]
        answer = aws.call(
            "ec2",
            "create_fleet",
            Type="instant",
            ClientToken=secrets.token_hex(16),
            LaunchTemplateConfigs=[
                {"LaunchTemplateSpecification": specification, "Overrides": overrides}
            ],
            TargetCapacitySpecification={
                "TotalTargetCapacity": number,
                "DefaultTargetCapacityType": lifecycle,
            },
            SpotOptions={"AllocationStrategy": "price-capacity-optimized"},
            OnDemandOptions={"AllocationStrategy": "lowest-price"},
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        came = 0
        for one in answer.get("Instances", []):
            kind = str(one.get("InstanceType", ""))
            for name in one.get("InstanceIds", []):
                self.started[name] = Machine(name, kind, lifecycle, "pending", time.time())
                came += 1
        faults = {
            str(one.get("ErrorCode")): str(one.get("ErrorMessage", "")).strip().rstrip(".")
            for one in answer.get("Errors", [])
        }
        grave = {code: text for code, text in faults.items() if code not in _NO_CAPACITY}
        if grave and not came:
            code, text = next(iter(grave.items()))
            raise BenchmarkError(f"EC2 starts no machine: {text or code} ({code}).")
        return came, ", ".join(faults) if came < number else None

    def machines(self, aws: Aws) -> list[Machine]:
        """All of the fleet that EC2 still knows, those that have ended a while ago among them.

        What it has started and does not describe yet counts as starting.
        """
        found = _described(aws, f"tag:{TAG}", [self.token])
        ids = [name for name in self.started if name not in found]
        for batch in batches(ids, _IDS):
            found |= _described(aws, "instance-id", batch)
        for name, one in self.started.items():
            if name not in found and time.time() - one.started < _UNSEEN_S:
                found[name] = one
        return list(found.values())

    def end(self, aws: Aws, patience_s: float, pause_s: float) -> None:
        """Terminate all machines and see them go.

        Raises:
            BenchmarkError: some still run, by their ids.
        """
        end = time.monotonic() + patience_s
        while True:
            live = [one.id for one in self.machines(aws) if one.live]
            if not live:
                return
            if time.monotonic() > end:
                raise BenchmarkError(
                    f"Machines of EC2 may still run in {aws.region}: {', '.join(live)}; end them."
                )
            terminate(aws, live)
            time.sleep(pause_s)


class Ledger:
    """What the machines cost, in the store: `{run}/machines/ID.json`, by the driver of the run."""

    def __init__(self, run: Run, offers: Iterable[Offer]) -> None:
        self._run = run
        self._offers = {one.instance_type: one for one in offers}
        self._pages: dict[str, dict[str, Any]] = {}
        self._before: dict[str, float] = {}
        self._written = 0.0

    @property
    def paid(self) -> float:
        """USD since this driver took the machines over; the pages hold what they cost in all."""
        return sum(float(page["cost"]) - self._before[n] for n, page in self._pages.items())

    def note(self, machines: Sequence[Machine], every_s: float = 60.0) -> None:
        """Bring it up to date; written when a machine has come or gone, and now and then."""
        changed = time.monotonic() - self._written > every_s
        for one in machines:
            page = self._pages.get(one.id) or self._page(one)
            changed |= one.id not in self._pages
            self._before.setdefault(one.id, float(page["cost"]))
            if page["ended"] is None:
                page["cost"] = page["price_per_hour"] * (time.time() - one.started) / 3600
                if not one.live:
                    page["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
                    changed = True
            self._pages[one.id] = page
        if not changed:
            return
        self._written = time.monotonic()
        for name, page in self._pages.items():
            if not page.get("closed"):
                page["closed"] = page["ended"] is not None
                self._run.store.put(self._path(name), json.dumps(page).encode())

    def _page(self, one: Machine) -> dict[str, Any]:
        """A machine's page: as an earlier driver left it, or a new one."""
        try:
            present = json.loads(self._run.store.get(self._path(one.id)) or b"null")
        except ValueError:
            present = None
        if isinstance(present, dict):
            return present
        price = self._price(one)
        return {
            "instance": one.id,
            "instance_type": one.type,
            "lifecycle": one.lifecycle,
            "price_per_hour": price,
            "started": datetime.fromtimestamp(one.started, UTC).isoformat(timespec="seconds"),
            "ended": None,
            "cost": 0.0,
        }

    def _price(self, one: Machine) -> float:
        """USD an hour; of a machine without a known price the most that any of the fleet costs."""
        offer = self._offers.get(one.type)
        price = offer.worst(one.lifecycle, one.zone) if offer else None
        if price is None:
            known = [
                offer.worst(lifecycle) or 0.0
                for offer in self._offers.values()
                for lifecycle in (prices.SPOT, prices.ON_DEMAND)
            ]
            price = max(known, default=0.0)
            _log.warning(
                "The price of %s (%s, %s) is not known; it is counted as %s.",
                *(one.id, one.type, one.lifecycle),
                f"{price:g} USD an hour, the most of the fleet" if price else "nothing",
            )
        return price

    def _path(self, name: str) -> str:
        return f"{self._run.name}/machines/{name}.json"


def _described(aws: Aws, name: str, values: Sequence[str]) -> dict[str, Machine]:
    """By a filter and not by ids: one that is not known yet would be an error for all."""
    asked = [{"Name": name, "Values": values}]
    groups = aws.items("ec2", "describe_instances", "Reservations", Filters=asked)
    return {one["InstanceId"]: _machine(one) for group in groups for one in group["Instances"]}


def terminate(aws: Aws, ids: Sequence[str]) -> None:
    """All of them; one that EC2 does not know yet keeps no other from its end."""
    try:
        aws.call("ec2", "terminate_instances", InstanceIds=list(ids))
    except RefusedError as error:
        if error.code != _UNKNOWN:
            raise
        for one in ids if len(ids) > 1 else ():
            terminate(aws, [one])


def _machine(answer: dict[str, Any]) -> Machine:
    return Machine(
        answer["InstanceId"],
        answer["InstanceType"],
        prices.SPOT if answer.get("InstanceLifecycle") == "spot" else prices.ON_DEMAND,
        answer["State"]["Name"],
        answer["LaunchTime"].timestamp(),
        str(answer.get("StateReason", {}).get("Code", "")),
        answer.get("Placement", {}).get("AvailabilityZone"),
    )


class Boots:
    """The failures of a fleet."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: set[str] = set()
        self._failed = 0
        self._started = 0
        self._why = ""

    @property
    def hopeless(self) -> bool:
        """Whether the last machines have all failed: more of them would too."""
        return self._failed >= _FAILED

    def look(self, gone: Iterable[Machine], since: Mapping[str, int]) -> None:
        """Take note of machines that have ended. `since` are the fleet's tasks, each with its last
        attempt before."""
        new = [one for one in gone if one.id not in self._seen]
        failed = False
        for one in sorted(new, key=lambda machine: machine.started):
            self._seen.add(one.id)
            why = self._fault(one)
            if why:
                self._failed, self._why, failed = self._failed + 1, why, True
        if failed:
            last = results.attempt_index(self._run).last
            started = sum(max(0, last.get(key, 0) - before) for key, before in since.items())
            if started > self._started:
                self._started, self._failed = started, 0

    def error(self) -> BenchmarkError:
        return BenchmarkError(
            f"The machines do not come to work {self._why}; see {self._run.name}/logs/machines/ in "
            f"{self._run.store.url}."
        )

    def _fault(self, one: Machine) -> str | None:
        try:
            said: Any = json.loads(
                self._run.store.get(f"{self._run.name}/machines/{one.id}.end") or b""
            )
        except ValueError:
            said = None
        if isinstance(said, dict):
            why = str(said.get("message") or "no message").rstrip(".")
            return None if said.get("good") else f"({said.get('stage', 'boot')}): {why}"
        if one.reason in _TAKEN_AWAY:
            return None
        return (
            f"({one.reason}): {one.id} left no word in the store; give the launch template a role "
            "that may write there and a subnet with a way to S3"
        )
