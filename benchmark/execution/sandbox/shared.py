"""Folders that the runners of one machine share while one of them uses them.

    with SharedFolders() as folders:
        folder = folders.hold("table-4f2a", build)    # build(folder) runs once on this machine

A folder lies in the scratch root; who uses it holds a shared lock on it, so that the last one to
let go removes it, and the sweep those of killed runners. Builders take turns: the tables that they
hold in memory meanwhile would else be as many as there are runners.

Where tasks are not set apart (worker/linux.py) they can write to these files. So a builder notes
what each file is: without a right to write, its owner has to change its mode first, which sets its
time of change. Root needs no right, and a mapped file of a tmpfs keeps its times; for that case
there is a hash, too. A folder that has changed is put aside and built again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from benchmark.execution.sandbox.scratch import LOCK, discard, lock_of, scratch_root
from benchmark.execution.task_files import TaskFileError, read_left

_READY = "ready"
_LARGEST_NOTE = 1 << 16
_MOST_HELD = 8
_MOST_HELD_BYTES = 1 << 30


class _File(NamedTuple):
    """What a file was when it was built: which one, its size in bytes, its times, its content."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int
    hash: str

    @classmethod
    def of(cls, path: Path, hash: str = "") -> _File:
        facts = path.lstat()
        return cls(facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, hash)

    def is_at(self, path: Path, thoroughly: bool) -> bool:
        try:
            same = _File.of(path, self.hash) == self
            return same and (not thoroughly or _hash(path) == self.hash)
        except OSError:
            return False


@dataclass(frozen=True)
class _Held:
    folder: Path
    lock: IO[bytes]
    size: int
    files: dict[str, _File]


class SharedFolders:
    """What this process holds, the latest last; older ones go when they are many or large."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()

    def __enter__(self) -> SharedFolders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hold(self, name: str, build: Callable[[Path], None]) -> Path:
        """The folder of this name, built by `build` unless another process has built it."""
        if name in self._held and not self.is_intact(name):
            self.put_aside(name)
        while name not in self._held:
            folder, lock = _locked(name)
            try:
                files = _built(folder, build)
            except BaseException:
                lock.close()
                discard(folder)
                raise
            size = sum(file.size for file in files.values())
            self._held[name] = _Held(folder, lock, size, files)
            if not self.is_intact(name):
                self.put_aside(name)
        self._held.move_to_end(name)
        return self._held[name].folder

    def is_intact(self, name: str, thoroughly: bool = False) -> bool:
        """Whether the files of a held folder are as they were built; `thoroughly` by content."""
        held = self._held[name]
        return all(
            file.is_at(held.folder / place, thoroughly) for place, file in held.files.items()
        )

    def put_aside(self, name: str) -> None:
        """Let go of a folder that has changed; the next one to ask for it builds it again.

        Other processes may still map its files, so it goes when they have let go as well.
        """
        held = self._held.pop(name)
        # A name by which all processes that hold this folder find it, to remove it as the last.
        inode = os.fstat(held.lock.fileno()).st_ino
        aside = held.folder.with_name(f"changed-{inode:016x}")
        # Else another process has done so, and may have built it again.
        if _is_lock_of(held.folder, held.lock):
            held.folder.rename(aside)
        held.lock.close()
        discard(aside)

    def let_go(self) -> None:
        """Forget the older folders beyond what is worth keeping; the two latest stay."""
        while len(self._held) > 2 and (
            len(self._held) > _MOST_HELD
            or sum(held.size for held in self._held.values()) > _MOST_HELD_BYTES
        ):
            self._drop(next(iter(self._held)))

    def close(self) -> None:
        for name in list(self._held):
            self._drop(name)

    def _drop(self, name: str) -> None:
        held = self._held.pop(name)
        held.lock.close()
        discard(held.folder)


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
            if folder.is_symlink() or (folder.is_dir() and os.path.lexists(folder / LOCK)):
                folder = _another(name)
            continue
        if _is_lock_of(folder, lock):
            return folder, lock
        lock.close()


def _is_lock_of(folder: Path, lock: IO[bytes]) -> bool:
    try:
        return (folder / LOCK).lstat().st_ino == os.fstat(lock.fileno()).st_ino
    except OSError:
        return False


def _another(name: str) -> Path:
    return scratch_root() / f"{name}-{secrets.token_hex(4)}"


def _built(folder: Path, build: Callable[[Path], None]) -> dict[str, _File]:
    """The folder's files as they were built, now or by another process."""
    files = _noted(folder)
    if files is not None:
        return files
    with _turn():
        files = _noted(folder)
        if files is None:
            build(folder)
            files = {}
            for path in folder.iterdir():
                if path.name != LOCK:
                    path.chmod(0o400)
                    files[path.name] = _File.of(path, _hash(path))
            staged = folder / f"{_READY}.{os.getpid()}"
            staged.write_text(json.dumps(files))
            staged.replace(folder / _READY)
    return files


def _noted(folder: Path) -> dict[str, _File] | None:
    """What the builder noted; of a note that cannot be read, files that are nowhere."""
    try:
        note = read_left(folder / _READY, _LARGEST_NOTE)
        if note is None:
            return None
        return {name: _File(*facts) for name, facts in json.loads(note).items()}
    except (TaskFileError, ValueError, TypeError, AttributeError, RecursionError):
        return {f"{_READY}/": _File(0, 0, 0, 0, "")}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """One builder at a time on this machine: a lock on the scratch root itself."""
    root = os.open(scratch_root(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(root, fcntl.LOCK_EX)
        yield
    finally:
        os.close(root)
