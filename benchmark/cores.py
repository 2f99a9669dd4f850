"""The cores of this process: which it may use, and binding it to some.

macOS binds nobody to a core: there all count as usable, and binding does nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CAN_BIND = hasattr(os, "sched_setaffinity")


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind(cores: Iterable[int], pid: int = 0) -> None:
    """Bind a process (0: this one) to the cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cores)
