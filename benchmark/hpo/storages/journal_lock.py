"""The lock of a study's journal file, and the repair of its end.

Optuna's own lock is a file that outlives a killed holder (all others wait 30 s), and a line torn by
a kill makes the next append unreadable forever. Here the kernel holds the lock, so it ends with its
holder, and the next holder cuts a torn tail first: a torn line, and the lines of an incomplete
append (see journal_file.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from pathlib import Path
from typing import IO

_BLOCK = 65536
BATCH = "batch"
"""A key of journal lines: the offset of their append, except in its last line."""


class FlockLock:
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
