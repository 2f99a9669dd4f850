"""Cores of a host that several containers share, so that no two of them pin the same.

    with claimed(2, os.sched_getaffinity(0)) as cores: ...

A claim is an abstract socket's name, which containers with the host's network see of each other
(AWS Batch's have it) and which goes with its process. Where the names are not shared, the cores
are drawn, so that containers meet by chance and not always.
"""

from __future__ import annotations

import contextlib
import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME = "\0automl-benchmark-core-{}"


@contextlib.contextmanager
def claimed(number: int, available: Iterable[int]) -> Iterator[list[int]]:
    """So many of the cores, first those that nobody has claimed; fewer only where there are."""
    free = list(available)
    random.SystemRandom().shuffle(free)
    chosen: list[int] = []
    with contextlib.ExitStack() as held:
        for core in free:
            if len(chosen) == number:
                break
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(_NAME.format(core))
            except OSError:
                claim.close()
                continue
            held.enter_context(claim)
            chosen.append(core)
        others = [core for core in free if core not in chosen]
        yield sorted(chosen + others[: number - len(chosen)])
