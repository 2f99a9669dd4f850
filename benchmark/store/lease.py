"""A lock in a store that has none: a lease object, renewed while its holder lives.

The lease is made by a create-only write, and every renewal and takeover is a write on just the
state that was read, so of several only one can succeed. A lease that was not renewed for `STALE_S`
may be taken over; its age is told by the store's clock alone, for the clocks of two machines
differ. Where holder and taker can see each other's processes, a dead holder's goes at once.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmark.errors import StoreError
from benchmark.store.holder import Holder
from benchmark.store.objects import LOCKS, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmark.store.objects import Stored

RENEW_S = 10.0
STALE_S = 60.0
_TRIES = 10
_log = logging.getLogger("benchmark.store")


def lease_path(name: str) -> str:
    return f"{LOCKS}/{quote(name, safe='')}.json"


def holder_of(store: Store, name: str) -> Holder | None:
    """Who holds a name, or None if no one does."""
    found = store.stored(lease_path(name))
    return None if found is None or _is_free(found, lambda: _readers_now_s(store)) else _read(found)


def _is_free(found: Stored, now_s: Callable[[], float]) -> bool:
    """Whether a lease that was found may be taken over."""
    holder = _read(found)
    return holder is None or holder.is_dead or now_s() - found.modified_s > STALE_S


def _now_s(store: Store) -> float:
    """The time by the store's own clock: when it says that something was written just now."""
    path = f"{LOCKS}/.now-{secrets.token_hex(8)}"
    store.put(path, b"")
    written = store.stored(path)
    store.delete([path])
    return written.modified_s if written else 0.0


def _readers_now_s(store: Store) -> float:
    """The same for who may have no right to write, and then trusts this machine's clock."""
    try:
        return _now_s(store)
    except StoreError:
        return time.time()


class Lease:
    """One taking of a name in a store; renewed by a thread until it is given back."""

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
        """Take the name and begin to renew it; who holds it, if someone does."""
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
            f"The lock '{self._path}' in {self._store.url} changes all the time; try again."
        )

    def give_back(self) -> None:
        """Stop renewing, and remove the lease if it is still ours."""
        self._ended.set()
        self._thread.join()
        try:
            if self._renewed():
                self._store.delete([self._path])
        except StoreError as error:
            _log.warning("%s The lock lapses by itself in %.0f s.", error, STALE_S)

    def check(self) -> None:
        """Before a write: renew a lease that may have run out, as after a sleep of this machine.

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
                # Out of reach: who cannot write cannot tell either whether it was taken. It is
                # tried again at the next beat, and the driver's own requests meet the same fault.
                continue

    def _renewed(self, patience_s: float | None = RENEW_S) -> bool:
        """Write a sign of life on our own last one; False, and the loss told, if that is gone."""
        with self._turn:
            return self._renew(patience_s)

    def _renew(self, patience_s: float | None) -> bool:
        if self._e_tag is None:
            return False
        begun_s = _clock_s()
        self._holder = replace(self._holder, renewed=self._holder.renewed + 1)
        data = self._holder.to_bytes()
        e_tag = self._store.replace(self._path, data, self._e_tag, patience_s=patience_s)
        if e_tag is None:
            found = self._store.stored(self._path)
            holder = found and _read(found)
            if holder and found and holder.owner == self._holder.owner:
                # A try of an earlier beat had come through after all.
                self._e_tag, self._renewed_s = found.e_tag, begun_s
                return True
            self._e_tag = None
            self._on_lost(
                f"The lock on '{self._name.removeprefix('driver-')}' in {self._store.url} was "
                f"taken from this process, by {holder or 'one that has given it back'}; nothing "
                "more is written here. See how it stands with status."
            )
            return False
        self._e_tag, self._renewed_s = e_tag, begun_s
        return True


def _clock_s() -> float:
    """Seconds that go on while the machine sleeps, where the system counts those."""
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
            raise StoreError(self._driven(name, f"{holder} (one that has died is let go in 60 s)"))
        self._leases.append(lease)
        try:
            yield
        finally:
            self._leases.remove(lease)
            lease.give_back()
            if self._lost:
                raise StoreError(self._lost)

    def is_locked(self, name: str) -> bool:
        return holder_of(self, name) is not None


def _read(found: Stored) -> Holder | None:
    """The holder, or None where the bytes are no lease."""
    try:
        return Holder.from_bytes(found.data)
    except (ValueError, TypeError):
        return None
