"""Prices by zone: the worst is the dearest zone, and a machine costs what its own zone does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws
from benchmark.compute.aws.prices import ON_DEMAND, SPOT, Offer, offers, rate_of, write_prices
from benchmark.compute.baremetal.fleet import Ledger, Machine
from benchmark.config.loading import Config
from benchmark.execution.machine import billing
from benchmark.runs.plan import Plan
from benchmark.store import Store

ZONES = {"c5.xlarge": {"a": 0.07, "b": 0.05, "c": 0.11}, "m5.large": {"b": 0.04}, "r5.large": {}}


class Ec2:
    """Answers for two pages of prices, the newest of a zone first."""

    region = "eu-west-1"
    items = Aws.items

    def call(self, service: str, action: str, **asked: Any) -> dict[str, Any]:
        if action == "describe_instance_types":
            return {
                "InstanceTypes": [
                    {
                        "InstanceType": name,
                        "VCpuInfo": {"DefaultVCpus": 4},
                        "MemoryInfo": {"SizeInMiB": 8192},
                    }
                    for name in ZONES
                ]
            }
        told = [
            {"InstanceType": name, "AvailabilityZone": zone, "SpotPrice": str(price)}
            for name, zones in ZONES.items()
            for zone, price in zones.items()
        ]
        if "NextToken" not in asked:
            return {"SpotPriceHistory": told[:2], "NextToken": "more"}
        old = {"InstanceType": "c5.xlarge", "AvailabilityZone": "a", "SpotPrice": "9.9"}
        return {"SpotPriceHistory": [*told[2:], old]}


@pytest.fixture
def found() -> list[Offer]:
    return offers(Ec2(), list(ZONES))  # type: ignore[arg-type]  # no account


def test_the_worst_is_the_dearest_zone(
    found: list[Offer], make_config: Callable[..., Config]
) -> None:
    assert [one.spot for one in found] == [0.05, 0.04, None]
    assert [one.worst(SPOT) for one in found] == [0.11, 0.04, None]
    assert [found[0].worst(SPOT, zone) for zone in "abcd"] == [0.07, 0.05, 0.11, 0.11]
    rate = rate_of(found, make_config(cores=4, memory=1500), SPOT)
    assert rate is not None
    assert (rate.low, rate.high) == (0.04, 0.11)
    assert rate_of(found[2:], make_config(cores=4, memory=1500), SPOT) is None


def test_a_job_takes_what_packing_leaves_of_its_machine(
    found: list[Offer], make_config: Callable[..., Config]
) -> None:
    """Two jobs of 3500 + 1024 MB do not fit on 8192 MB, and a large job needs a larger machine."""
    batch = prices.batch_packing(1024)
    shares = {
        memory: rate_of(found, make_config(cores=1, memory=memory), SPOT, batch)
        for memory in (600, 1500, 3500, 7168, 7169)
    }
    assert {memory: rate and rate.high for memory, rate in shares.items()} == {
        600: 0.11 / 4,
        1500: pytest.approx(0.11 / 2),
        3500: 0.11,
        7168: 0.11,
        7169: None,
    }


@pytest.mark.parametrize("bundle", ["optimal", "default_x86_64"])
def test_what_batch_chooses_from_by_itself(bundle: str) -> None:
    asked: list[dict[str, Any]] = []

    class Listening(Ec2):
        def call(self, service: str, action: str, **values: Any) -> dict[str, Any]:
            asked.append(values)
            return super().call(service, action, **values)

    offers(Listening(), [bundle])  # type: ignore[arg-type]
    assert asked[0]["Filters"][0]["Values"] == ["m6i.*", "c6i.*", "r6i.*", "c7i.*"]


@pytest.mark.parametrize(
    ("facts", "price"),
    [
        ({"lifecycle": "spot", "zone": "a"}, 0.07),
        ({"lifecycle": "spot", "zone": "c"}, 0.11),
        ({"lifecycle": "spot", "zone": "nowhere"}, 0.11),
        ({"lifecycle": "spot"}, 0.11),
        ({"lifecycle": "on-demand", "zone": "a"}, None),
    ],
)
def test_a_runner_knows_the_price_of_its_zone(
    found: list[Offer],
    folder_store: Store,
    make_plan: Callable[..., Plan],
    monkeypatch: pytest.MonkeyPatch,
    facts: dict[str, str],
    price: float | None,
) -> None:
    run = make_plan(folder_store).run
    write_prices(run, found)

    class Here:
        def facts(self) -> dict[str, str]:
            return {"instance": "i-1", "instance_type": "c5.xlarge"} | facts

    monkeypatch.setattr(billing.Instance, "here", lambda variables: Here())
    assert billing.machine_facts(run, {}).get("price_per_hour") == price


def machine(type: str, lifecycle: str = SPOT, zone: str | None = "a", name: str = "i-1") -> Machine:
    return Machine(name, type, lifecycle, "running", time.time() - 3600, zone=zone)


@pytest.mark.parametrize(
    ("one", "price", "warned"),
    [
        ({"type": "c5.xlarge"}, 0.07, False),
        ({"type": "c5.xlarge", "zone": None}, 0.11, False),
        ({"type": "r5.large"}, 0.11, True),
        ({"type": "x1.large"}, 0.11, True),
        ({"type": "m5.large", "lifecycle": ON_DEMAND}, 0.11, True),
    ],
)
def test_a_machine_without_a_known_price_costs_the_most_of_its_fleet(
    found: list[Offer],
    folder_store: Store,
    make_plan: Callable[..., Plan],
    caplog: pytest.LogCaptureFixture,
    one: dict[str, Any],
    price: float,
    warned: bool,
) -> None:
    ledger = Ledger(make_plan(folder_store).run, found)
    ledger.note([machine(**one)])
    assert ledger.paid == pytest.approx(price, rel=0.01)
    assert [line.startswith("The price of i-1") for line in caplog.messages] == [True] * warned


def test_a_driver_that_takes_a_fleet_over_counts_what_it_costs_from_then_on(
    found: list[Offer], folder_store: Store, make_plan: Callable[..., Plan]
) -> None:
    """What it has cost before is in the store, and spent already."""
    run = make_plan(folder_store).run
    Ledger(run, found).note([machine("c5.xlarge")])
    path = f"{run.name}/machines/i-1.json"
    page = json.loads(folder_store.get(path) or b"")
    folder_store.put(path, json.dumps(page | {"cost": page["cost"] - 0.02}).encode())
    later = Ledger(run, found)
    later.note([machine("c5.xlarge"), machine("m5.large", zone="b", name="i-2")])
    assert later.paid == pytest.approx(0.02 + 0.04, rel=0.01)
    assert prices.SPOT in (folder_store.get(path) or b"").decode()
