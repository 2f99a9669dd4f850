"""A PostgreSQL with its data in a folder: a real server, killed and started again on the same port.

A server that is killed leaves its page cache to the kernel, so that only what was committed and
what was not tells: durability against a loss of power is not what this shows.
"""

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

from benchmark.files.removal import clear
from prove.seaweed import free_ports

USER = "hpo"
PATIENCE_S = 60.0


def program(name: str) -> str | None:
    """The newest of Debian's packages, or what is on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


class Postgres:
    """A server on a port of its own; who connects is asked for the password if there is one."""

    def __init__(self, folder: Path, password: str | None = None) -> None:
        self.folder, self.password = folder, password
        (self.port,) = free_ports(1)
        # PostgreSQL refuses to run as root.
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        asked = ["-A", "trust"]
        if password is not None:
            (folder / "password").write_text(password)
            asked = ["-A", "scram-sha-256", "--pwfile", str(folder / "password")]
        subprocess.run(
            [str(program("initdb")), "-D", str(folder / "data"), "-U", USER, *asked, "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._user,
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers.

        A server that was killed leaves processes behind, which end a moment later: until then the
        next one refuses to start.
        """
        command = [str(program("postgres")), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += ["-k", str(self.folder), "-h", "127.0.0.1", "-c", "max_connections=300"]
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                with (self.folder / "log").open("ab") as log:
                    self.process = subprocess.Popen(
                        command, stdout=log, stderr=log, cwd=self.folder, **self._user
                    )
            if self.answers():
                return
            time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])

    def answers(self) -> bool:
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self) -> Any:
        """A connection as the user who may do all."""
        import psycopg

        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=self.password,
            dbname="postgres",
            autocommit=True,
        )

    def stop(self, number: int = signal.SIGINT) -> None:
        """End it: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
            self.process.wait(PATIENCE_S)

    def kill_session(self, chosen: int) -> bool:
        """SIGKILL the process of one of the clients' sessions; False where there is none.

        The server then ends all other sessions too and recovers.
        """
        with self.connect() as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND pid <> pg_backend_pid() ORDER BY state <> 'active', pid"
            ).fetchall()
        if rows:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rows[chosen % len(rows)][0], signal.SIGKILL)
        return bool(rows)


@contextlib.contextmanager
def serving(password: str | None = None) -> Iterator[Postgres]:
    """A running server, gone with its folder after the block."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = None
    try:
        server = Postgres(folder, password)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        os.chown(folder, os.geteuid(), -1)
        clear(folder)
