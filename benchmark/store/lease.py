"""A lock in a store without locks: a lease object, renewed while its holder lives.

The lease is created by a create-only write, and every renewal and takeover overwrites exactly the
state that was read, so of several only one can succeed. A lease that was not renewed for `STALE_S`
may be taken over; its age is measured by the store's clock alone, because the clocks of two
machines differ. If the new holder can see that the old one has ended, it takes over at once.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from benchmark.errors import StoreError
from benchmark.store.holder import Holder
from benchmark.store.objects import LOCKS, Store, Stored

RENEW_S = 10.0
STALE_S = 60.0
_TRIES = 10
_log = logging.getLogger("benchmark.store")


def lease_path(name: str) -> str:
    return f"{LOCKS}/{quote(name, safe='')}.json"


def _is_free(found: Stored, now_s: Callable[[], float]) -> bool:
    """Whether a lease that was found may be taken over."""
    holder = _read(found)
    return holder is None or holder.is_dead or now_s() - found.modified_s > STALE_S


def _now_s(store: Store) -> float:
    """The time by the store's own clock: the modification time of an object written just now."""
    path = f"{LOCKS}/.now-{secrets.token_hex(8)}"
    store.put(path, b"")
    written = store.stored(path)
    store.delete([path])
    return written.modified_s if written else 0.0


def _readers_now_s(store: Store) -> float:
    """The store's time; this machine's time if the store cannot be written."""
    try:
        return _now_s(store)
    except StoreError:
        return time.time()


class Lease:
    """One acquisition of a name in a store; renewed by a thread until it is released."""

    def __init__(
        self,
        store: LeasedStore,
        name: str,
        on_lost: Callable[[str], None],
    ) -> None:
        self._store = store
        self._path = lease_path(name)
        self._name = name
        self._on_lost = on_lost
        self._holder = Holder.here()
        self._e_tag: str | None = None
        self._renewed_s = _clock_s()
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease {name}", daemon=True)

    def take(self) -> Holder | None:
        """Take the name and start to renew it; return the holder, if there is one."""
        for _ in range(_TRIES):
            found = self._store.stored(self._path)
            if found is None:
                self._store.create(self._path, self._holder.to_bytes())
                found = self._store.stored(self._path)
            elif _is_free(found, lambda: _now_s(self._store)):
                self._store.replace(self._path, self._holder.to_bytes(), found.e_tag)
                found = self._store.stored(self._path)
            holder = _read(found) if found else None
            if found and holder and holder.owner == self._holder.owner:
                self._e_tag, self._renewed_s = found.e_tag, _clock_s()
                self._thread.start()
                return None
            if holder:
                return holder
        raise StoreError(
            f"The lock '{self._path}' in {self._store.url} changes constantly; try again."
        )

    def give_back(self) -> None:
        """Stop renewing, and remove the lease if it is still this process's."""
        self._ended.set()
        self._thread.join()
        try:
            if self._renewed():
                self._store.delete([self._path])
        except StoreError as error:
            _log.warning("%s The lock expires in %.0f s.", error, STALE_S)

    def check(self) -> None:
        """Before a write, renew a lease that may have expired, such as after this machine slept.

        The ETag of the last renewal is the lease's epoch: where another has taken the name since,
        the renewal fails and the store refuses the write.
        """
        if self._e_tag is not None and _clock_s() - self._renewed_s > STALE_S - RENEW_S:
            self._renewed(patience_s=None)

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_S):
            try:
                if not self._renewed():
                    return
            except StoreError:
                # Unreachable: whether the lease was taken is unknown. The next renewal tries again,
                # and the driver's own requests meet the same fault.
                continue

    def _renewed(self, patience_s: float | None = RENEW_S) -> bool:
        """Renew our own last lease; if it is gone, report the loss and return False."""
        with self._turn:
            return self._renew(patience_s)

    def _renew(self, patience_s: float | None) -> bool:
        if self._e_tag is None:
            return False
        started_s = _clock_s()
        self._holder = replace(self._holder, renewed=self._holder.renewed + 1)
        data = self._holder.to_bytes()
        e_tag = self._store.replace(self._path, data, self._e_tag, patience_s=patience_s)
        if e_tag is None:
            found = self._store.stored(self._path)
            holder = found and _read(found)
            if holder and found and holder.owner == self._holder.owner:
                # A try of an earlier renewal had succeeded after all.
                self._e_tag, self._renewed_s = found.e_tag, started_s
                return True
            self._e_tag = None
            self._on_lost(
                f"The lock on '{self._name.removeprefix('driver-')}' in {self._store.url} was "
                f"taken from this process, by {holder or 'one that has released it'}; nothing "
                "more is written here. Check the run with status."
            )
            return False
        self._e_tag, self._renewed_s = e_tag, started_s
        return True


def _clock_s() -> float:
    """Seconds that include the machine's sleep, where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class LeasedStore(Store):
    """A store without locks of its own, in which a lock is a lease."""

    lapse_s = STALE_S + RENEW_S

    def __init__(self, url: str, backend: Any, patience_s: float = 0.0) -> None:
        super().__init__(url, backend, patience_s)
        self._leases: list[Lease] = []

    def put(self, path: str, data: bytes) -> None:
        self._check_leases()
        super().put(path, data)

    def create(self, path: str, data: bytes) -> bool:
        self._check_leases()
        return super().create(path, data)

    def delete(self, paths: Iterable[str]) -> None:
        self._check_leases()
        super().delete(paths)

    def _check_leases(self) -> None:
        for lease in list(self._leases):
            lease.check()

    @abstractmethod
    def replace(
        self, path: str, data: bytes, e_tag: str | None, patience_s: float | None = None
    ) -> str | None:
        """Write over just that state of the object; the new ETag, or None if it has changed."""

    @contextlib.contextmanager
    def lock(self, name: str, on_lost: Callable[[], None] | None = None) -> Iterator[None]:
        def lost(sentence: str) -> None:
            self._lost = sentence
            if on_lost:
                on_lost()

        lease = Lease(self, name, lost)
        holder = lease.take()
        if holder is not None:
            raise StoreError(self._driven(name, f"{holder} (a dead holder's lock expires in 60 s)"))
        self._leases.append(lease)
        try:
            yield
        finally:
            self._leases.remove(lease)
            lease.give_back()
            if self._lost:
                raise StoreError(self._lost)

    def is_locked(self, name: str) -> bool:
        found = self.stored(lease_path(name))
        if found is None or _is_free(found, lambda: _readers_now_s(self)):
            return False
        return _read(found) is not None


def _read(found: Stored) -> Holder | None:
    """The holder, or None if the bytes are not a lease."""
    try:
        return Holder.from_bytes(found.data)
    except (ValueError, TypeError):
        return None
