"""Optuna's journal file with atomic appends of several lines, and its lock.

Every line but the last of such an append has the key `batch`, the file offset at which the append
started. Optuna ignores the key. Readers hold such lines back until the last one is there, and the
next holder of the lock cuts off what a kill left: a torn line, which would make the next append
unreadable forever, and the lines of an incomplete append. Optuna's own lock is a file that outlives
a killed holder (all others wait 30 s); here the kernel holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

from benchmark.errors import StoreError
from benchmark.hpo.storages.optuna_private import (
    BaseJournalFileLock,
    JournalFileParts,
    get_lock_file,
)
from benchmark.store.faults import diagnose

_BLOCK = 65536
BATCH = "batch"
"""A key of journal lines: the offset of their append, except in its last line."""


class FlockLock(BaseJournalFileLock):
    """A lock between processes and threads on a file beside the journal."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = journal.with_name(journal.name + ".lock")
        self._threads = threading.Lock()
        self._fd = -1

    def acquire(self) -> bool:
        """Wait for the lock and repair the journal's end."""
        self._threads.acquire()
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            cut_torn_tail(self._journal)
        except BaseException:
            self.release()
            raise
        return True

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._threads.release()


def cut_torn_tail(journal: Path) -> int:
    """Cut the end of an incomplete append, which was never reported as successful.

    Returns:
        The number of bytes cut.
    """
    with journal.open("r+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        end = _line_begin(file, size)
        if end:
            last = _line_begin(file, end - 1)
            file.seek(last)
            end = _batch_begin(file.read(end - last), end)
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
        return size - end


def _line_begin(file: IO[bytes], end: int) -> int:
    """The start of the line that contains the byte before `end`; `end` after a newline."""
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        place = file.read(end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def _batch_begin(line: bytes, end: int) -> int:
    """The start of the append to which the line belongs, unless it is its last; else `end`."""
    if f'"{BATCH}":'.encode() not in line:
        return end
    return int(json.loads(line).get(BATCH, end))


class JournalFile(JournalFileParts):
    """The backend of `open_storage`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=FlockLock(path))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude all other writers."""
        try:
            with get_lock_file(self.lock):
                yield
        except OSError as error:
            raise self._fault("written", error) from error

    def _fault(self, what: str, error: OSError) -> StoreError:
        fault = diagnose(error)
        return StoreError(
            f"The study journal {self.path} cannot be {what}: {fault.reason}; {fault.fix}."
        )

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._locked():
            self._append_whole(logs)

    def append_at(self, first: int, logs: list[dict[str, Any]]) -> bool:
        """Append if `first` is the end; durable when this returns.

        Raises:
            StoreError: the journal cannot be written. The next writer cuts a partial append.
        """
        with self._locked():
            size = Path(self.path).stat().st_size
            is_end = self.offsets.get(first) == size
            if not is_end and any(True for _ in self.read_logs(first)):
                return False
            self._append_whole(logs)
            end = Path(self.path).stat().st_size
            self.offsets[first + len(logs)] = end
        return True

    def read_from(self, first: int) -> list[dict[str, Any]]:
        """The logs from a number on.

        Raises:
            StoreError: the journal cannot be read, or an earlier copy has taken its place.
        """
        try:
            return list(self.read_logs(first))
        except OSError as error:
            raise self._fault("read", error) from error

    def _append_whole(self, logs: list[dict[str, Any]]) -> None:
        """Append the logs, durable when this returns; if it raises, they are not in the journal."""
        size = Path(self.path).stat().st_size
        marked = [{**log, BATCH: size} for log in logs[:-1]] + logs[-1:]
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in marked]
        try:
            with Path(self.path).open("ab") as file:
                file.write("".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self.path, size)
            raise

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if Path(self.path).stat().st_size < self.offsets.get(log_number_from, 0):
            raise StoreError(
                f"The study journal {self.path} is shorter than what was read of it; put the later "
                "file back, or start again with the one that is there."
            )
        held: list[dict[str, Any]] = []
        read = log_number_from
        for log in super().read_logs(log_number_from):
            held.append(log)
            if BATCH not in log:
                read += len(held)
                yield from held
                held = []
        if held:
            # These lines may be cut off, and others take their place.
            for number in [number for number in list(self.offsets) if number > read]:
                del self.offsets[number]
