"""Leases in PostgreSQL, for several servers on one database, by the database's clock."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from benchmark.hpo.service.core.leases import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TABLE = """
CREATE TABLE IF NOT EXISTS service_leases (
    study text NOT NULL, number integer NOT NULL, token text NOT NULL, ends_s double precision,
    PRIMARY KEY (study, number))
"""
# Any number that no one else locks; two servers that begin together would both make the table.
_MAKING = 7_207_001


def make_tables(engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MAKING})
        connection.execute(text(_TABLE))


class DatabaseLeases:
    """The leases of one experiment; an ask's transaction is held while its trial is made."""

    def __init__(self, engine: Any, study: str) -> None:
        self._engine = engine
        self._study = study
        self._turn = threading.Lock()
        self._connection: Any = None
        self._granted: list[dict[str, Any]] = []
        self._released: list[int] = []

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with self._turn, self._engine.begin() as connection:
            lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:study, 0))")
            connection.execute(lock, {"study": f"service/{self._study}"})
            self._connection = connection
            self._granted = []
            try:
                yield
                self._write()
            finally:
                self._connection = None

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        self._granted.append(self._named(number, token, lease_s))

    def _write(self) -> None:
        """What was granted and released since, in a statement each."""
        released, self._released = self._released, []
        if released:
            statement = text("DELETE FROM service_leases WHERE study = :study AND number = :number")
            rows = [{"study": self._study, "number": number} for number in released]
            self._connection.execute(statement, rows)
        granted, self._granted = self._granted, []
        if not granted:
            return
        self._connection.execute(
            text(
                "INSERT INTO service_leases (study, number, token, ends_s) VALUES "
                "(:study, :number, :token, extract(epoch from clock_timestamp()) + :lease_s) "
                "ON CONFLICT (study, number) "
                "DO UPDATE SET token = excluded.token, ends_s = excluded.ends_s"
            ),
            granted,
        )

    def holders(self, running: Iterable[int]) -> dict[int, Lease | None]:
        self._write()
        rows = self._connection.execute(
            text(
                "SELECT number, token, ends_s FROM service_leases WHERE study = :study "
                "AND (ends_s IS NULL OR ends_s > extract(epoch from clock_timestamp()))"
            ),
            {"study": self._study},
        )
        held = {row.number: Lease(row.token, row.ends_s) for row in rows}
        return {number: held.get(number) for number in running}

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        with self._engine.begin() as connection:
            found = connection.execute(
                text(
                    "UPDATE service_leases "
                    "SET ends_s = extract(epoch from clock_timestamp()) + :lease_s "
                    "WHERE study = :study AND number = :number AND token = :token"
                ),
                self._named(number, token, lease_s),
            )
            return bool(found.rowcount)

    def release(self, number: int) -> None:
        # A trial that has ended is no one's; its row goes with the next ask.
        self._released.append(number)

    def forget(self) -> None:
        """The experiment is deleted."""
        with self._engine.begin() as connection:
            statement = text("DELETE FROM service_leases WHERE study = :study")
            connection.execute(statement, {"study": self._study})

    def _named(self, number: int, token: str, lease_s: float | None) -> dict[str, Any]:
        return {"study": self._study, "number": number, "token": token, "lease_s": lease_s}
