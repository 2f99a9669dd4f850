"""Open the storage of a study: a journal in a file or a database, or Optuna's own tables."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmark.config.extras import install
from benchmark.errors import StoreError
from benchmark.files.input_files import check_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.storages import BaseStorage
    from sqlalchemy import Engine


def open_storage(place: str, study: str) -> BaseStorage:
    """A study's journal at a file's path, or in the database at a URL (`postgresql://…`).

    A study that is in Optuna's own tables of the database stays there.

    Raises:
        StoreError: it cannot be reached, or its driver is not installed.
    """
    from benchmark.hpo.storages.study_journal import StudyJournal

    if "://" in place:
        with reaching(place):
            return _in_database(place, study)
    from benchmark.hpo.storages.journal_file import JournalFile

    path = Path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            check_regular(path)
        # A torn last line is ignored; the first append cuts it.
        return StudyJournal(JournalFile(path))
    except (OSError, ValueError) as error:
        raise StoreError(f"The study journal {path} cannot be opened: {error}.") from None


def _in_database(url: str, study: str) -> BaseStorage:
    from benchmark.hpo.storages.journal_database import JournalTable, engine_of
    from benchmark.hpo.storages.study_journal import StudyJournal

    if not holds_journals(url):
        return open_rdb(url)
    engine = engine_of(url)
    table = JournalTable(engine)
    journal = table.find(study)
    if journal is None and study in rdb_names(engine):
        engine.dispose()
        return open_rdb(url)
    return StudyJournal(journal or table.open(study))


def delete_stored(place: str, study: str) -> None:
    """Delete a study from the storage at a URL or a file's path."""
    import optuna

    if "://" in place and holds_journals(place):
        from benchmark.hpo.storages.journal_database import JournalTable, engine_of

        with reaching(place):
            engine = engine_of(place)
            JournalTable(engine).delete(study)
            if study not in rdb_names(engine):
                return
        storage = open_rdb(place)
    else:
        storage = open_storage(place, study)
    if study in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=study, storage=storage)


def holds_journals(url: str) -> bool:
    """Whether a database can hold journals: PostgreSQL, or an SQLite file."""
    from sqlalchemy.engine import make_url

    parts = make_url(url)
    if parts.get_backend_name() == "sqlite":
        return parts.database not in (None, "", ":memory:")
    return parts.drivername in ("postgresql", "postgresql+psycopg")


def rdb_names(engine: Engine) -> list[str]:
    """The studies in Optuna's own tables; empty if there are no such tables."""
    from sqlalchemy import inspect, text

    if not inspect(engine).has_table("studies"):
        return []
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT study_name FROM studies ORDER BY study_name"))
        return [row[0] for row in rows]


def open_rdb(url: str) -> BaseStorage:
    """Optuna's own tables in a database.

    Raises:
        StoreError: they cannot be reached, or the driver is not installed.
    """
    from optuna.storages import RDBStorage

    from benchmark.hpo.storages.journal_database import connect_args

    if url.startswith("postgresql:"):
        url = "postgresql+psycopg" + url[len("postgresql") :]
    options = {"connect_args": connect_args(url)} if url.startswith("postgresql") else None
    with reaching(url):
        return RDBStorage(url, engine_kwargs=options)


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """A database that cannot be reached, as a StoreError that names it without the password."""
    from sqlalchemy.exc import SQLAlchemyError

    parts = urlsplit(url)
    shown = f"{parts.scheme.partition('+')[0]}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    try:
        yield
    except ImportError as error:
        raise StoreError(
            f"The study storage {shown} needs the package {error.name}; name the storage of a "
            f"database with an installed driver, or install the extra 'postgres': "
            f"{install('postgres')}"
        ) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        raise StoreError(f"The study storage {shown} cannot be opened: {reason}.") from None
