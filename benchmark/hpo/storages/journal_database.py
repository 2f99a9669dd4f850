"""Study journals in PostgreSQL or SQLite: one row per append, for many processes at once.

    table = JournalTable(engine)
    journal = table.open("study")                # created if it does not exist
    journal.append_at(0, [log, ...])             # False: others have appended meanwhile
    journal.read_from(0)                         # the logs from a number on

A row's key is the number of its first log. A writer inserts at the end it has read, so of two
writers that read the same end, one gets the row and the other reads on and tries again. Numbers
therefore become visible in order and without gaps, with no lock held between statements. A serial
id would not do: ids are handed out before commit, so a reader can see 8 before 7.

Compaction replaces the logs up to a number by the shorter list that leads to the same state.
Optuna's own snapshots are pickles, which are unsafe in a database with several writers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from benchmark.errors import StoreError
from benchmark.hpo.storages.study_journal import CompactedError

Logs = list[dict[str, Any]]

_ID = {
    "postgresql": "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    # AUTOINCREMENT never reuses the id of a deleted journal.
    "sqlite": "integer PRIMARY KEY AUTOINCREMENT",
}
_TABLES = (
    "CREATE TABLE IF NOT EXISTS study_journals (id {id}, name text NOT NULL UNIQUE, title text, "
    "compacted bigint NOT NULL DEFAULT 0, snapshot text)",
    "CREATE TABLE IF NOT EXISTS study_journal_rows (journal bigint NOT NULL REFERENCES "
    "study_journals (id) ON DELETE CASCADE, first bigint NOT NULL, size integer NOT NULL, "
    "logs text NOT NULL, PRIMARY KEY (journal, first))",
)
# An advisory lock that nothing else uses: of two processes that start, one creates the tables.
_CREATING = 7_207_002
# A lock per journal that programs share to append, and a server takes alone to plan undisturbed.
_APPENDING = 7_207_003
_SHARE = (
    "SELECT set_config('idle_in_transaction_session_timeout', CAST(:silent_ms AS text), true), "
    f"pg_advisory_xact_lock_shared({_APPENDING}, CAST(:id % 2147483648 AS integer))"
)
# A program that stands still in its append no longer keeps a server waiting.
_SILENT_MS = 10_000
_KEEP_OUT = f"SELECT pg_advisory_xact_lock({_APPENDING}, CAST(:id % 2147483648 AS integer))"
# The key lock waits for a compaction, which must not remove the row that this one collides with.
_APPEND = (
    "INSERT INTO study_journal_rows (journal, first, size, logs) "
    "SELECT id, :first, :size, :logs FROM study_journals "
    "WHERE id = :id AND compacted <= :first {lock} ON CONFLICT DO NOTHING"
)
_APPEND_WITH = "WITH appended AS ({own} RETURNING 1), {beside} SELECT 1 FROM appended"
_READ = (
    "SELECT j.id, j.compacted, r.logs{more} FROM study_journals j LEFT JOIN study_journal_rows r "
    "ON r.journal = j.id AND r.first >= :first WHERE j.name = :name ORDER BY r.first"
)
_END = (
    "SELECT coalesce((SELECT r.first + r.size FROM study_journal_rows r WHERE r.journal = j.id "
    "ORDER BY r.first DESC LIMIT 1), j.compacted) FROM study_journals j WHERE j.id = :id"
)
_BUSY_S = 60.0
# libpq's parameters: a host that answers nothing at all is given up after some 20 s.
_PATIENCE = {
    "connect_timeout": 10,
    "tcp_user_timeout": 20_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def connect_args(url: str) -> dict[str, Any]:
    """How to connect to a database, unless the URL itself has these parameters.

    Without them a database whose packets are dropped holds up its callers for a quarter of an hour.
    """
    if url.startswith("sqlite"):
        return {"timeout": _BUSY_S}
    if not url.startswith("postgresql"):
        return {}
    chosen = make_url(url).query
    return {name: value for name, value in _PATIENCE.items() if name not in chosen}


def engine_of(url: str, **options: Any) -> Engine:
    """An engine for journals: durable commits, and SQLite's write-ahead log."""
    if url.startswith("postgresql:"):
        url = "postgresql+psycopg" + url[len("postgresql") :]
    engine = create_engine(url, connect_args=connect_args(url), **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        _watch_file(engine)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    # The write-ahead log syncs once per commit; FULL syncs before a commit returns.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _watch_file(engine: Engine) -> None:
    """Refuse to go on with a file of SQLite that was removed or replaced.

    What is written to one that has no name any more is lost with the last connection to it.
    """
    path = Path(engine.url.database or "").absolute()
    opened: list[tuple[int, int]] = []

    def found() -> list[tuple[int, int]]:
        try:
            facts = path.stat()
        except FileNotFoundError:
            return []
        return [(facts.st_dev, facts.st_ino)]

    def check(*_: Any) -> None:
        if opened and found() != opened:
            raise StoreError(
                f"The study storage {path.name} was removed or replaced while it was open; put the "
                "file back, or start again with the one that is there."
            )

    event.listen(engine, "do_connect", check)
    event.listen(engine, "connect", lambda *_: opened.extend([] if opened else found()))
    event.listen(engine, "checkout", check)


class JournalTable:
    """The journals of an installation, by the names of their studies."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._whole = engine.execution_options(isolation_level="READ COMMITTED")
        lock = "FOR KEY SHARE" if engine.dialect.name == "postgresql" else ""
        self._insert = _APPEND.format(lock=lock)
        self._append = text(self._insert)
        self._read = text(_READ.format(more=""))
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _CREATING})
            for statement in _TABLES:
                connection.execute(text(statement.format(id=_ID[engine.dialect.name])))

    def names(self) -> list[str]:
        """The studies that have a journal."""
        return sorted(self.ids().values())

    def ids(self) -> dict[int, str]:
        """The journals' ids, which no later journal gets again, and their studies."""
        with self._single.connect() as connection:
            rows = connection.execute(text("SELECT id, name FROM study_journals ORDER BY id"))
            return {row[0]: row[1] for row in rows}

    def title(self, name: str) -> str | None:
        """The client's name for the study; None if it has no other name."""
        found = self.row("SELECT title FROM study_journals WHERE name = :name", name=name)
        return None if found is None else found.title

    def find(self, name: str) -> DatabaseJournal | None:
        """The journal of a study, if it exists."""
        found = self.row("SELECT id FROM study_journals WHERE name = :name", name=name)
        return None if found is None else DatabaseJournal(self, name, found.id)

    def open(self, name: str) -> DatabaseJournal:
        """The journal of a study, created if it does not exist."""
        while (found := self.find(name)) is None:
            self.create(name, [])
        return found

    def create(self, name: str, logs: Logs, title: str | None = None) -> bool:
        """Create a journal with its first logs atomically; False if it exists."""
        with self.engine.begin() as connection:
            return self.create_in(connection, name, logs, title)

    def create_in(
        self, connection: Connection, name: str, logs: Logs, title: str | None = None
    ) -> bool:
        """`create` as part of a transaction."""
        statement = text(
            "INSERT INTO study_journals (name, title) VALUES (:name, :title) "
            "ON CONFLICT DO NOTHING RETURNING id"
        )
        found = connection.execute(statement, {"name": name, "title": title}).first()
        if found is not None and logs:
            connection.execute(self._append, _row(found[0], 0, logs))
        return found is not None

    def delete(self, name: str) -> None:
        """Delete a study's journal; processes that still have it open get a KeyError."""
        with self.engine.begin() as connection:
            statement = text("DELETE FROM study_journals WHERE name = :name")
            connection.execute(statement, {"name": name})

    def append(self, row: dict[str, Any]) -> bool:
        with self._single.connect() as connection:
            return bool(connection.execute(self._append, row).rowcount)

    def append_giving_way(self, row: dict[str, Any]) -> bool:
        """`append` once no server keeps other programs out."""
        if self.engine.dialect.name != "postgresql":
            return self.append(row)
        with self._whole.begin() as connection:
            connection.execute(text(_SHARE), row | {"silent_ms": _SILENT_MS})
            return bool(connection.execute(self._append, row).rowcount)

    def append_with(self, row: dict[str, Any], beside: str) -> bool:
        whole = text(_APPEND_WITH.format(own=self._insert, beside=beside))
        with self._single.connect() as connection:
            return connection.execute(whole, row).first() is not None

    def read(self, name: str, first: int) -> Sequence[Any]:
        with self._single.connect() as connection:
            return connection.execute(self._read, {"name": name, "first": first}).all()

    def row(self, statement: str, **named: Any) -> Any:
        with self._single.connect() as connection:
            return connection.execute(text(statement), named).first()


class DatabaseJournal(BaseJournalBackend):
    """One study's journal, for a StudyJournal or an Optuna storage of its own."""

    def __init__(self, table: JournalTable, name: str, journal_id: int) -> None:
        self._table = table
        self._name = name
        self._id = journal_id
        self.gives_way = True
        """Appends wait for a server that keeps other programs out; a server's own do not."""

    def append_at(self, first: int, logs: Logs) -> bool:
        """Append in one statement if `first` is the end; durable when this returns.

        Raises:
            StoreError: the database cannot be written. Whether the logs are there is then unknown.
        """
        try:
            row = _row(self._id, first, logs)
            return self._table.append_giving_way(row) if self.gives_way else self._table.append(row)
        except SQLAlchemyError as error:
            raise self._fault(error) from error

    def append_with(self, first: int, logs: Logs, beside: str, named: dict[str, Any]) -> bool:
        """`append_at` with other writes in the same statement, on PostgreSQL.

        `beside` are the terms of a WITH clause, which read from `appended` whether it is the end.
        """
        try:
            return self._table.append_with(_row(self._id, first, logs) | named, beside)
        except SQLAlchemyError as error:
            raise self._fault(error) from error

    def keep_out(self, connection: Connection) -> None:
        """Let appends of programs that give way wait until the end of the transaction."""
        connection.execute(text(_KEEP_OUT), {"id": self._id})

    def read_in(
        self, connection: Connection, first: int, more: str, named: dict[str, Any]
    ) -> tuple[Logs, Any]:
        """`read_from` within a transaction, with the value of another expression."""
        statement = text(_READ.format(more=f", {more} AS more"))
        rows = connection.execute(statement, {"name": self._name, "first": first} | named).all()
        return self._logs(rows, first), rows[0].more

    def read_from(self, first: int) -> Logs:
        """The logs from a number on, by one statement.

        Raises:
            KeyError: the study was deleted.
            CompactedError: the logs are in the snapshot.
            StoreError: the database cannot be read.
        """
        try:
            rows = self._table.read(self._name, first)
        except SQLAlchemyError as error:
            raise self._fault(error) from error
        return self._logs(rows, first)

    def _logs(self, rows: Sequence[Any], first: int) -> Logs:
        if not rows or rows[0].id != self._id:
            raise KeyError(f"The study '{self._name}' was deleted.")
        if rows[0].compacted > first:
            raise CompactedError
        return [log for row in rows if row.logs is not None for log in json.loads(row.logs)]

    def snapshot(self) -> tuple[Logs, int]:
        """Logs that lead to the state at a number, and that number."""
        statement = "SELECT snapshot, compacted FROM study_journals WHERE id = :id"
        found = self._table.row(statement, id=self._id)
        if found is None:
            raise KeyError(f"The study '{self._name}' was deleted.")
        return json.loads(found.snapshot or "[]"), found.compacted

    def compact(self, first: int, logs: Logs) -> bool:
        """Replace the logs before a number by these; False if others have replaced more."""
        with self._table.engine.begin() as connection:
            if self._table.engine.dialect.name == "postgresql":
                # Appends hold a key lock: none is running while their neighbours are deleted.
                lock = text("SELECT id FROM study_journals WHERE id = :id FOR UPDATE")
                connection.execute(lock, {"id": self._id})
            statement = text(
                "UPDATE study_journals SET snapshot = :logs, compacted = :first "
                "WHERE id = :id AND compacted < :first"
            )
            row = _row(self._id, first, logs)
            if not connection.execute(statement, row).rowcount:
                return False
            statement = text(
                "DELETE FROM study_journal_rows WHERE journal = :id AND first < :first"
            )
            connection.execute(statement, row)
        return True

    def read_logs(self, log_number_from: int) -> Logs:
        """Read for Optuna's own storage, which cannot start from a snapshot."""
        try:
            return self.read_from(log_number_from)
        except CompactedError:
            raise StoreError(
                f"The journal of '{self._name}' was compacted; open it with `open_storage`."
            ) from None

    def append_logs(self, logs: Logs) -> None:
        """Append for Optuna's own storage: at the current end."""
        while True:
            end = self._table.row(_END, id=self._id)
            if end is None:
                raise KeyError(f"The study '{self._name}' was deleted.")
            if self.append_at(end[0], logs):
                return

    def _fault(self, error: SQLAlchemyError) -> StoreError:
        reason = str(getattr(error, "orig", None) or type(error).__name__).strip().splitlines()[0]
        return StoreError(
            f"The study storage {_place(self._table.engine)} cannot be used: {reason}."
        )


def _place(engine: Engine) -> str:
    url = engine.url
    return Path(url.database or "").name if engine.dialect.name == "sqlite" else str(url.host)


def _row(journal: int, first: int, logs: Logs) -> dict[str, Any]:
    packed = json.dumps(logs, separators=(",", ":"))
    return {"id": journal, "first": first, "size": len(logs), "logs": packed}
