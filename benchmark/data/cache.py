"""This machine's cache of data sets that were fetched, checked and typed once.

cache = DataCache(cache_folder() / "datasets" / "www.openml.org")
cache.put(dataset)
cache.entry("task-59").load()

Every file is written to a temporary name and renamed, the description last, so that any number of
processes share it: readers see a complete data set or none.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.cache import CACHE_VARIABLE
from benchmark.data.datasets import READER, Dataset
from benchmark.data.packed import DESCRIPTION, ENDINGS, TABLE, damage, description_of, pack, unpack
from benchmark.errors import DataError
from benchmark.files.output_files import staged


class UnwritableCacheError(DataError):
    """The folder of the cache cannot be written; what is in it may still be read."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A data set that can be loaded: its description, and the source of its objects."""

    name: str
    description: dict[str, Any]
    source: DataCache | Dataset

    @property
    def outdated(self) -> bool:
        """Whether it was read by an older reader, which may have read it differently."""
        return self.description.get("reader") != READER

    def load(self) -> Dataset:
        """The data set itself.

        Raises:
            DataError: it is missing from the cache, or is damaged and is removed.
        """
        if not isinstance(self.source, DataCache):
            return self.source
        try:
            dataset = self.source.load(self.name)
        except DataError:
            self.source.objects(self.name)  # Removes what is damaged, and reports it.
            raise
        if dataset is None:
            raise DataError(f"Data set {self.name} is missing from {self.source.folder}.")
        return dataset

    def objects(self) -> dict[str, bytes]:
        """The objects for the store, by suffix; the description is the last.

        Raises:
            DataError: it is missing from the cache, or is damaged.
        """
        if not isinstance(self.source, DataCache):
            return pack(self.source)
        return self.source.objects(self.name)


class DataCache:
    """Data sets in a folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, name: str) -> Entry | None:
        """The cached data set of this name; None if missing or incomplete."""
        described = self._read(name, DESCRIPTION)
        if described is None:
            return None
        try:
            return Entry(name, description_of(name, described), self)
        except DataError:
            return None  # A broken description is as good as none: it is fetched again.

    def load(self, name: str) -> Dataset | None:
        return unpack(name, lambda ending: self._read(name, ending))

    def objects(self, name: str) -> dict[str, bytes]:
        """Table, folds and description as they were written.

        Raises:
            DataError: they are damaged, and are removed.
        """
        objects = self._whole(name)
        if objects is not None:
            return objects  # No lock, which a read-only folder would refuse.
        with self.lock(name):
            objects = self._whole(name)
            if objects is None:
                self.drop(name)
                raise DataError(
                    f"The copy of data set {name} in {self.folder} was damaged and has been "
                    "removed; start the command again to create it again."
                )
            return objects

    def is_whole(self, name: str) -> bool:
        """Whether its files are the ones that were written."""
        return self._whole(name) is not None

    def _whole(self, name: str) -> dict[str, bytes] | None:
        found = {ending: self._read(name, ending) for ending in ENDINGS}
        objects = {ending: content for ending, content in found.items() if content is not None}
        try:
            description = description_of(name, objects.get(DESCRIPTION, b""))
        except DataError:
            return None
        whole = TABLE in objects and damage(description, objects) is None
        return objects if whole else None

    def put(self, dataset: Dataset, name: str | None = None) -> Entry:
        """Write a data set.

        Raises:
            UnwritableCacheError: the folder cannot be written.
        """
        name = name or dataset.name
        try:
            for ending, content in pack(dataset).items():
                write_whole(self._path(name, ending), content)
        except OSError as error:
            raise UnwritableCacheError(
                f"Data set {name} cannot be kept in {self.folder}: {error.strerror or error}; free "
                f"space there, or name another folder with {CACHE_VARIABLE}."
            ) from None
        return Entry(name, dataset.description, self)

    def drop(self, name: str) -> None:
        """Remove a data set, the description first."""
        for ending in reversed(ENDINGS):
            self._path(name, ending).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold this name's lock, after any other process that has it.

        Raises:
            UnwritableCacheError: the folder cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                locks = self.folder / ".locks"
                locks.mkdir(parents=True, exist_ok=True)
                file = stack.enter_context((locks / name).open("ab"))
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                raise UnwritableCacheError(
                    f"The cache {self.folder} cannot be written: {error.strerror or error}; make "
                    f"it writable, or name another folder with {CACHE_VARIABLE}."
                ) from None
            yield

    @contextlib.contextmanager
    def lock_if_writable(self, name: str) -> Iterator[UnwritableCacheError | None]:
        """Hold this name's lock, or give the reason why nothing can be locked or written."""
        with contextlib.ExitStack() as stack:
            fault = None
            try:
                stack.enter_context(self.lock(name))
            except UnwritableCacheError as error:
                fault = error
            yield fault

    def _path(self, name: str, ending: str) -> Path:
        return self.folder / f"{name}{ending}"

    def _read(self, name: str, ending: str) -> bytes | None:
        try:
            return self._path(name, ending).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataError(
                f"{self._path(name, ending)} cannot be read: {error.strerror or error}."
            ) from None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with staged(path) as file:
        file.write_bytes(content)
