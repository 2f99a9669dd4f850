from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.config.loading import Config
from benchmark.runs.plan import Plan
from benchmark.store import Store
from tests.support.slurm_double import SlurmDouble
from tests.support.slurm_driving import DATASETS


@pytest.fixture
def plan(make_plan: Callable[..., Plan], folder_store: Store) -> Plan:
    return make_plan(folder_store, DATASETS)


@pytest.fixture
def config(make_config: Callable[..., Config], slurm_double: SlurmDouble) -> Config:
    return make_config(slurm={"partition": "main"})
