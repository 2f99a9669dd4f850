"""Disk space and removal of environments.

Environments share files with uv's cache, and through it with each other, by hard links: the
size of an environment and the space that its removal frees differ.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.config.cache import cache_folder
from benchmark.errors import SetupError
from benchmark.files.removal import clear
from benchmark.frameworks.environments import READY


@dataclass(frozen=True)
class Stored:
    """An environment in the cache. `own_mb` is not shared; `built` is False for unfinished ones."""

    name: str
    folder: Path
    size_mb: float
    own_mb: float
    built: bool


@dataclass(frozen=True)
class Disk:
    """All environments and their total size in MB, counting each file once."""

    environments: list[Stored]
    total_mb: float


def stored() -> Disk:
    """Everything in the cache, of any framework."""
    everything: dict[tuple[int, int], int] = {}
    found = []
    for folder in sorted(path for path in _root().glob("*") if path.is_dir()):
        sizes: dict[tuple[int, int], int] = {}
        links: Counter[tuple[int, int]] = Counter()
        elsewhere: set[tuple[int, int]] = set()
        for facts in _files(folder):
            inode = (facts.st_dev, facts.st_ino)
            sizes[inode] = facts.st_blocks * 512
            links[inode] += 1
            if facts.st_nlink > links[inode]:
                elsewhere.add(inode)
            else:
                elsewhere.discard(inode)
        everything |= sizes
        own = sum(size for inode, size in sizes.items() if inode not in elsewhere)
        name = re.sub(r"-[0-9a-f]{16}$", "", folder.name)
        size = _mb(sum(sizes.values()))
        found.append(Stored(name, folder, size, _mb(own), _is_built(folder)))
    return Disk(found, _mb(sum(everything.values())))


def remove(names: Sequence[str]) -> list[Stored]:
    """Remove every environment of these names, such as "h2o" or "h2o@3.44.0.3".

    Nothing is removed if a name has no environment, or a process runs in one.

    Raises:
        SetupError: a name has none, a process runs in one, or one cannot be removed.
    """
    disk = stored()
    chosen = [environment for environment in disk.environments if environment.name in names]
    for name in names:
        if all(environment.name != name for environment in chosen):
            there = ", ".join(dict.fromkeys(one.name for one in disk.environments)) or "none"
            raise SetupError(f"{_root()} has no environment '{name}'; it has {there}.")
    for environment in chosen:
        pid = _user_of(environment.folder)
        if pid is not None:
            raise SetupError(
                f"The process {pid} runs in {environment.folder}; stop it, or wait for its end."
            )
    for environment in chosen:
        _remove(environment.folder)
    return chosen


def _remove(folder: Path) -> None:
    """Remove it under the build lock, which stays: a builder may be waiting for it."""
    ruin = folder.with_name(f".{folder.name}.{os.getpid()}")
    if folder.is_symlink():
        raise SetupError(f"{folder} is a link, which is not followed; remove the link itself.")
    try:
        with Path(f"{folder}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            folder.rename(ruin)
            clear(ruin)
    except BlockingIOError:
        raise SetupError(f"{folder} is being built by another process; wait for it.") from None
    except OSError as error:
        raise SetupError(f"{folder} cannot be removed: {error.strerror}.") from None


def _root() -> Path:
    return cache_folder() / "environments"


def _files(folder: Path) -> Iterator[os.stat_result]:
    for root, _, files in os.walk(folder):
        for file in files:
            try:
                yield Path(root, file).lstat()
            except FileNotFoundError:
                continue  # A build in another process moves files.


def _is_built(folder: Path) -> bool:
    try:
        return isinstance(json.loads((folder / READY).read_text(encoding="utf-8")), dict)
    except (OSError, ValueError):
        return False


def _user_of(folder: Path) -> int | None:
    """A process whose interpreter is that of the environment."""
    wanted = os.fsencode(folder / "bin") + b"/"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # It has ended.
        if command and command[0].startswith(wanted):
            return int(process.name)
    return None


def _mb(size: int) -> float:
    return round(size / 1e6, 1)
