"""A runner's scratch folder, and the sweeping of what killed runners left behind.

The runner holds a lock on its folder while it lives; whoever can take the lock of a folder knows
that its runner is gone, ends the control groups and marked processes it noted, and removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from benchmark.execution.worker.cgroups import PREFIX, Group, create
from benchmark.execution.worker.crowd import Crowd

_LOCK = "lock"
_GROUPS = "groups"
_MARK = "mark"


def scratch_root() -> Path:
    """The folder of this user's scratch folders; refused where somebody else owns it."""
    root = Path(tempfile.gettempdir()) / f"automl-benchmark-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise PermissionError(f"{root} belongs to another user; set TMPDIR to a folder of your own")
    return root


class Scratch:
    """A folder that goes with this process, however it ends.

    with Scratch() as scratch:
        group = scratch.group(memory_mb=300, cores=[0])
    """

    def __init__(self) -> None:
        self.folder, self._lock = _locked_folder()
        self._count = 0

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def group(self, memory_mb: float, cores: list[int]) -> Group | None:
        """A control group for one task, noted before it exists; None where that is not allowed."""
        self._count += 1
        name = f"{PREFIX}{self.folder.name}-{self._count}"
        group = create(name, memory_mb, cores)
        if group:
            (self.folder / _GROUPS).write_text(json.dumps(group.folders))
        return group

    def mark(self) -> str:
        """A mark for the processes of one zygote (see worker/crowd.py), noted for a sweep."""
        self._count += 1
        (self.folder / _MARK).touch()
        return f"{self.folder.name}-{self._count}"

    def close(self) -> None:
        _remove(self.folder)
        self._lock.close()
        _remove_empty_root()


def sweep() -> int:
    """Remove what runners that are gone have left: their groups with what runs in them, folders.

    Returns:
        How many were removed.
    """
    removed = 0
    try:
        folders = list(scratch_root().iterdir())
    except FileNotFoundError:
        return 0  # Another process has just removed the empty root.
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            if not folder.is_dir():
                folder.unlink(missing_ok=True)
                continue
            lock = _lock(folder)
            if lock:
                with lock:
                    _remove(folder)
                removed += 1
    _remove_empty_root()
    return removed


def discard(folder: Path) -> None:
    """Remove a folder of the scratch root unless somebody holds its lock."""
    lock = _lock(folder)
    if lock:
        with lock:
            _remove(folder)
    _remove_empty_root()


def _remove_empty_root() -> None:
    """Nothing of ours stays in the temporary folder when nobody runs."""
    with contextlib.suppress(OSError):
        scratch_root().rmdir()


def _locked_folder() -> tuple[Path, IO[bytes]]:
    """Made and locked; made again if a sweep was faster."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix="", dir=scratch_root()))
        except FileNotFoundError:
            continue  # Another process has just removed the empty root.
        lock = _lock(folder)
        if lock and folder.exists() and (folder / _LOCK).exists():
            return folder, lock


def _lock(folder: Path) -> IO[bytes] | None:
    try:
        file = (folder / _LOCK).open("ab")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def _remove(folder: Path) -> None:
    for group in _noted_groups(folder):
        group.kill()
        group.remove()
    if (folder / _MARK).exists():
        Crowd(f"{folder.name}-").kill_all()
    shutil.rmtree(folder, ignore_errors=True)


def _noted_groups(folder: Path) -> list[Group]:
    """The group that the runner noted, and any other with its name."""
    try:
        noted = json.loads((folder / _GROUPS).read_text())
    except (OSError, ValueError):
        return []
    groups = []
    for member in {name for path in noted.values() for name in _siblings(path, folder.name)}:
        paths = {kind: str(Path(path).parent / member) for kind, path in noted.items()}
        groups.append(
            Group({kind: path for kind, path in paths.items() if Path(path).is_dir()} or paths)
        )
    return groups


def _siblings(path: str, scratch: str) -> list[str]:
    parent = Path(path).parent
    return [entry.name for entry in parent.glob(f"{PREFIX}{scratch}-*")] if parent.is_dir() else []
