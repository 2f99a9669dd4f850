"""What runs on this machine: command lines of living processes, and control groups of ours.

A process may end and a group may go while one looks: neither is an error.
"""

from __future__ import annotations

import os
from pathlib import Path


def commands() -> dict[int, str]:
    """The command line of every living process by its pid; kernel threads and zombies have none."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if line:
            found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
    return found


def with_mark(mark: str) -> dict[int, str]:
    """The living processes but this one that carry the mark on their command line."""
    return {pid: line for pid, line in commands().items() if mark in line and pid != os.getpid()}


def groups() -> list[Path]:
    """Control groups that the sandbox has made and that are still there."""
    return [
        Path(folder, name)
        for folder, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith("automl-")
    ]
