"""A PostgreSQL of the tests' own, on a port of its own, gone with its folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from prove import postgres as server
from prove.postgres import USER, Postgres

__all__ = ["USER", "postgres", "serving"]


@contextlib.contextmanager
def serving(password: str | None = None) -> Iterator[Postgres]:
    """One that runs; the test is skipped where it is not installed."""
    if server.program("initdb") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with server.serving(password) as made:
        yield made


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of one that asks for no password."""
    with serving() as made:
        yield made.url
