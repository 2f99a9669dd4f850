"""Process trees of doubles: who descends from a process, what they take, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += parents.get(found[-1], [])
    return found


def tree_mb(pid: int) -> float:
    """Anonymous memory of a tree, MB."""
    total = 0
    for one in tree(pid):
        with contextlib.suppress(OSError):
            pages = (Path("/proc") / str(one) / "statm").read_text().split()
            total += int(pages[1]) - int(pages[2])
    return total * os.sysconf("SC_PAGE_SIZE") / 2**20


def kill_tree(pid: int) -> None:
    for one in tree(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
