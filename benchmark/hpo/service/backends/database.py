"""Experiments in one database: a journal each; on PostgreSQL for several servers at once.

Studies in Optuna's own tables, as earlier versions kept them, stay there and go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import optuna
from optuna.storages import BaseStorage
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import StoreError
from benchmark.hpo.service.backends.store import MANIFEST, ROOM, TERMS, driving, manifest
from benchmark.hpo.service.core.backend import (
    CONNECTIONS,
    Backend,
    Leases,
    MemoryLeases,
    Opened,
    exists,
    missing,
)
from benchmark.hpo.service.core.terms import Terms, is_hashed
from benchmark.hpo.spec.study_file import StudyDefinition, define
from benchmark.hpo.storages.journal_database import JournalTable, engine_of
from benchmark.hpo.storages.storage import holds_journals, open_rdb, rdb_names, reaching
from benchmark.hpo.storages.study_journal import StudyJournal, study_logs
from benchmark.hpo.study.store import run_name
from benchmark.records.tasks import Run
from benchmark.store import Store

# Of the connections, as many asks at once, of as many experiments: each holds one while its journal
# takes another one, and some are left for what else is asked.
_ASKS = 0.4


class DatabaseBackend(Backend):
    """All experiments in one database."""

    def __init__(self, url: str, store: Store | None, connections: int = CONNECTIONS) -> None:
        if not holds_journals(url):
            raise StoreError(
                f"The storage {url.partition(':')[0]} holds no experiments; give postgresql://…, "
                "sqlite:///FILE, a folder, or memory."
            )
        self._url = url
        self._store = store
        self._shared = url.startswith("postgresql")
        self._room = threading.BoundedSemaphore(int(_ASKS * connections))
        self._lock = _served(url)
        with reaching(url):
            self._engine = engine_of(url, pool_size=connections, max_overflow=0)
            self._journals = JournalTable(self._engine)
            has_rdb = bool(rdb_names(self._engine))
        self._rdb: BaseStorage | None = open_rdb(url) if has_rdb else None
        self._leases: dict[str, MemoryLeases] = {}
        if self._shared:
            from benchmark.hpo.service.backends.database_leases import make_tables

            make_tables(self._engine)

    def names(self) -> list[str]:
        # Thousands of studies: get_all_studies would read the attributes of each.
        others = set() if self._rdb is None else set(rdb_names(self._engine))
        return sorted(others.union(self._journals.names()))

    def title(self, study: str) -> str:
        if not is_hashed(study):
            return study
        title = self._journals.title(study)
        if title is None and self._rdb is not None:
            with contextlib.suppress(KeyError):
                kept = _kept(self._rdb, study) or {}
                return Terms.from_json(kept.get("terms"), study).experiment
        return title or study

    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        directions = [
            optuna.study.StudyDirection[d.upper()] for d in definition.directions.values()
        ]
        name = definition.name
        kept = {"study": definition.source, "terms": terms.to_json()}
        if self._rdb is not None and name in rdb_names(self._engine):
            raise exists(terms.experiment)
        logs = study_logs(name, directions, {TERMS: kept})
        if self._journals.create(name, logs, terms.experiment):
            return
        # A study that `tune` keeps here becomes an experiment.
        with self._leases_of(name).exclusive():
            storage = StudyJournal(self._journals.open(name))
            with contextlib.suppress(optuna.exceptions.DuplicatedStudyError):
                storage.create_new_study(directions, name)
            if _kept(storage, name) is not None:
                raise exists(terms.experiment)
            study_id = storage.get_study_id_from_name(name)
            storage.set_study_user_attr(study_id, TERMS, kept)

    def open(self, study: str) -> Opened:
        storage = self._stored(study)
        try:
            kept = _kept(storage, study)
        except KeyError:
            raise missing(study) from None
        if kept is None:
            raise missing(study)
        if isinstance(storage, StudyJournal):
            # A request reads once what others have written.
            storage.follows = False
        definition = define(kept["study"], Path(), f"Experiment '{study}'", stored=True)
        terms = Terms.from_json(kept["terms"], study)
        with contextlib.ExitStack() as stack:
            if self._store is not None and not self._shared:
                stack.enter_context(driving(self._store, study))
            run = self._run(definition, terms)
            close = stack.pop_all()
        return Opened(
            definition,
            terms,
            storage,
            self._leases_of(study, storage),
            run,
            alone=not self._shared,
            close=close,
        )

    def delete(self, study: str) -> None:
        self._journals.delete(study)
        if self._rdb is not None:
            with contextlib.suppress(KeyError):
                self._rdb.delete_study(self._rdb.get_study_id_from_name(study))
        leases = self._leases_of(study)
        if hasattr(leases, "forget"):
            leases.forget()
        self._leases.pop(study, None)
        if self._store is not None:
            self._store.delete(self._store.list(run_name(study)))

    def check(self) -> None:
        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise StoreError(f"The database cannot be reached: {type(error).__name__}.") from None
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and file:
            facts = os.statvfs(Path(file).absolute().parent)
            if facts.f_bavail * facts.f_frsize < ROOM:
                raise StoreError(f"There is no space left for {file}; free space there.")

    def _stored(self, study: str) -> BaseStorage:
        journal = self._journals.find(study)
        if journal is not None:
            journal.gives_way = False
            return StudyJournal(journal)
        if self._rdb is None:
            raise missing(study)
        return self._rdb

    def _leases_of(self, study: str, storage: BaseStorage | None = None) -> Leases:
        if self._shared:
            from benchmark.hpo.service.backends.database_leases import DatabaseLeases

            journal = storage if isinstance(storage, StudyJournal) else None
            return DatabaseLeases(self._engine, study, journal, self._room)
        return self._leases.setdefault(study, MemoryLeases())

    def _run(self, definition: StudyDefinition, terms: Terms) -> Run | None:
        """The study in the store; who goes on there needs the database, whose password is his."""
        if self._store is None:
            return None
        source = definition.source | {
            "storage": make_url(self._url).set(password=None).render_as_string()
        }
        found = manifest(replace(definition, source=source), terms)
        run = Run(run_name(definition.name), self._store, found)
        if self._store.get(f"{run.name}/{MANIFEST}") is None:
            run.save()
        return run


def _kept(storage: BaseStorage, study: str) -> dict[str, Any] | None:
    """What the service keeps with a study; None for one that is no experiment."""
    study_id = storage.get_study_id_from_name(study)
    kept: dict[str, Any] | None = storage.get_study_user_attrs(study_id).get(TERMS)
    return kept


def _served(url: str) -> BinaryIO | None:
    """A lock on the file of SQLite, which ends with the process: its leases are in memory."""
    parts = make_url(url)
    if not parts.drivername.startswith("sqlite"):
        return None
    try:
        lock = Path(f"{parts.database}.lock").open("ab")  # noqa: SIM115
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StoreError(
            f"Another server has {parts.database}; several servers need PostgreSQL: "
            "--storage postgresql://…"
        ) from None
    except OSError as error:
        raise StoreError(f"{parts.database}.lock cannot be locked: {error.strerror}.") from None
    return lock
