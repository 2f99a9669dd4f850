"""Faults of an engine that may pass, and for how long they are borne.

patiently(lambda: engine.ask(), patience_s)      # asks until it is answered

trouble = Trouble()
while waiting:
    with trouble.borne(patience_s):              # goes on with its other work between two asks
        engine.ask()
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from benchmark.errors import BenchmarkError

_T = TypeVar("_T")


class PassingError(BenchmarkError):
    """An engine cannot be asked now. `perhaps_done`: it may have done all the same what it was."""

    def __init__(self, sentence: str, *, perhaps_done: bool = False) -> None:
        super().__init__(sentence)
        self.perhaps_done = perhaps_done


class Trouble:
    """Remembers since when an engine has not answered."""

    def __init__(self) -> None:
        self._since: float | None = None

    @contextmanager
    def borne(self, patience_s: float) -> Iterator[None]:
        """End what stands in it at a fault that may pass; the next time may be better.

        Raises:
            BenchmarkError: none of the times was, for `patience_s`.
        """
        now = time.monotonic()
        try:
            yield
            self._since = None
        except PassingError as fault:
            self._since = now if self._since is None else self._since
            if now - self._since > patience_s:
                raise _too_long(fault) from None


def patiently(ask: Callable[[], _T], patience_s: float) -> _T:
    """Ask until it is answered: a fault that may pass is waited out for so long.

    Raises:
        BenchmarkError: it has not passed.
    """
    end = time.monotonic() + patience_s
    pause_s = 0.5
    while True:
        try:
            return ask()
        except PassingError as fault:
            if time.monotonic() + pause_s > end:
                raise _too_long(fault) from None
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 15.0)


def _too_long(fault: PassingError) -> BenchmarkError:
    return BenchmarkError(f"{fault} This has lasted for too long.")
