"""Two servers on one database, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.core.backend import Opened
from benchmark.hpo.service.core.service import Service


class SharedBackend(DatabaseBackend):
    """As on PostgreSQL: no server believes that it is alone."""

    def open(self, study: str) -> Opened:
        return replace(super().open(study), alone=False)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    backend = SharedBackend(f"sqlite:///{tmp_path}/s.db", None)
    pair = Service(backend), Service(backend)
    yield pair
    for service in pair:
        service.close()
