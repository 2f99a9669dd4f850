"""Two servers on one PostgreSQL: no trial in two hands while leased, none lost."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from services import free_ports

from benchmark.hpo import Client

pytestmark = pytest.mark.integration
TUNABLES: list[dict[str, Any]] = [
    {"name": f"x{n}", "value_type": "double", "lower_bound": 0, "upper_bound": 1} for n in range(3)
]


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.fixture
def postgres() -> Iterator[str]:
    """A PostgreSQL of this test's own; its URL."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    # PostgreSQL refuses to run as root.
    drop: dict[str, Any] = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        drop = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    data, (port,) = folder / "data", free_ports(1)
    subprocess.run(
        [initdb, "-D", str(data), "-U", "hpo", "-A", "trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **drop,
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [server, "-D", str(data), "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"],
            stdout=log,
            stderr=log,
            cwd=folder,
            **drop,
        )
    try:
        _wait(port)
        yield f"postgresql://hpo@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # fast: it does not wait for its clients
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(port: int) -> None:
    import psycopg

    for _ in range(300):
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://hpo@127.0.0.1:{port}/postgres").close()
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL does not answer")


def test_two_servers(serve: Callable[..., Any], postgres: str) -> None:
    trials, clients = 2000, 16
    servers = [serve("--no-grpc", "--storage", postgres) for _ in range(2)]
    urls = [server.url for server in servers]
    founded = Client(urls[0]).create(
        "e",
        direction="minimize",
        tunables=TUNABLES,
        trials=trials,
        algorithm="random",
        parallel=clients,
        lease_s=600,
    )
    guard = threading.Lock()
    held: set[int] = set()
    twice: list[int] = []
    told: list[int] = []
    faults: list[BaseException] = []

    def work(url: str) -> None:
        try:
            for trial in Client(url).experiment("e"):
                with guard:
                    if trial.number in held:
                        twice.append(trial.number)
                    held.add(trial.number)
                trial.tell(sum(trial.params.values()))
                told.append(trial.number)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(urls[n % 2],)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1200)
    assert not faults, faults
    assert not twice
    assert sorted(told) == list(range(trials))
    found = founded.trials(limit=10_000)
    assert [trial["status"] for trial in found] == ["success"] * trials


def test_a_lease_of_a_killed_server_is_kept_and_ends(
    serve: Callable[..., Any], postgres: str
) -> None:
    one, other = (serve("--no-grpc", "--storage", postgres) for _ in range(2))
    declared: dict[str, Any] = {"direction": "minimize", "tunables": TUNABLES, "trials": 2}
    Client(one.url).create("e", **declared)
    (first,) = Client(one.url).experiment("e").ask(lease_s=600)
    (short,) = Client(one.url).experiment("e").ask(lease_s=0.001)
    one.kill()
    survivor = Client(other.url).experiment("e")
    (again,) = survivor.ask(count=2)
    assert (again.number, again.params) == (short.number, short.params)
    survivor.post(f"/trials/{first.number}/heartbeat", {"lease": first.lease})
