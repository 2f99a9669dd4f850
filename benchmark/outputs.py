"""Files that a user names to be written: where they are, and what is none."""

from __future__ import annotations

import stat
from pathlib import Path

from benchmark.errors import BenchmarkError


def place_of(path: str | Path) -> Path:
    """Where a file is to be replaced: through a link, what the link names.

    A file that is written beside its place and moved there would take the place of a device, such
    as /dev/stdout, for every program on the machine.

    Raises:
        BenchmarkError: a folder, a device or a pipe is there.
    """
    place = Path(path)
    try:
        mode = place.stat().st_mode
    except OSError:
        return place  # Nothing is there, or writing says why nothing can be.
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise BenchmarkError(f"{path} is {kind} and cannot be written; name a file.")
    return place.resolve()
