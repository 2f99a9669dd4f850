"""A service in this process, and a server as a user starts it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from starlette.testclient import TestClient

from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.memory import MemoryBackend
from benchmark.hpo.service.backends.store import StoreBackend
from benchmark.hpo.service.core.service import Service
from benchmark.store import Store
from prove.server import Server

TUNABLES: list[dict[str, Any]] = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
    {"name": "n", "value_type": "integer", "lower_bound": 1, "upper_bound": 9, "step": 2},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
]


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def service(folder_store: Store) -> Iterator[Service]:
    made = Service(StoreBackend(folder_store))
    yield made
    made.close()


@pytest.fixture
def http() -> Iterator[TestClient]:
    """Every wire of HTTP over a service in memory; an unforeseen error is an answer."""
    app = make_app(Service(MemoryBackend()))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers; all are ended."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Server:
            server = Server(tmp_path, *arguments)
            server.start()
            stack.callback(
                lambda: server.process and server.process.poll() is None and server.kill()
            )
            return server

        yield start
