"""A task's output: a pipe drained while the task lives into a file that cannot grow without end."""

import os
from collections import deque
from typing import Deque, List, Optional

_CHUNK = 1 << 16
_HEAD, _TAIL = 1 << 18, 1 << 20
_CHUNKS_AT_ONCE = 32


class CappedLog:
    """Keeps the first `head` and the last `tail` bytes of what comes through the pipe.

    The pipe is never read to its end: a process that holds it open delays nothing. `whole` is a log
    that gets all of it too.
    """

    def __init__(self, path: str, fd: int, whole: "Optional[CappedLog]" = None) -> None:
        self.fd = fd
        self._whole = whole
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115
        self._head_left = _HEAD
        self._tail: Deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0
        self.open = True
        os.set_blocking(fd, False)

    @property
    def file_fd(self) -> int:
        return self._file.fileno()

    def take(self) -> bool:
        """Take at most 64 KB of what is there now; False where there was nothing."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self.open = False
            return False
        self.keep(chunk)
        return True

    def keep(self, chunk: bytes) -> None:
        if self._whole:
            self._whole.keep(chunk)
        if self._head_left:
            self._file.write(chunk[: self._head_left])
            chunk, self._head_left = (
                chunk[self._head_left :],
                max(0, self._head_left - len(chunk)),
            )
        if chunk:
            self._tail.append(chunk)
            self._tail_size += len(chunk)
        while self._tail_size > _TAIL and len(self._tail) > 1:
            lost = len(self._tail.popleft())
            self._tail_size -= lost
            self._dropped += lost

    def close(self) -> None:
        drain([self])
        if self._dropped:
            self._file.write(b"\n... %d bytes left out ...\n" % self._dropped)
        for chunk in self._tail:
            self._file.write(chunk)
        self._file.close()
        os.close(self.fd)


def drain(logs: List[CappedLog]) -> None:
    """Take what is there now, up to 2 MB of each, in turn: a flood in one washes out no other."""
    for _ in range(_CHUNKS_AT_ONCE):
        if not [log for log in logs if log.open and log.take()]:
            return
