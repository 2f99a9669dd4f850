"""A service in this process, and a server as a user starts it."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from starlette.testclient import TestClient

from benchmark.hpo.service.homes import MemoryHome, StoreHome
from benchmark.hpo.service.rest import make_app
from benchmark.hpo.service.service import Service
from benchmark.store import Store

ROOT = Path(__file__).parents[3]
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
    made = Service(StoreHome(folder_store))
    yield made
    made.close()


@pytest.fixture
def http() -> Iterator[TestClient]:
    """Every wire of HTTP over a service in memory; an unforeseen error is an answer."""
    app = make_app(Service(MemoryHome()))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


class Server:
    """`main.py serve` in a folder; killed and started anew on the same ports and data."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder, self._arguments = folder, arguments
        self.port, self.grpc_port, self.said = 0, 0, ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        ports = ["--port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), "serve", *ports, *self._arguments],
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        said = ""
        for line in self.process.stderr:
            said += line
            if line.startswith("gRPC: "):
                self.grpc_port = int(line.rsplit(":", 1)[1])
            if line.startswith("HTTP: "):
                self.port = int(line.rsplit(":", 1)[1].strip().rstrip("/"))
                # A pipe that nobody reads would hold up the server.
                threading.Thread(target=self._drain, args=(self.process,), daemon=True).start()
                return
        raise AssertionError(said)

    def _drain(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.said += line

    def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


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
