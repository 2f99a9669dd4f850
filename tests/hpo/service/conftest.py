"""A service in this process, and a server as a user starts it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from fastapi import APIRouter
from starlette.testclient import TestClient

from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.v1 import routes
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


class Current:
    """Stands for another object, which changes."""

    def stand_for(self, other: Any) -> None:
        self._other = other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


@pytest.fixture(scope="session")
def _v1_routes() -> Callable[..., APIRouter]:
    """As `routes`, but FastAPI reads the signatures and models of the routes once.

    They are those of the application that was made last.
    """
    parts = [Current(), Current(), Current()]
    router = routes.routes(*parts)

    def made(*others: Any) -> APIRouter:
        for part, other in zip(parts, others, strict=True):
            part.stand_for(other)
        return router

    return made


@pytest.fixture
def http(
    _v1_routes: Callable[..., APIRouter], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """Every wire of HTTP over a service in memory; an unforeseen error is an answer."""
    with monkeypatch.context() as patch:
        patch.setattr(routes, "routes", _v1_routes)
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
