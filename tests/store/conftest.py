"""Stores of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.store import Store, open_store

# Tests of a real S3 are slow, as all that start its server are.
S3 = pytest.param("s3", marks=pytest.mark.slow)
KINDS = ("folder", "memory", S3)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store of each kind."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3"))
    return {"folder": str(tmp_path / "store"), "memory": "memory://"}[request.param]


@pytest.fixture(params=("folder", S3))
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store of each kind that several processes can share."""
    return str(request.getfixturevalue("s3") if request.param == "s3" else tmp_path / "store")


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)
