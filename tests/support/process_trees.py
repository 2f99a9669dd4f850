"""Process trees of doubles: who descends from a process, what they take, and their end."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def flat_memory(most_mb: float) -> Iterator[Callable[[], None]]:
    """Call what is yielded after each step; fails if this process grew by more than `most_mb`.

    The first fifth of the steps is left out: caches and imports fill then.
    """
    seen: list[float] = []

    def step() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        seen.append(pages * os.sysconf("SC_PAGE_SIZE") / 2**20)

    yield step
    filled = seen[len(seen) // 5 :]
    grown = filled[-1] - filled[0]
    print(f"memory: {filled[0]:.0f} MB after a fifth, {filled[-1]:.0f} MB at the end")
    assert grown <= most_mb, f"{grown:.0f} MB more after {len(seen)} steps"
