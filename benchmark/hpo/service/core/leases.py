"""Whose a trial is, and for how long: kept in memory, where one process has the experiment alone.

What a trial's client was promised stands in the trial as well (its token and its time), so that a
server that was killed goes on with the same promises; their time begins again then.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Lease:
    """Until `ends_s` by the keeper's clock the trial is of who has the token; None: for good."""

    token: str
    ends_s: float | None


class Leases(Protocol):
    """The leases of one experiment. All but `renew` and `release` are called in `exclusive`."""

    def exclusive(self) -> contextlib.AbstractContextManager[bool]:
        """One ask at a time, over all processes; whether the storage was read again in it."""

    def keep_out(self) -> None:
        """Let programs that are no servers wait with their writes until `exclusive` ends."""

    def unlocked(self) -> contextlib.AbstractContextManager[bool]:
        """One ask at a time in this process; False where other processes write too.

        Within, new trials may be written that are refused where others have written meanwhile.
        """

    def may_have_ended(self, running: Iterable[int]) -> bool:
        """Whether one of these may be free, as far as is known without a look."""

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        """From now on the trial is of who has the token."""

    def free(self, running: Iterable[int]) -> list[int]:
        """Those of the running trials whose lease has ended or was never."""

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        """Begin the lease's time again; False where it may have ended, or is another's."""

    def release(self, number: int) -> None:
        """The trial has ended."""


class MemoryLeases:
    """Leases of a single process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        # A heartbeat does not wait for an ask's write, but must not overwrite what an ask grants.
        self._guard = threading.RLock()
        self._leases: dict[int, Lease] = {}

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        with self._turn:
            yield False

    def keep_out(self) -> None:
        """There are none."""

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[bool]:
        yield False  # `exclusive` costs nothing

    def may_have_ended(self, running: Iterable[int]) -> bool:
        return bool(self.free(running))

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        with self._guard:
            ends = None if lease_s is None else self._clock() + lease_s
            self._leases[number] = Lease(token, ends)

    def promise(self, number: int, token: str, lease_s: float | None) -> None:
        """Grant what was granted before this process began; what it granted itself stays."""
        with self._guard:
            lease = self._leases.get(number)
            if lease is None or lease.token != token:
                self.grant(number, token, lease_s)

    def free(self, running: Iterable[int]) -> list[int]:
        with self._guard:
            now = self._clock()
            found = ((number, self._leases.get(number)) for number in running)
            ends = [(n, -math.inf if one is None else one.ends_s) for n, one in found]
        return [number for number, end in ends if end is not None and end <= now]

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        with self._guard:
            lease = self._leases.get(number)
            if lease is None or lease.token != token or number in self.free([number]):
                return False
            self.grant(number, token, lease_s)
            return True

    def release(self, number: int) -> None:
        with self._guard:
            self._leases.pop(number, None)
