"""Experiments of one server: as journals in a store, each beside its records, or in memory.

The manifest in the store makes an experiment a study that `studies` and `tune --resume` see. In a
database the definition stands beside the trials too, so that servers without a common store agree.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from optuna.storages import BaseStorage, InMemoryStorage

from benchmark.errors import StoreError
from benchmark.files.removal import remove_tree
from benchmark.hpo.service.core.backend import (
    Backend,
    Leases,
    MemoryLeases,
    Opened,
    exists,
    missing,
)
from benchmark.hpo.service.core.errors import ConflictError
from benchmark.hpo.service.core.terms import Terms, is_hashed
from benchmark.hpo.spec.study_file import StudyDefinition, define
from benchmark.hpo.storages.storage import open_storage
from benchmark.hpo.storages.study_journal import StudyJournal
from benchmark.hpo.study.store import FOLDER, journal_path, manifest_of, run_name, study_names
from benchmark.records import results
from benchmark.records.tasks import Manifest, Run
from benchmark.store import FolderStore, Store

MANIFEST = "manifest.json"
TERMS = "service"
ROOM = 64 << 10


class StoreBackend(Backend):
    """A journal for each experiment; this process has the ones it opened to itself."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # An experiment that was closed for others goes on with its clients' time.
        self._leases: dict[str, MemoryLeases] = {}

    def names(self) -> list[str]:
        if isinstance(self._store, FolderStore):
            return sorted(_studies_in(self._store.root / FOLDER))
        return study_names(self._store)

    def title(self, study: str) -> str:
        if not is_hashed(study):
            return study
        run = Run.open(self._store, run_name(study))
        return Terms.from_json(run.manifest.conditions.get(TERMS), study).experiment

    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        path = f"{run_name(definition.name)}/{MANIFEST}"
        if not self._store.create(path, manifest(definition, terms).to_bytes()):
            raise exists(terms.experiment)

    def open(self, study: str) -> Opened:
        if self._store.get(f"{run_name(study)}/{MANIFEST}") is None:
            raise missing(study)
        with contextlib.ExitStack() as stack:
            stack.enter_context(driving(self._store, study))
            run = Run.open(self._store, run_name(study))
            definition, terms = _read(run, study)
            place = definition.storage or journal_path(self._store, run.name)
            # A new one would give the numbers of trials that have records to other trials.
            if not ("://" in place or Path(place).exists()) and any(results.records(run)):
                raise StoreError(
                    f"The experiment '{study}' has records of trials and no journal at {place}; "
                    "put that back, or delete it with `studies delete`."
                )
            storage = open_storage(place, study)
            if isinstance(storage, StudyJournal):
                storage.follows = False  # no one else writes
            close = stack.pop_all()
        leases = self._leases.setdefault(study, MemoryLeases())
        return Opened(definition, terms, storage, leases, run, alone=True, close=close)

    def delete(self, study: str) -> None:
        name = run_name(study)
        with driving(self._store, study):
            # The manifest first: what a kill leaves then is no study.
            paths = [f"{name}/{MANIFEST}", *self._store.list(name)]
            self._store.delete(paths)
            if isinstance(self._store, FolderStore):
                remove_tree(self._store.root / name)
        self._leases.pop(study, None)

    def check(self) -> None:
        path = f"{FOLDER}/.check-{os.getpid()}"
        # As much as an ending takes; a bucket has no end, and each write costs.
        if isinstance(self._store, FolderStore):
            self._store.put(path, bytes(ROOM))
            self._store.delete([path])
        self._store.get(f"{FOLDER}/{MANIFEST}")


@contextlib.contextmanager
def driving(store: Store, study: str) -> Iterator[None]:
    try:
        with store.lock(f"driver-{run_name(study)}"):
            yield
    except StoreError as error:
        if store.is_locked(f"driver-{run_name(study)}"):
            raise ConflictError(str(error)) from None
        raise


def manifest(definition: StudyDefinition, terms: Terms) -> Manifest:
    made = manifest_of(definition, {})
    return replace(made, conditions=made.conditions | {TERMS: terms.to_json()})


def _read(run: Run, study: str) -> tuple[StudyDefinition, Terms]:
    conditions = run.manifest.conditions
    try:
        definition = define(conditions["study"], Path(), f"Study '{study}'", stored=True)
        return definition, Terms.from_json(conditions.get(TERMS), study)
    except (AttributeError, KeyError, TypeError) as error:
        raise StoreError(f"The manifest of the study '{study}' is broken: {error!r}.") from error


def _studies_in(folder: Path, prefix: str = "") -> Iterator[str]:
    """Folders with a manifest; what lies in one of these is not looked at."""
    try:
        entries = [entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for entry in entries:
        if Path(entry.path, MANIFEST).exists():
            yield prefix + entry.name
        else:
            yield from _studies_in(Path(entry.path), f"{prefix}{entry.name}/")


class MemoryBackend(Backend):
    """Nothing is kept: for trying out, and for measuring."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[StudyDefinition, Terms, BaseStorage, Leases]] = {}

    def names(self) -> list[str]:
        return sorted(self._kept)

    def title(self, study: str) -> str:
        return self._kept[study][1].experiment if study in self._kept else study

    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        parts = (definition, terms, InMemoryStorage(), MemoryLeases())
        if self._kept.setdefault(definition.name, parts) is not parts:
            raise exists(terms.experiment)

    def open(self, study: str) -> Opened:
        if study not in self._kept:
            raise missing(study)
        definition, terms, storage, leases = self._kept[study]
        close = contextlib.ExitStack()
        return Opened(definition, terms, storage, leases, None, alone=True, close=close)

    def delete(self, study: str) -> None:
        self._kept.pop(study, None)

    def check(self) -> None:
        return
