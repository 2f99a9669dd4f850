"""Leases in PostgreSQL, for several servers on one database, by the database's clock.

A trial's lease is granted, and ends, by the statement that appends this to the study's journal.
"""

from __future__ import annotations

import contextlib
import math
import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Engine, text

from benchmark.hpo.service.core.endings import GIVEN
from benchmark.hpo.storages.optuna_private import JournalOperation, JournalState, counted_trials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from benchmark.hpo.storages.journal_database import DatabaseJournal
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
    "(SELECT array_agg(ARRAY[number, coalesce(ends_s - now_s, 'infinity')]) FROM service_leases, "
    "LATERAL (SELECT CAST(extract(epoch from clock_timestamp()) AS double precision) AS now_s) now "
    "WHERE study = :study AND (ends_s IS NULL OR ends_s > now_s))"
)
# A server whose connection is in use and silent for so long no longer keeps the others waiting.
_SILENT_MS = 10_000
# Another process that has written is expected to write again for so long.
_SHARED_S = 1.0
# A lease is read again after so long: another server may have granted it for less.
_KNOWN_S = 10.0


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
        self._connection: Connection | None = None
        self._turn = threading.Lock()
        self._lock: int | None = None
        self._owner: int | None = None
        self._seen = storage.others if storage is not None else 0
        self._shared_until = -math.inf
        self._held: dict[int, float] = {}
        self._known = math.inf
        # By this process' clock, until when a lease surely lasts; heartbeats only make it longer.
        self._lasts: dict[int, float] = {}
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
            silent = f"SET LOCAL idle_in_transaction_session_timeout = {_SILENT_MS}"
            lock = f"SELECT pg_advisory_xact_lock({self._lock})"
            connection.exec_driver_sql(f"{begin}; {silent}; {lock}")
            self._granted, self._written = {}, set()
            if self._storage is None:
                self._read_held(connection)
            else:
                self._refresh(self._storage, connection)
            self._owner, self._connection = threading.get_ident(), connection
            try:
                yield self._storage is not None
            finally:
                self._owner = self._connection = None
            if self._granted:
                named, sent = self._named(self._granted), monotonic()
                connection.execute(text(_GRANT), named)
                self._lasts |= _bounds(sent, {n: s for n, (_, s) in self._granted.items()})
            connection.exec_driver_sql("COMMIT")

    def keep_out(self) -> None:
        if self._journal is not None and self._connection is not None:
            self._journal.keep_out(self._connection)

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[bool]:
        with self._turn:
            self._granted, self._written = {}, set()
            yield self._storage is not None and not self._is_shared()

    def _is_shared(self) -> bool:
        """Whether another process writes too, as far as was seen in the last second."""
        assert self._storage is not None
        now = monotonic()
        if self._storage.others != self._seen:
            self._seen, self._shared_until = self._storage.others, now + _SHARED_S
        return now < self._shared_until

    def ordered(self) -> contextlib.AbstractContextManager[Any]:
        return self.exclusive() if self._is_shared() else contextlib.nullcontext()

    def is_ordered(self) -> bool:
        return self._owner == threading.get_ident()

    def may_have_ended(self, running: Iterable[int]) -> bool:
        now = monotonic()
        return any(self._lasts.get(number, -math.inf) <= now for number in running)

    def _refresh(self, storage: StudyJournal, connection: Connection) -> None:
        """Read the journal and the leases as they are at one moment.

        Other threads and servers without the lock go on: later trials have no lease in `_held`.
        """
        known = storage.refresh_by(partial(self._read, connection))
        if known is None:
            with storage.turn:
                known = counted_trials(storage.state)
            self._read_held(connection)
        self._known = known

    def _read(self, connection: Connection, first: int) -> Logs:
        assert self._journal is not None
        sent = monotonic()
        logs, held = self._journal.read_in(connection, first, _HELD, {"study": self._study})
        self._keep_held(sent, held)
        return logs

    def _read_held(self, connection: Connection) -> None:
        sent = monotonic()
        found = connection.execute(text(f"SELECT {_HELD}"), {"study": self._study})
        self._keep_held(sent, found.scalar())

    def _keep_held(self, sent: float, held: list[list[float]] | None) -> None:
        """The trials whose leases have not ended, and in how many seconds they do."""
        self._held = {int(number): left_s for number, left_s in held or ()}
        self._lasts = _bounds(sent, self._held)

    def append(self, first: int, logs: Logs, state: JournalState) -> Callable[[], bool]:
        """Append to the journal; grant and end the leases of the trials in these logs."""
        assert self._journal is not None
        granted, released = changed(logs, state)
        self._written |= {(number, token) for number, (token, _) in granted.items()}
        terms = [*([_GRANTED] if granted else []), *([_RELEASED] if released else [])]
        if not terms:
            return partial(self._journal.append_at, first, logs)
        lasting = {number: lease_s for number, (_, lease_s) in granted.items()}
        named = self._named(granted) if granted else {"study": self._study}
        named |= {"released": released} if released else {}
        beside, write = ", ".join(terms), self._journal.append_with

        def append() -> bool:
            sent = monotonic()
            is_end = write(first, logs, beside, named)
            if is_end:
                self._lasts |= _bounds(sent, lasting)
            return is_end

        return append

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        self._granted.pop(number, None)
        if (number, token) not in self._written:
            self._granted[number] = token, lease_s

    def free(self, running: Iterable[int]) -> list[int]:
        held = self._held.keys() | self._granted.keys()
        return [one for one in running if one < self._known and one not in held]

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        if "\0" in token:  # PostgreSQL refuses it, and none of ours has one
            return False
        sent = monotonic()
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
            renewed = bool(found.rowcount)
        if renewed:
            self._lasts |= _bounds(sent, {number: lease_s})
        return renewed

    def release(self, number: int) -> None:
        """Its row went with the append; in Optuna's own tables it stays and is no one's."""
        self._lasts.pop(number, None)

    def forget(self) -> None:
        """The experiment is deleted."""
        with self._engine.begin() as connection:
            statement = text("DELETE FROM service_leases WHERE study = :study")
            connection.execute(statement, {"study": self._study})

    def _named(self, granted: dict[int, tuple[str, float | None]]) -> dict[str, Any]:
        tokens, terms = zip(*granted.values(), strict=True)
        named: dict[str, Any] = {"study": self._study, "numbers": list(granted)}
        return named | {"tokens": list(tokens), "terms": list(terms)}


def _bounds(sent: float, lasting: Mapping[int, float | None]) -> dict[int, float]:
    """Until when leases surely last that were granted or read after `sent`."""
    return {
        number: sent + (_KNOWN_S if left_s is None else min(left_s, _KNOWN_S))
        for number, left_s in lasting.items()
    }


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
