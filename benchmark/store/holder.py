"""Who holds a lock: host, process and since when, as it is written beside the lock."""

from __future__ import annotations

import json
import os
import platform
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path


class Life(Enum):
    """Whether a process runs. Of one that cannot be seen nothing is taken for granted."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


def process_life(pid: int, started: str) -> Life:
    """Whether the process of this PID namespace runs that began then (see `_started`).

    /proc may hide other users' processes (hidepid): those are asked after by a signal, which tells
    that some process has the number, and not which.
    """
    now = _started(pid)
    if now is not None:
        return Life.ALIVE if now == started else Life.DEAD
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return Life.DEAD
    except PermissionError:
        pass
    return Life.UNKNOWN


def machine() -> str:
    """What a machine keeps over a reboot and a container over a restart; "" if there is none."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except (OSError, ValueError):
        return ""


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
    def life(self) -> Life:
        """What can be seen from here of its process; of another place's that is nothing."""
        if not self.place or self.place != _place():
            return Life.UNKNOWN
        return process_life(self.pid, self.started)

    @property
    def is_dead(self) -> bool:
        """True only if it can be seen from here that its process has ended."""
        return self.life is Life.DEAD

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
    """When a process began, in ticks since boot; "" of one that has ended and not been reaped.

    None of one that cannot be seen.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]
