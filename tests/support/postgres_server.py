"""A PostgreSQL of the tests' own, on a port of its own, gone with its folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.removal import clear
from tests.support.services import free_ports

USER = "hpo"


@contextlib.contextmanager
def serving(password: str | None = None) -> Iterator[int]:
    """Its port; whoever connects is asked for the password if there is one."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    data, (port,) = folder / "data", free_ports(1)
    asked = ["-A", "trust"]
    if password is not None:
        (folder / "password").write_text(password)
        asked = ["-A", "scram-sha-256", "--pwfile", str(folder / "password")]
    # PostgreSQL refuses to run as root.
    drop: dict[str, Any] = {}
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        drop = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    subprocess.run(
        [initdb, "-D", str(data), "-U", USER, *asked, "--no-sync"],
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
        _wait(port, password)
        yield port
    finally:
        process.send_signal(signal.SIGINT)  # fast: it does not wait for its clients
        process.wait(60)
        os.chown(folder, os.geteuid(), -1)
        clear(folder)


@pytest.fixture
def postgres() -> Iterator[str]:
    """The URL of one that asks for no password."""
    with serving() as port:
        yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"


def connect(port: int, password: str | None = None) -> Any:
    """A connection as the user who may do all."""
    import psycopg

    return psycopg.connect(
        host="127.0.0.1",
        port=port,
        user=USER,
        password=password,
        dbname="postgres",
        autocommit=True,
    )


def _program(name: str) -> str | None:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


def _wait(port: int, password: str | None) -> None:
    import psycopg

    for _ in range(300):
        with contextlib.suppress(psycopg.OperationalError):
            connect(port, password).close()
            return
        time.sleep(0.1)
    raise AssertionError("PostgreSQL does not answer")
