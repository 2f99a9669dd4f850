"""Target hosts: each is one trial's at a time, of whatever study in the store."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from benchmark.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.store import Store

_AGAIN_S = 0.5
_TRIES = 3


class HostLease:
    """One of several hosts, taken until it is given back or the process ends."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held = contextlib.ExitStack()

    def take(self, hosts: Sequence[str]) -> str:
        """Wait for a host that nobody has.

        Raises:
            StoreError: the store takes no locks.
        """
        self.give_back()
        refused = 0
        while True:
            for host in hosts:
                name = f"host-{host}"
                if self._store.is_locked(name):
                    continue
                try:
                    self._held.enter_context(self._store.lock(name))
                except StoreError:
                    # Another was faster, or the store is at fault: that shows by and by.
                    refused += 1
                    if refused >= _TRIES * len(hosts) and not self._store.is_locked(name):
                        raise
                    continue
                return host
            threading.Event().wait(_AGAIN_S)

    def give_back(self) -> None:
        self._held.close()
