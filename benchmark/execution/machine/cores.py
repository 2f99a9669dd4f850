"""The cores and the memory of this machine that this process may use, and binding to cores.

A container or a service may have less than its machine: limits of its control groups are read.
A CPU quota is rounded down to whole cores, one at least, so that a task never shares the time that
its cores stand for; of half a core there is one, and `doctor` warns of it. macOS binds no one to a
core: there all count as usable, and binding does nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import random
import socket
import zlib
from collections.abc import Iterable, Iterator

from benchmark.execution.worker.cgroups import allowance

_MB = 2**20
_CLAIM = "\0automl-benchmark-core-{}"


def bindable_cores() -> list[int]:
    """The numbers of the cores that this process may be bound to, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_cores() -> list[int]:
    """The numbers of the cores that this process may use, in order.

    Under a quota it is as many as that is worth. Which ones follows from the machine's name, so
    that containers of one host, which have names of their own, do not all take the first.
    """
    cores = bindable_cores()
    quota = cpu_quota()
    most = len(cores) if quota is None else max(1, math.floor(quota))
    if len(cores) <= most:
        return cores
    first = zlib.crc32(platform.node().encode()) % len(cores)
    return sorted((cores[first:] + cores[:first])[:most])


def cpu_quota() -> float | None:
    """The CPU quota in cores, if it is less than the cores that this process may be bound to."""
    quota = allowance().cores
    return quota if quota < len(bindable_cores()) else None


def usable_memory_mb() -> int:
    """The machine's memory, or less where a control group allows less."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _MB
    return int(min(whole, allowance().memory_mb))


def bind(cores: Iterable[int], pid: int = 0) -> None:
    """Bind a process (0: this one) to the cores, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cores)


@contextlib.contextmanager
def claimed(number: int, available: Iterable[int], *, drawn: bool = False) -> Iterator[list[int]]:
    """Claim so many cores, first those that no one has claimed; fewer only if there are fewer.

    A claim is the name of an abstract socket, which all processes of a machine see, and containers
    with the host's network (AWS Batch's have it), and which is released when its process ends.
    Where containers do not share these names, `drawn` has them seldom take the same cores. Who is
    bound to no more than it asks for gets these without a claim: what it starts may claim them.
    """
    free = list(available)
    if drawn:
        random.SystemRandom().shuffle(free)
    elif len(free) <= number:
        yield free
        return
    chosen: list[int] = []
    with contextlib.ExitStack() as held:
        for core in free:
            if len(chosen) == number:
                break
            try:
                claim = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
                claim.bind(_CLAIM.format(core))
            except OSError:
                continue  # Claimed, or there are no more descriptors.
            chosen.append(core)
        # More tasks than cores: that is for what starts them to decide, and they share.
        others = [core for core in free if core not in chosen]
        random.SystemRandom().shuffle(others)
        yield sorted(chosen + others[: number - len(chosen)])
