"""A run whose tasks a fleet carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.support.fleet_double import FleetDouble


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
