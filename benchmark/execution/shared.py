"""Folders that the runners of one machine share while one of them uses them.

    with SharedFolders() as folders:
        folder = folders.hold("table-4f2a", build)    # build(folder) runs once on this machine

A folder lies in the scratch root; who uses it holds a shared lock on it, so that the last one to
let go removes it, and the sweep those of killed runners. Builders take turns: the tables that they
hold in memory meanwhile would else be as many as there are runners.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections import OrderedDict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from benchmark.execution.scratch import LOCK, discard, lock_of, scratch_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READY = "ready"
_MOST_HELD = 8
_MOST_HELD_BYTES = 1 << 30


class SharedFolders:
    """What this process holds, the latest last; older ones go when they are many or large."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, tuple[Path, IO[bytes], int]] = OrderedDict()

    def __enter__(self) -> SharedFolders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hold(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder of this name, built by `build` unless another process has built it."""
        if name not in self._held:
            folder, lock = _locked(name)
            try:
                _built(folder, build)
            except BaseException:
                lock.close()
                discard(folder)
                raise
            size = sum(file.stat().st_size for file in folder.iterdir())
            self._held[name] = (folder, lock, size)
        self._held.move_to_end(name)
        return self._held[name][0]

    def let_go(self, keep: int = 2) -> None:
        """Forget the older folders beyond what is worth keeping; the `keep` latest stay."""
        while len(self._held) > keep and (
            len(self._held) > _MOST_HELD
            or sum(size for _, _, size in self._held.values()) > _MOST_HELD_BYTES
        ):
            self._drop(next(iter(self._held)))

    def close(self) -> None:
        for name in list(self._held):
            self._drop(name)

    def _drop(self, name: str) -> None:
        folder, lock, _ = self._held.pop(name)
        lock.close()
        discard(folder)


def _locked(name: str) -> tuple[Path, IO[bytes]]:
    """The folder, held; made again if it was removed while we waited for it.

    What is no folder of ours, or has no lock of ours, stays: this process gets one of its own.
    """
    folder = scratch_root() / name
    while True:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except FileExistsError:
            folder = _another(name)
            continue
        except FileNotFoundError:
            scratch_root()  # Another process has just removed the empty root.
            continue
        lock = lock_of(folder, wait=True, shared=True)
        if lock is None:
            if folder.is_symlink() or (folder.is_dir() and (folder / LOCK).exists()):
                folder = _another(name)
            continue
        with contextlib.suppress(FileNotFoundError):
            if (folder / LOCK).stat().st_ino == os.fstat(lock.fileno()).st_ino:
                return folder, lock
        lock.close()


def _another(name: str) -> Path:
    return scratch_root() / f"{name}-{secrets.token_hex(4)}"


def _built(folder: Path, build: Callable[[Path], None]) -> None:
    if (folder / _READY).exists():
        return
    with _turn():
        if not (folder / _READY).exists():
            build(folder)
            (folder / _READY).touch()


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """One builder at a time on this machine: a lock on the scratch root itself."""
    root = os.open(scratch_root(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        yield
    finally:
        os.close(root)
