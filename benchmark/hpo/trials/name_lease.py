"""One of several names, taken for as long as it is needed: target hosts, and the right to ask."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence

from benchmark.errors import StoreError
from benchmark.store import Store

_AGAIN_S = 0.2
_TRIES = 25


class NameLease:
    """Waits for a lock of the store that no one has; goes with the process, however that ends.

    with NameLease(store, ["host-db1", "host-db2"]) as name:
        ...
    """

    def __init__(self, store: Store, names: Sequence[str], again_s: float = _AGAIN_S) -> None:
        self._store = store
        self._names = list(names)
        self._again_s = again_s
        self._held = contextlib.ExitStack()

    def __enter__(self) -> str:
        return self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self) -> str:
        """Wait for one of the names.

        Raises:
            StoreError: the store takes no locks.
        """
        self.give_back()
        refused = 0
        while True:
            for name in self._names:
                if self._store.is_locked(name):
                    continue
                try:
                    self._held.enter_context(self._store.lock(name))
                except StoreError:
                    # Another was faster; where the store itself is at fault that shows by and by.
                    refused += 1
                    if refused >= _TRIES * len(self._names):
                        raise
                    continue
                return name
            threading.Event().wait(self._again_s)

    def give_back(self) -> None:
        self._held.close()
