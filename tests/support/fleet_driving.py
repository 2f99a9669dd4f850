"""A dispatcher over the double of a fleet: what is waited for, and what must be gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from tests.support.fleet_double import FleetDouble

PATIENCE_S = 500.0


def told(dispatcher: BaremetalDispatcher, number: int) -> list[Record]:
    found: list[Record] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < number and time.monotonic() < end:
        found += dispatcher.completed(timeout_s=1)
    return found


def nothing_left(fleet: FleetDouble, run: Run) -> None:
    assert fleet.living() == []
    assert "QueueUrls" not in fleet.client("sqs").list_queues()
    assert run.store.get(f"{run.name}/fleet.json") is None
    assert run.store.list(f"{run.name}/fleet") == []
    versions = fleet.client("ec2").describe_launch_template_versions(LaunchTemplateName="machines")
    assert [one["VersionNumber"] for one in versions["LaunchTemplateVersions"]] == [1]


def until(happens: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)
