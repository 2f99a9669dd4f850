"""The store's contract, over any backend of obstore."""

from __future__ import annotations

import builtins
import collections
import contextlib
import itertools
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from benchmark.errors import StoreError
from benchmark.store.faults import diagnose

STAGING = ".staging"
LOCKS = ".locks"
_PARALLEL = 32
_BATCH = 1000
# Parts of 5 MB sent at once: the wait for a reply starts with the request, so a slow line must
# carry all of them within the time-out without data (30 s: 2.7 Mbit/s).
_PARTS = 2
# Waits between tries, when an outage is reported, and the least time for a request.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_WORD_AFTER_S = 5.0
_LEAST_S = 5.0
_T = TypeVar("_T")
_log = logging.getLogger("benchmark.store")


class Patience:
    """How long an unreachable store is retried: one outage, shared by all requests.

    Increasing waits between tries, up to `limit_s` after the start of the outage.

    An outage starts with a request that fails and ends with one that succeeds. A request late in
    it is retried for `_LEAST_S` at most, so that a program that sends one request after another
    ends soon after its first failure.
    """

    def __init__(self, place: str, limit_s: float) -> None:
        self.limit_s = limit_s
        self._place = place
        self._since: float | None = None
        self._logged = False

    def wait_s(
        self, started: float, tries: int, reason: str, limit_s: float | None = None
    ) -> float | None:
        """Seconds until the next try of a request that began at `started`; None to give up."""
        now = time.monotonic()
        since = self._since = min(started, self._since or started)
        limit = self.limit_s if limit_s is None else limit_s
        wait = min(_FIRST_WAIT_S * 2.0 ** min(tries, 10), _LONGEST_WAIT_S)
        if now + wait > since + limit and now + wait > started + min(limit, _LEAST_S):
            return None
        if now > since + _WORD_AFTER_S and not self._logged:
            self._logged = True
            _log.warning(
                "The store %s is unreachable (%s); retrying for up to %.0f s.",
                self._place,
                reason,
                max(0.0, since + self.limit_s - now),
            )
        return wait * (0.5 + secrets.randbelow(500) / 1000)

    def outage_s(self) -> float:
        """For how long the store has been unreachable."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def answered(self) -> None:
        """Note that the store is reachable."""
        self._since, self._logged = None, False


@dataclass(frozen=True)
class Stored:
    """An object with the ETag of its state."""

    data: bytes
    e_tag: str | None
    modified_s: float


class Store:
    """Objects by path. Paths have '/' between segments and no leading slash.

    `patience_s` is how long transient faults are retried; 0 where there are none.
    """

    has_e_tags: ClassVar[bool] = True

    def __init__(self, url: str, backend: Any, patience_s: float = 0.0) -> None:
        self.url = url
        self._backend = backend
        self._patience = Patience(url, patience_s)
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._lost: str | None = None
        # Objects that count as absent, with the reason; and whether the log names each.
        self.ignored: dict[str, str] = {}
        self.names_ignored = True
        # get_many's threads, and how many objects each reads at a time.
        self._readers, self._at_once = _PARALLEL, 1

    def place_of(self, path: str) -> str:
        """Where a user can open an object: its URL."""
        return f"{self.url.removesuffix('/')}/{path}"

    def get(self, path: str) -> bytes | None:
        """The object's bytes, or None if there is no such object."""
        import obstore

        def read(_: bool) -> bytes | None:
            try:
                return bytes(obstore.get(self._backend, path).bytes())
            except FileNotFoundError as error:
                self._bucket_is_there(error)
                return None

        return self._persist("read", path, read)

    def stored(self, path: str) -> Stored | None:
        """The object with its ETag and when it was written, by the store's own clock."""
        import obstore

        def read(_: bool) -> Stored | None:
            try:
                got = obstore.get(self._backend, path)
                meta = got.meta
                data = bytes(got.bytes())
            except FileNotFoundError as error:
                self._bucket_is_there(error)
                return None
            return Stored(data, meta.get("e_tag"), meta["last_modified"].timestamp())

        return self._persist("read", path, read)

    def get_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """(path, bytes or None) in the requested order, many requests at once.

        No more than two rounds of requests are read ahead, so memory does not grow with `paths`.
        """
        return self._each(paths, self.get)

    def stored_many(self, paths: Iterable[str]) -> Iterator[tuple[str, Stored | None]]:
        """As `get_many`, with the ETag of each object's state."""
        return self._each(paths, self.stored)

    def _each(self, paths: Iterable[str], read: Callable[[str], _T]) -> Iterator[tuple[str, _T]]:
        ahead: collections.deque[Future[builtins.list[tuple[str, _T]]]]
        ahead = collections.deque()

        def read_all(paths: Sequence[str]) -> builtins.list[tuple[str, _T]]:
            return [(path, read(path)) for path in paths]

        paths = iter(paths)
        with ThreadPoolExecutor(self._readers, thread_name_prefix="store") as pool:
            try:
                while batch := list(itertools.islice(paths, self._at_once)):
                    ahead.append(pool.submit(read_all, batch))
                    if len(ahead) >= 2 * self._readers:
                        yield from ahead.popleft().result()
                while ahead:
                    yield from ahead.popleft().result()
            finally:
                for waiting in ahead:
                    waiting.cancel()

    def put(self, path: str, data: bytes) -> None:
        """Write the object, replacing an older one; durable when this returns."""
        import obstore

        self._persist(
            "write", path, lambda _: obstore.put(self._backend, path, data, max_concurrency=_PARTS)
        )

    def create(self, path: str, data: bytes) -> bool:
        """Write the object unless there is one: True if this call made it. Durable.

        A try whose reply was lost may have created the object. If the next one finds an object, it
        is this call's own exactly if it holds `data`: two that race for one path must not write
        the same bytes.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        def write(again: bool) -> bool:
            try:
                obstore.put(self._backend, path, data, mode="create")
            except AlreadyExistsError as error:
                if diagnose(
                    error
                ).passing:  # S3's 409: two creates raced, and neither may have succeeded
                    raise
                return again and self.get(path) == data
            return True

        return self._persist("write", path, write)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; a missing one is not an error."""
        import obstore

        paths = iter(paths)
        while batch := list(itertools.islice(paths, _BATCH)):

            def remove(_: bool, batch: list[str] = batch) -> None:
                try:
                    obstore.delete(self._backend, batch)
                except FileNotFoundError as error:
                    self._bucket_is_there(error)

            self._persist("delete", batch[0], remove)

    def list(self, prefix: str = "") -> list[str]:
        """The paths below a prefix (whole segments), sorted."""
        return builtins.list(self.listed(prefix))

    def listed(self, prefix: str = "") -> dict[str, str | None]:
        """The paths below a prefix, sorted, each with its state's ETag if the store has ETags.

        Equal ETags of one path mean equal bytes.
        """
        import obstore

        own = (STAGING + "/", LOCKS + "/")

        def read(_: bool) -> dict[str, str | None]:
            try:
                return {
                    item["path"]: item["e_tag"]
                    for chunk in obstore.list(
                        self._backend, prefix=prefix or None, chunk_size=_BATCH
                    )
                    for item in chunk
                    if not item["path"].startswith(own)
                }
            except FileNotFoundError as error:
                self._bucket_is_there(error)
                return {}

        found = self._persist("list", prefix, read)
        return {path: found[path] for path in sorted(found)}

    def ignore(self, path: str, why: str) -> None:
        """Log an object that counts as absent, once."""
        if path not in self.ignored:
            self.ignored[path] = why
            if self.names_ignored:
                _log.warning("warning: %s in %s %s and counts as absent.", path, self.url, why)

    @contextlib.contextmanager
    def lock(self, name: str, on_lost: Callable[[], None] | None = None) -> Iterator[None]:  # noqa: ARG002
        """Hold a name while the block runs; it is released with the process, however that ends.

        Args:
            name: what is held.
            on_lost: called in another thread when another process took the name from this one
                because it had not renewed it in time. From then on this store refuses
                everything, and the block ends with a StoreError.

        Raises:
            StoreError: another holds it.
        """
        with self._guard:
            if name in self._held:
                raise StoreError(self._driven(name, "this process"))
            self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken a name from this one; all requests are refused then."""
        return self._lost is not None

    # How long a name may appear held after its holder has ended.
    lapse_s = 0.0

    def is_locked(self, name: str) -> bool:
        """Whether a process holds the name."""
        return name in self._held

    def _driven(self, name: str, holder: str) -> str:
        what = name.removeprefix("driver-")
        return f"Another process drives '{what}' in {self.url}: {holder}; wait for it or end it."

    def _bucket_is_there(self, error: Exception) -> None:
        """Check the bucket: S3 answers 404 to a missing object and to a missing bucket."""
        if diagnose(error).code == "NoSuchBucket":
            raise error

    def _persist(
        self,
        verb: str,
        path: str,
        action: Callable[[bool], _T],
        patience_s: float | None = None,
    ) -> _T:
        """Run the action; retry transient faults until the retry time is over.

        obstore's own retries are off: it does not report that it made several, and blocks the
        process while it waits. `action` gets whether an earlier try may have succeeded.
        """
        if self._lost:
            raise StoreError(self._lost)
        started, tries = time.monotonic(), 0
        while True:
            try:
                done = action(tries > 0)
            except StoreError:
                raise
            except Exception as error:
                fault = diagnose(error)
                wait = None
                if fault.passing:
                    wait = self._patience.wait_s(started, tries, fault.reason, patience_s)
                if wait is None:
                    passing = fault.passing and self._patience.outage_s()
                    tried = f" for {passing:.0f} s" if passing else ""
                    raise StoreError(
                        f"The store {self.url} cannot {verb} '{path}': {fault.reason}{tried}; "
                        f"{fault.fix}."
                    ) from error
            else:
                self._patience.answered()
                return done
            time.sleep(wait)
            tries += 1
