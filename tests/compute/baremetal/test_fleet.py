"""The method baremetal over machines that are processes, SQS of moto's and a real S3."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from fleet_double import FleetDouble

from benchmark import results
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.config import Config
from benchmark.results import Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import open_store

PATIENCE_S = 90.0


@pytest.fixture
def config(fleet: FleetDouble, make_config: Callable[..., Config]) -> Callable[..., Config]:
    template = fleet.make_template()

    def make(**changes: Any) -> Config:
        good = {
            "ec2_template": template,
            "instance_types": ["c5.large"],
            "cluster_size": 2,
            "parallel": 1,
            "compute": {"*": "baremetal"},
            "max_attempts": 3,
        }
        return make_config(**(good | changes))

    return make


@pytest.fixture
def plan(s3: str, fleet: FleetDouble, make_plan: Callable[..., Plan]) -> Plan:
    return make_plan(open_store(s3))


def told(dispatcher: BaremetalDispatcher, number: int) -> list[Record]:
    found: list[Record] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < number and time.monotonic() < end:
        found += dispatcher.completed(timeout_s=1)
    return found


def nothing_left(fleet: FleetDouble, plan: Plan) -> None:
    assert fleet.running() == []
    assert "QueueUrls" not in fleet.client("sqs").list_queues()
    store, run = plan.run.store, plan.run.name
    assert store.get(f"{run}/fleet.json") is None
    assert store.list(f"{run}/fleet") == []
    versions = fleet.client("ec2").describe_launch_template_versions(LaunchTemplateName="machines")
    assert [one["VersionNumber"] for one in versions["LaunchTemplateVersions"]] == [1]


def test_a_run_over_a_fleet(fleet: FleetDouble, plan: Plan, config: Callable[..., Config]) -> None:
    summary = execute(plan.run, config(), plan.tasks)
    assert summary.faults == []
    assert dict(summary.causes) == {"success": 2}
    assert len(fleet.instances) <= 2
    record = next(results.records(plan.run))
    assert record.host["instance"] in fleet.instances
    assert (record.host["lifecycle"], record.host["price_per_hour"]) == ("spot", 0.36)
    assert record.cost
    assert record.cost > 0
    (first, *_) = fleet.instances
    ledger = json.loads(plan.run.store.get(f"{plan.run.name}/machines/{first}.json") or b"")
    assert ledger["ended"]
    assert ledger["cost"] > 0
    nothing_left(fleet, plan)
