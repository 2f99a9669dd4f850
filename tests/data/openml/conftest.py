"""A stocked server for each module, and a place of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openml_server import OpenMLServer
from tests.support.openml_stock import stocked
from tests.support.preloaded import preloaded


@pytest.fixture(scope="module")
def server() -> Iterator[OpenMLServer]:
    with stocked() as started:
        yield started


@pytest.fixture
def place(
    server: OpenMLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenMLServer]:
    """The server, with caches and home of this test's own, and no fault left from another."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name, value in server.configure(tmp_path).items():
        monkeypatch.setenv(name, value)
    # What the client imports takes longer than each fetch.
    libraries = preloaded("minio", "pandas", "sklearn.metrics", "benchmark.data.cache")
    monkeypatch.setattr("benchmark.data.openml.fetch.subprocess", libraries)
    server.faults.clear()
    server.asked.clear()
    yield server
    assert list(home.iterdir()) == []
