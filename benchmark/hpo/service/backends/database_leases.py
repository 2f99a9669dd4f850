"""Leases in PostgreSQL, for several servers on one database, by the database's clock.

A trial's lease is granted, and ends, by the statement that appends this to the study's journal.
"""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState
from sqlalchemy import text

from benchmark.hpo.service.core.endings import GIVEN
from benchmark.hpo.storages.optuna_private import JournalOperation, counted_trials
from benchmark.hpo.storages.study_journal import CompactedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection, Engine

    from benchmark.hpo.storages.journal_database import DatabaseJournal
    from benchmark.hpo.storages.optuna_private import JournalState
    from benchmark.hpo.storages.study_journal import StudyJournal

    Logs = list[dict[str, Any]]

_TABLE = """
CREATE TABLE IF NOT EXISTS service_leases (
    study text NOT NULL, number integer NOT NULL, token text NOT NULL, ends_s double precision,
    PRIMARY KEY (study, number))
"""
# Any number that no one else locks; two servers that begin together would both make the table.
_MAKING = 7_207_001
_KEPT = (
    "INSERT INTO service_leases (study, number, token, ends_s) "
    "SELECT :study, number, token, extract(epoch from clock_timestamp()) + lease_s "
    "FROM unnest(CAST(:numbers AS integer[]), CAST(:tokens AS text[]), "
    "CAST(:terms AS double precision[])) AS new (number, token, lease_s) {where} "
    "ON CONFLICT (study, number) DO UPDATE SET token = excluded.token, ends_s = excluded.ends_s"
)
_GRANT = _KEPT.format(where="")
_GRANTED = f"granted AS ({_KEPT.format(where='WHERE EXISTS (SELECT FROM appended)')})"
_RELEASED = (
    "released AS (DELETE FROM service_leases WHERE study = :study "
    "AND number = ANY (CAST(:released AS integer[])) AND EXISTS (SELECT FROM appended))"
)
_HELD = (
    "(SELECT array_agg(number) FROM service_leases WHERE study = :study "
    "AND (ends_s IS NULL OR ends_s > extract(epoch from clock_timestamp())))"
)


def make_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MAKING})
        connection.execute(text(_TABLE))


class DatabaseLeases:
    """The leases of one experiment; an ask's transaction is held while its trial is made.

    Without a journal the trials are in Optuna's own tables; then the transaction grants the leases.
    """

    def __init__(
        self,
        engine: Engine,
        study: str,
        storage: StudyJournal | None = None,
        room: threading.BoundedSemaphore | None = None,
    ) -> None:
        self._engine = engine
        # Who is in `exclusive` holds a connection and needs another one for the journal.
        self._room = room or threading.BoundedSemaphore()
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._study = study
        self._storage = storage
        self._journal: DatabaseJournal | None = None
        self._turn = threading.Lock()
        self._lock: int | None = None
        self._held: set[int] = set()
        self._written: set[tuple[int, str]] = set()
        self._granted: dict[int, tuple[str, float | None]] = {}
        if storage is not None:
            self._journal = storage.journal
            storage.companion = self

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        with self._turn, self._room, self._single.connect() as connection:
            if self._lock is None:
                key = text("SELECT hashtextextended(:study, 0)")
                self._lock = connection.execute(key, {"study": f"service/{self._study}"}).scalar()
            # One message to the database, and two statements: what is read next is read after it,
            # where each statement sees what others have committed.
            begin = "BEGIN ISOLATION LEVEL READ COMMITTED"
            connection.exec_driver_sql(f"{begin}; SELECT pg_advisory_xact_lock({self._lock})")
            self._granted, self._written = {}, set()
            if self._storage is None:
                self._held = self._holders(connection)
            else:
                self._storage.refresh_by(partial(self._read, connection))
            yield self._storage is not None
            if self._granted:
                named = self._named(self._granted)
                connection.execute(text(_GRANT), named)
            connection.exec_driver_sql("COMMIT")

    def _read(self, connection: Connection, first: int) -> Logs:
        assert self._journal is not None
        try:
            logs, held = self._journal.read_in(connection, first, _HELD, {"study": self._study})
        except CompactedError:
            self._held = self._holders(connection)
            raise
        self._held = set(held or ())
        return logs

    def _holders(self, connection: Connection) -> set[int]:
        """The trials whose leases have not ended."""
        found = connection.execute(text(f"SELECT {_HELD}"), {"study": self._study}).scalar()
        return set(found or ())

    def append(self, first: int, logs: Logs, state: JournalState) -> Callable[[], bool]:
        """Append to the journal; grant and end the leases of the trials of which this is told."""
        assert self._journal is not None
        granted, released = changed(logs, state)
        self._written |= {(number, token) for number, (token, _) in granted.items()}
        terms = [*([_GRANTED] if granted else []), *([_RELEASED] if released else [])]
        if not terms:
            return partial(self._journal.append_at, first, logs)
        named = self._named(granted) if granted else {"study": self._study}
        named |= {"released": released} if released else {}
        return partial(self._journal.append_with, first, logs, ", ".join(terms), named)

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        self._granted.pop(number, None)
        if (number, token) not in self._written:
            self._granted[number] = token, lease_s

    def free(self, running: Iterable[int]) -> list[int]:
        return [one for one in running if one not in self._held and one not in self._granted]

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        with self._engine.begin() as connection:
            found = connection.execute(
                text(
                    "UPDATE service_leases "
                    "SET ends_s = extract(epoch from clock_timestamp()) + :lease_s "
                    "WHERE study = :study AND number = :number AND token = :token "
                    "AND (ends_s IS NULL OR ends_s > extract(epoch from clock_timestamp()))"
                ),
                {"study": self._study, "number": number, "token": token, "lease_s": lease_s},
            )
            return bool(found.rowcount)

    def release(self, number: int) -> None:
        """Its row went with the append; in Optuna's own tables it stays and is no one's."""

    def forget(self) -> None:
        """The experiment is deleted."""
        with self._engine.begin() as connection:
            statement = text("DELETE FROM service_leases WHERE study = :study")
            connection.execute(statement, {"study": self._study})

    def _named(self, granted: dict[int, tuple[str, float | None]]) -> dict[str, Any]:
        tokens, terms = zip(*granted.values(), strict=True)
        named: dict[str, Any] = {"study": self._study, "numbers": list(granted)}
        return named | {"tokens": list(tokens), "terms": list(terms)}


def changed(
    logs: Logs, state: JournalState
) -> tuple[dict[int, tuple[str, float | None]], list[int]]:
    """What logs say of leases: those granted (token and seconds) and the trials that end."""
    granted: dict[int, tuple[str, float | None]] = {}
    released, made = [], 0
    for log in logs:
        code, number, kept = log["op_code"], None, None
        if code == JournalOperation.CREATE_TRIAL:
            number = counted_trials(state, log["study_id"]) + made
            made += 1
            kept = log.get("user_attrs", {}).get(GIVEN)
        elif code == JournalOperation.SET_TRIAL_USER_ATTR:
            kept = log["user_attr"].get(GIVEN)
        elif (
            code == JournalOperation.SET_TRIAL_STATE_VALUES
            and TrialState(log["state"]).is_finished()
        ):
            released.append(state.get_trial(log["trial_id"]).number)
        if kept and "lease" in kept:
            number = state.get_trial(log["trial_id"]).number if number is None else number
            granted[number] = kept["lease"], kept.get("lease_s")
    return granted, released
