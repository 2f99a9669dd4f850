"""Read a file that a user names: a pipe would keep the program waiting, a device has no end."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read_input(path: str | Path) -> str:
    """Its text in UTF-8, with or without a byte order mark.

    Raises:
        OSError: it cannot be read, or is no regular file.
        UnicodeDecodeError: it is not UTF-8.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(handle).st_mode)
        with open(handle, encoding="utf-8-sig", closefd=False) as file:  # open
            return file.read()
    finally:
        os.close(handle)


def check_regular(path: Path) -> None:
    """Check a file that a library is to open by its name.

    Raises:
        OSError: it is not there, or is no regular file.
    """
    _check(path.stat().st_mode)


def _check(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device; name a regular file")
