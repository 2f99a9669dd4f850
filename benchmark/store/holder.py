"""Who holds a lock: host, process and since when, as it is written beside the lock."""

from __future__ import annotations

import json
import os
import platform
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """`place` is the machine's boot and PID namespace, in which `pid` and `started` mean one
    process; `owner` is one taking of the lock, and `renewed` differs with every sign of life.
    """

    owner: str
    host: str
    pid: int
    place: str
    started: str
    since: str
    renewed: int = 0

    @staticmethod
    def here() -> Holder:
        """This process, from now on."""
        pid = os.getpid()
        return Holder(
            owner=secrets.token_hex(16),
            host=platform.node(),
            pid=pid,
            place=_place(),
            started=_started(pid) or "",
            since=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Holder:
        """Read it.

        Raises:
            ValueError: the bytes are none.
            TypeError: they are of another form.
        """
        return Holder(**json.loads(data))

    @property
    def is_dead(self) -> bool:
        """True if it can be seen from here that its process has ended."""
        return bool(self.place) and self.place == _place() and _started(self.pid) != self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def _place() -> str:
    """The boot and the PID namespace, or "" where that cannot be known."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a living process began, in ticks since boot; None of one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
