"""Resolve an output path; reject directories, devices and pipes."""

from __future__ import annotations

import stat
from pathlib import Path

from benchmark.errors import BenchmarkError


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
