"""A run whose tasks Kubernetes carries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.config.loading import Config
from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.support.kubernetes_double import CONFIGURATION


@pytest.fixture
def make_config(make_config: Callable[..., Config]) -> Callable[..., Config]:
    return lambda **changes: make_config(**(CONFIGURATION | changes))


@pytest.fixture
def config(make_config: Callable[..., Config]) -> Config:
    return make_config()


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store)
