"""Where a file may be written, and writing it whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import BenchmarkError

_NEW_S = 1.0


def place_of(path: str | Path) -> Path:
    """The path at which a file is replaced; a link is resolved.

    A file that is written next to its path and moved there would replace a device, such as
    /dev/stdout, for every program on the machine.

    Raises:
        BenchmarkError: the path is a folder, a device or a pipe.
    """
    place = Path(path)
    try:
        mode = place.stat().st_mode
    except OSError:
        return place  # Nothing is there, or writing will report the error.
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise BenchmarkError(f"{path} is {kind} and cannot be written; name a file.")
    return place.resolve()


@contextlib.contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes that place at the end of the block.

    If the block raises, `path` stays as it was and the file is removed. A link is followed. What a
    killed process left is removed by the next one that writes to `path`.

    Raises:
        BenchmarkError: the path is a device or a pipe.
        OSError: it is a folder, or cannot be written.
    """
    place = path if path.is_dir() else place_of(path)
    beside = place.with_name(f".{place.name}.{os.getpid()}-{secrets.token_hex(4)}")
    _remove_left(place)
    try:
        with beside.open("xb") as held:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(held, fcntl.LOCK_EX)
            yield beside
            beside.replace(place)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _remove_left(place: Path) -> None:
    """Remove the files of `staged` that no process holds any more."""
    start = f".{place.name}."
    for left in place.parent.glob(f"{glob.escape(start)}*-{'[0-9a-f]' * 8}"):
        if not left.name.removeprefix(start).partition("-")[0].isdecimal():
            continue  # A user's own, such as .results.csv.bak-20261201.
        with contextlib.suppress(OSError):
            found = left.lstat()
            # One that was just made may be about to be locked.
            if not stat.S_ISREG(found.st_mode) or time.time() - found.st_mtime <= _NEW_S:
                continue
            with left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
