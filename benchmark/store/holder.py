"""The holder of a lock: host, process and start, as written beside the lock."""

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
    """Whether a process runs; nothing is assumed about one that cannot be seen."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


def process_life(pid: int, started: str) -> Life:
    """Whether the process of this PID namespace that started at `started` runs (see `_started`).

    /proc may hide other users' processes (hidepid): those are checked by a signal, which shows
    that some process has the number, but not which.
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
    """An id that a machine keeps over a reboot and a container over a restart; "" if unknown."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True)
class Holder:
    """`place` is the machine's boot and PID namespace, in which `pid` and `started` mean one
    process; `owner` is one acquisition of the lock, and `renewed` changes with every renewal.
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
            ValueError: the bytes are not a holder.
            TypeError: they are of another form.
        """
        return Holder(**json.loads(data))

    @property
    def life(self) -> Life:
        """What this process can see of the holder's; nothing if it is in another place."""
        if not self.place or self.place != _place():
            return Life.UNKNOWN
        return process_life(self.pid, self.started)

    @property
    def is_dead(self) -> bool:
        """True only if this process can see that the holder's has ended."""
        return self.life is Life.DEAD

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


def _place() -> str:
    """The boot and the PID namespace, or "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process started, in ticks since boot; "" for one that has ended but is not reaped.

    None for one that cannot be seen.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "" if fields[0] in "ZX" else fields[19]
