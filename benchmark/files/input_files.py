"""Read a file that a user names; refuse pipes, which would block, and devices."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from benchmark.errors import BenchmarkError


def read_bytes(path: str | Path) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(os.fstat(handle).st_mode)
        with open(handle, "rb", closefd=False) as file:  # open
            return file.read()
    finally:
        os.close(handle)


def read_input(path: str | Path) -> str:
    """Its text in UTF-8, with or without a byte order mark.

    Raises:
        OSError: it cannot be read, or is not a regular file.
        UnicodeDecodeError: it is not UTF-8.
    """
    text = io.TextIOWrapper(io.BytesIO(read_bytes(path)), encoding="utf-8-sig")
    return text.read()


def check_regular(path: Path) -> None:
    """Check a file that a library will open by its name.

    Raises:
        OSError: it does not exist, or is not a regular file.
    """
    _check(path.stat().st_mode)


def check_working_directory() -> None:
    """Check that relative paths lead somewhere.

    Raises:
        BenchmarkError: the working directory was deleted, or cannot be reached.
    """
    try:
        Path.cwd()
    except OSError as error:
        raise BenchmarkError(
            f"The working directory cannot be used: {error.strerror}; change to one that exists."
        ) from None


def expanded(path: str | Path, fix: str = "write the whole path") -> Path:
    """The path with the home directory in the place of `~`.

    Raises:
        BenchmarkError: there is no such user, or nothing says where this one's home is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BenchmarkError(
            f"The home directory in {path} cannot be found; {fix}, or set HOME."
        ) from None


def _check(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device; name a regular file")
