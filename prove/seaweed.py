"""SeaweedFS as S3: a real server, ended by the kernel with the process that started it."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE_S = 300.0
BUCKET = "bench"
SECRET = "not-so-secret-" + "k" * 20
# SeaweedFS makes a missing bucket for an administrator, as S3 never does.
IDENTITIES = {
    "ADMIN": ["Admin", "Read", "Write", "List", "Tagging"],
    "WRITER": ["Read", "Write", "List", "Tagging"],
    "READER": [f"Read:{BUCKET}", f"List:{BUCKET}"],
}
_PORTS = ("s3.port", "master.port", "volume.port", "filer.port")


def free_ports(count: int) -> list[int]:
    """Ports that are free, and that no one else is likely to take before they are used.

    The kernel gives none of them to connections, and another process looks at others first.
    """
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        for port in _candidates():
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                break
    return found


_FIRST_PORT, _PER_PROCESS = 10_000, 64
_turn = itertools.count()


def _candidates() -> Iterator[int]:
    """Ports below those of connections, each once, from this process's own part onwards."""
    range_of_connections = Path("/proc/sys/net/ipv4/ip_local_port_range")
    last = 32_768
    with contextlib.suppress(OSError, ValueError):
        last = int(range_of_connections.read_text().split()[0])
    number = max(1, last - _FIRST_PORT)
    for _ in range(number):
        yield _FIRST_PORT + (os.getpid() * _PER_PROCESS + next(_turn)) % number


@dataclass
class Seaweed:
    """A SeaweedFS server with its data in a folder, started anew with the same data by `start`."""

    folder: Path
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    def start(self) -> None:
        for _ in range(3):
            names = [*_PORTS, *(f"{name}.grpc" for name in _PORTS)]
            self.ports = self.ports or dict(zip(names, free_ports(len(names)), strict=True))
            self._launch()
            if self._answers():
                return
            self.kill()
            self.ports = {}
        raise AssertionError((self.folder / "weed.log").read_text(errors="replace")[-2000:])

    def _launch(self) -> None:
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        config = self.folder / "s3.json"
        config.write_text(json.dumps({"identities": [_identity(name) for name in IDENTITIES]}))
        options = {f"{name}": str(port) for name, port in self.ports.items()} | {
            "dir": str(self.folder / "data"),
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3": "true",
            "s3.config": str(config),
            "s3.port.iceberg": "0",
            "s3.port.lance": "0",
            "s3.localSocket": str(self.folder / "s3.sock"),
            "filer.localSocket": str(self.folder / "filer.sock"),
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": "64",
            "volume.max": "20",
        }
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("weed")),
                    "-logtostderr=true",
                    "server",
                    *(f"-{name}={value}" for name, value in options.items()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  prctl is one system call
            )

    def _answers(self) -> bool:
        assert self.process is not None
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                urllib.request.urlopen(self.endpoint, timeout=5)
            except urllib.error.HTTPError:
                return True
            except OSError:
                time.sleep(0.02)
        return False

    def kill(self) -> None:
        """End the whole group at once: it takes seconds over a polite request."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for name, port in self.ports.items():  # it makes these in /tmp whatever it is told
            if name.endswith(".grpc"):
                for part in ("s3", "master", "volume", "filer"):
                    Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock").unlink(missing_ok=True)


def _identity(name: str) -> dict[str, object]:
    keys = {"accessKey": f"AKIA{name}", "secretKey": SECRET}
    return {"name": name.lower(), "credentials": [keys], "actions": IDENTITIES[name]}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Seaweed]:
    """A running server with the bucket `bench`, ended with the block."""
    import boto3

    server = Seaweed(folder)
    try:
        server.start()
        boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id="AKIAADMIN",
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        ).create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.kill()


def variables(server: Seaweed) -> dict[str, str]:
    """The SDK's variables for a writer of the bucket."""
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": "AKIAWRITER",
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
