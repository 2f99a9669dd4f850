"""Cores of its own for each task on a machine, where the batch system binds no one to any.

    with claimed(2) as cores:            # [0, 1]; the next process gets [2, 3]
        ...

A claim is a lock on a file in the machine's own temporary folder, and goes with its process. Where
the batch system has bound this process to as many cores as it asks for, it gets those.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmark.execution.machine.cores import usable_cores


@contextlib.contextmanager
def claimed(count: int) -> Iterator[list[int]]:
    """Cores that no other task of this user has claimed; shared ones where there are too few."""
    allowed = usable_cores()
    if len(allowed) <= count:
        yield allowed
        return
    with contextlib.ExitStack() as locks:
        own: list[int] = []
        for core in allowed:
            if len(own) < count and _lock(core, locks):
                own.append(core)
        # More tasks than cores: that is the batch system's to decide, and they share.
        rest = [core for core in allowed if core not in own]
        start = os.getpid() % max(1, len(rest))
        yield sorted([*own, *(rest[start:] + rest[:start])][:count])


def _lock(core: int, locks: contextlib.ExitStack) -> bool:
    """Claim a core until `locks` is left; its file goes with the claim."""
    # Not in a job's own TMPDIR, which the others do not see.
    folder = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())  # noqa: S108  # nosec B108 # opened with O_NOFOLLOW
    path = folder / f"automl-benchmark-{os.getuid()}-core-{core}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return False  # Someone else's file stands there: it is no claim of ours.
    file = os.fdopen(descriptor, "ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_it = path.stat().st_ino == os.fstat(descriptor).st_ino
    except OSError:
        is_it = False  # Claimed, or its last owner has just removed it.
    if not is_it:
        file.close()
        return False
    locks.enter_context(file)
    locks.callback(path.unlink, missing_ok=True)
    return True
