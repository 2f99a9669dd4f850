"""One object store: a folder, S3 or memory, with create-only objects.

    store = open_store("./runs")
    store.create("default/out/a.json", b"{}")    # True; False when it is there already
    store.get("default/out/a.json")              # None when it is not there

obstore carries all three; in a folder the writes are ours, because a record must survive a power
cut: temporary file, fsync, link (which refuses an existing name), fsync of the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from benchmark.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STAGING = ".staging"
LOCKS = ".locks"
_STALE_S = 3600.0
_PARALLEL = 32


class Store:
    """Objects by path. Paths have '/' between segments and no leading slash."""

    def __init__(self, url: str, backend: Any) -> None:
        self.url = url
        self._backend = backend

    def get(self, path: str) -> bytes | None:
        """The object's bytes, or None where there is no such object."""
        import obstore

        try:
            return bytes(obstore.get(self._backend, path).bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failed("read", path, error) from error

    def get_many(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """(path, bytes or None) in the order asked, many requests at once."""
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="store") as pool:
            paths = list(paths)
            yield from zip(paths, pool.map(self.get, paths), strict=True)

    def put(self, path: str, data: bytes) -> None:
        """Write the object, over an older one; durable when this returns."""
        self._write(path, data, create=False)

    def create(self, path: str, data: bytes) -> bool:
        """Write the object unless there is one: True if this call made it. Durable."""
        return self._write(path, data, create=True)

    def delete(self, paths: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""
        import obstore

        for path in paths:
            try:
                obstore.delete(self._backend, path)
            except FileNotFoundError:
                continue
            except Exception as error:
                raise self._failed("delete", path, error) from error

    def list(self, prefix: str = "") -> list[str]:
        """The paths below a prefix (whole segments), sorted."""
        import obstore

        try:
            chunks = obstore.list(self._backend, prefix=prefix or None, chunk_size=1000)
            paths = [item["path"] for chunk in chunks for item in chunk]
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed("list", prefix, error) from error
        return sorted(path for path in paths if not path.startswith((STAGING + "/", LOCKS + "/")))

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:  # noqa: ARG002
        """Hold a name against other processes, where the store can."""
        yield

    def is_locked(self, name: str) -> bool:  # noqa: ARG002
        """Whether a process holds the name."""
        return False

    def _write(self, path: str, data: bytes, *, create: bool) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        try:
            obstore.put(self._backend, path, data, mode="create" if create else "overwrite")
        except AlreadyExistsError:
            return False
        except Exception as error:
            raise self._failed("write", path, error) from error
        return True

    def _failed(self, verb: str, path: str, error: Exception) -> StoreError:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return StoreError(f"The store {self.url} cannot {verb} '{path}': {reason[0][:300]}")


class FolderStore(Store):
    """A folder on this machine or on a shared file system."""

    def __init__(self, root: Path) -> None:
        from obstore.store import LocalStore

        self.root = root.absolute()
        try:
            (self.root / STAGING).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The store folder {root} cannot be made: {error.strerror}; choose another with "
                "'s3_bucket_root', or free the place."
            ) from error
        super().__init__(str(self.root), LocalStore(str(self.root)))
        self._sweep()

    def put(self, path: str, data: bytes) -> None:
        with self._staged(path, data) as (staged, target):
            staged.rename(target)

    def create(self, path: str, data: bytes) -> bool:
        target = self._path(path)
        if target.exists():
            return False
        with self._staged(path, data) as (staged, target):
            try:
                os.link(staged, target)
            except FileExistsError:
                return False
        return True

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a name while the block runs; it goes with the process, however that ends.

        Raises:
            StoreError: another process holds it.
        """
        with self._lock_file(name).open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"Another process drives '{name.removeprefix('driver-')}' in {self.url}; wait "
                    "for it or end it."
                ) from None
            yield

    def is_locked(self, name: str) -> bool:
        try:
            with self._lock_file(name).open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False

    def _lock_file(self, name: str) -> Path:
        folder = self.root / LOCKS
        folder.mkdir(exist_ok=True)
        return folder / quote(name, safe="")

    def _path(self, path: str) -> Path:
        if path.startswith("/") or any(part in ("", ".", "..") for part in path.split("/")):
            raise StoreError(f"'{path}' is no path in the store {self.url}.")
        return self.root / path

    @contextlib.contextmanager
    def _staged(self, path: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """A synced temporary file to link or rename; the folder is synced afterwards."""
        target = self._path(path)
        staged = self.root / STAGING / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with staged.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield staged, target
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(
                f"The store {self.url} cannot write '{path}': {error.strerror or error}"
            ) from error
        finally:
            staged.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove what a killed writer left in the staging folder."""
        for staged in (self.root / STAGING).iterdir():
            with contextlib.suppress(OSError):
                if time.time() - staged.stat().st_mtime > _STALE_S:
                    staged.unlink()


def open_store(url: str) -> Store:
    """The store at a URL: `s3://bucket/prefix`, `memory://`, or a folder's path.

    S3's endpoint, region and credentials come from the AWS SDK's own variables and files.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3":
        from obstore.store import S3Store

        return Store(url, S3Store(parts.netloc, prefix=parts.path.strip("/") or None))
    if parts.scheme == "memory":
        from obstore.store import MemoryStore

        return Store(url, MemoryStore())
    if parts.scheme not in ("", "file"):
        raise StoreError(f"'{url}' is no store; use a folder's path or s3://bucket/folder/.")
    return FolderStore(Path(parts.path if parts.scheme == "file" else url).expanduser())
