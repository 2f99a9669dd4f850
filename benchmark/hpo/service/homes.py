"""Where experiments live: a journal each beside their records, one database, or memory.

The manifest in the store makes an experiment a study that `studies` and `tune --resume` see. In a
database the definition stands beside the trials too, so that servers without a common store agree.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from benchmark.errors import StoreError
from benchmark.hpo.service.errors import ConflictError, ExistsError, NotFoundError
from benchmark.hpo.service.leases import Leases, MemoryLeases
from benchmark.hpo.service.naming import is_hashed
from benchmark.hpo.service.terms import Terms
from benchmark.hpo.storage import open_storage
from benchmark.hpo.study import FOLDER, journal_path, manifest_of, run_name, study_names
from benchmark.hpo.study_file import StudyDefinition, define
from benchmark.removal import remove_tree
from benchmark.store import FolderStore
from benchmark.tasks import Manifest, Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import BaseStorage

    from benchmark.store import Store

_MANIFEST = "manifest.json"
TERMS = "service"
_ROOM = 64 << 10


@dataclass
class Opened:
    """An experiment's parts. `alone` where no other process can have it; `close` gives it back."""

    definition: StudyDefinition
    terms: Terms
    storage: BaseStorage
    leases: Leases
    run: Run | None
    alone: bool
    close: contextlib.ExitStack


class Home(ABC):
    """Experiments by the names of their studies."""

    @abstractmethod
    def names(self) -> list[str]:
        """The studies there are."""

    @abstractmethod
    def title(self, study: str) -> str:
        """The name that a client gave the experiment; the study's where it was none."""

    @abstractmethod
    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        """Found an experiment: it is there, whole, when this returns, or not at all.

        Raises:
            ExistsError: there is one of that name.
        """

    @abstractmethod
    def open(self, study: str) -> Opened:
        """The experiment to work with.

        Raises:
            NotFoundError: there is none.
            ConflictError: another process drives it.
        """

    @abstractmethod
    def delete(self, study: str) -> None:
        """Remove an experiment that nobody has opened, with all its results."""

    @abstractmethod
    def check(self) -> None:
        """Whether the place can be read and written.

        Raises:
            StoreError: it cannot.
        """


class MemoryHome(Home):
    """Nothing is kept: for trying out, and for measuring."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[StudyDefinition, Terms, BaseStorage, Leases]] = {}

    def names(self) -> list[str]:
        return sorted(self._kept)

    def title(self, study: str) -> str:
        return self._kept[study][1].experiment if study in self._kept else study

    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        from optuna.storages import InMemoryStorage

        parts = (definition, terms, InMemoryStorage(), MemoryLeases())
        if self._kept.setdefault(definition.name, parts) is not parts:
            raise _exists(terms.experiment)

    def open(self, study: str) -> Opened:
        if study not in self._kept:
            raise _missing(study)
        definition, terms, storage, leases = self._kept[study]
        close = contextlib.ExitStack()
        return Opened(definition, terms, storage, leases, None, alone=True, close=close)

    def delete(self, study: str) -> None:
        self._kept.pop(study, None)

    def check(self) -> None:
        return


class StoreHome(Home):
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
        path = f"{run_name(definition.name)}/{_MANIFEST}"
        if not self._store.create(path, _manifest(definition, terms).to_bytes()):
            raise _exists(terms.experiment)

    def open(self, study: str) -> Opened:
        if self._store.get(f"{run_name(study)}/{_MANIFEST}") is None:
            raise _missing(study)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_driving(self._store, study))
            run = Run.open(self._store, run_name(study))
            definition, terms = _read(run, study)
            storage = open_storage(definition.storage or journal_path(self._store, run.name))
            close = stack.pop_all()
        leases = self._leases.setdefault(study, MemoryLeases())
        return Opened(definition, terms, storage, leases, run, alone=True, close=close)

    def delete(self, study: str) -> None:
        name = run_name(study)
        with _driving(self._store, study):
            # The manifest first: what a kill leaves then is no study.
            paths = [f"{name}/{_MANIFEST}", *self._store.list(name)]
            self._store.delete(paths)
            if isinstance(self._store, FolderStore):
                remove_tree(self._store.root / name)
        self._leases.pop(study, None)

    def check(self) -> None:
        path = f"{FOLDER}/.check-{os.getpid()}"
        # As much as an ending takes; a bucket has no end, and each write costs.
        if isinstance(self._store, FolderStore):
            self._store.put(path, bytes(_ROOM))
            self._store.delete([path])
        self._store.get(f"{FOLDER}/{_MANIFEST}")


class DatabaseHome(Home):
    """All experiments in one database of Optuna's; on PostgreSQL for several servers at once."""

    def __init__(self, url: str, store: Store | None) -> None:
        self._url = url
        self._store = store
        self._shared = url.startswith("postgresql")
        self._storage = open_storage(url)
        self._lock = _served(url)
        # Optuna hands out a cache over the storage that has the engine.
        backend: Any = getattr(self._storage, "_backend", self._storage)
        self._engine: Any = backend.engine
        self._leases: dict[str, MemoryLeases] = {}
        if self._shared:
            from sqlalchemy import create_engine

            from benchmark.hpo.service.database_leases import make_tables

            # A pool of its own: an ask holds one of these while Optuna takes one of the other.
            self._engine = create_engine(self._engine.url, pool_size=32, max_overflow=32)
            make_tables(self._engine)

    def names(self) -> list[str]:
        from sqlalchemy import text

        # Thousands of studies: get_all_studies would read the attributes of each.
        with self._engine.connect() as connection:
            rows = connection.execute(text("SELECT study_name FROM studies ORDER BY study_name"))
            return [row[0] for row in rows]

    def title(self, study: str) -> str:
        if not is_hashed(study):
            return study
        study_id = self._storage.get_study_id_from_name(study)
        kept = self._storage.get_study_user_attrs(study_id).get(TERMS) or {}
        return Terms.from_json(kept.get("terms"), study).experiment

    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        import optuna

        directions = [
            optuna.study.StudyDirection[d.upper()] for d in definition.directions.values()
        ]
        with self._leases_of(definition.name).exclusive():
            try:
                study_id = self._storage.create_new_study(directions, definition.name)
            except optuna.exceptions.DuplicatedStudyError:
                study_id = self._storage.get_study_id_from_name(definition.name)
                if TERMS in self._storage.get_study_user_attrs(study_id):
                    raise _exists(terms.experiment) from None
            kept = {"study": definition.source, "terms": terms.to_json()}
            self._storage.set_study_user_attr(study_id, TERMS, kept)

    def open(self, study: str) -> Opened:
        try:
            study_id = self._storage.get_study_id_from_name(study)
        except KeyError:
            raise _missing(study) from None
        kept = self._storage.get_study_user_attrs(study_id).get(TERMS)
        if kept is None:
            raise _missing(study)
        definition = define(kept["study"], Path(), f"Experiment '{study}'")
        terms = Terms.from_json(kept["terms"], study)
        with contextlib.ExitStack() as stack:
            if self._store is not None and not self._shared:
                stack.enter_context(_driving(self._store, study))
            run = self._run(definition, terms)
            close = stack.pop_all()
        return Opened(
            definition,
            terms,
            self._storage,
            self._leases_of(study),
            run,
            alone=not self._shared,
            close=close,
        )

    def delete(self, study: str) -> None:
        with contextlib.suppress(KeyError):
            self._storage.delete_study(self._storage.get_study_id_from_name(study))
        leases = self._leases_of(study)
        if hasattr(leases, "forget"):
            leases.forget()
        self._leases.pop(study, None)
        if self._store is not None:
            self._store.delete(self._store.list(run_name(study)))

    def check(self) -> None:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            raise StoreError(f"The database cannot be reached: {type(error).__name__}.") from None
        file = self._engine.url.database
        if self._engine.dialect.name == "sqlite" and file not in (None, "", ":memory:"):
            facts = os.statvfs(Path(file).absolute().parent)
            if facts.f_bavail * facts.f_frsize < _ROOM:
                raise StoreError(f"There is no space left for {file}; free space there.")

    def _leases_of(self, study: str) -> Leases:
        if self._shared:
            from benchmark.hpo.service.database_leases import DatabaseLeases

            return DatabaseLeases(self._engine, study)
        return self._leases.setdefault(study, MemoryLeases())

    def _run(self, definition: StudyDefinition, terms: Terms) -> Run | None:
        """The study in the store; who goes on there needs the database, whose password is his."""
        if self._store is None:
            return None
        source = definition.source | {"storage": _without_password(self._url)}
        manifest = _manifest(replace(definition, source=source), terms)
        run = Run(run_name(definition.name), self._store, manifest)
        if self._store.get(f"{run.name}/{_MANIFEST}") is None:
            run.save()
        return run


@contextlib.contextmanager
def _driving(store: Store, study: str) -> Iterator[None]:
    try:
        with store.lock(f"driver-{run_name(study)}"):
            yield
    except StoreError as error:
        if store.is_locked(f"driver-{run_name(study)}"):
            raise ConflictError(str(error)) from None
        raise


def _exists(experiment: str) -> ExistsError:
    return ExistsError(f"There is an experiment '{experiment}'; choose another name.")


def _missing(study: str) -> NotFoundError:
    return NotFoundError(f"There is no experiment '{study}'.")


def _manifest(definition: StudyDefinition, terms: Terms) -> Manifest:
    manifest = manifest_of(definition, {})
    return replace(manifest, conditions=manifest.conditions | {TERMS: terms.to_json()})


def _read(run: Run, study: str) -> tuple[StudyDefinition, Terms]:
    conditions = run.manifest.conditions
    try:
        definition = define(conditions["study"], Path(), f"Study '{study}'")
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
        if Path(entry.path, _MANIFEST).exists():
            yield prefix + entry.name
        else:
            yield from _studies_in(Path(entry.path), f"{prefix}{entry.name}/")


def _served(url: str) -> BinaryIO | None:
    """A lock on the file of SQLite, which ends with the process: its leases are in memory."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    if not parts.drivername.startswith("sqlite") or parts.database in (None, "", ":memory:"):
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


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).set(password=None).render_as_string()
