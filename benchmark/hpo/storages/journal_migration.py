"""Move studies from Optuna's own tables of a database into journals, each in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages import BaseStorage
from sqlalchemy import Connection, delete, select

from benchmark.errors import StoreError
from benchmark.hpo.storages.journal_database import JournalTable, engine_of
from benchmark.hpo.storages.optuna_private import rdb_models
from benchmark.hpo.storages.storage import holds_journals, open_rdb, rdb_names, reaching
from benchmark.hpo.storages.study_journal import study_logs


def migrate(url: str) -> Iterator[tuple[str, int]]:
    """Move all studies; yield the name and number of trials of each after its move.

    Writers of a study wait meanwhile, and programs that still have it open then get an error.

    Raises:
        StoreError: the database cannot be used. Studies that were not yielded are as before.
    """
    if "://" not in url or not holds_journals(url):
        raise StoreError(
            f"'{url.partition(':')[0]}' is not a database for studies; give postgresql://… or "
            "sqlite:///FILE."
        )
    with reaching(url):
        engine = engine_of(url)
        file = engine.url.database
        if engine.dialect.name == "sqlite" and not Path(file or "").is_file():
            raise StoreError(f"The database {file} does not exist; name an existing file.")
        names = rdb_names(engine)
        table = JournalTable(engine)
        rdb = open_rdb(url) if names else None
        for name in names:
            assert rdb is not None
            with engine.begin() as connection:
                _lock(connection)
                count = _move(connection, table, rdb, name)
            yield name, count


def _move(connection: Connection, table: JournalTable, rdb: BaseStorage, name: str) -> int:
    study_id = rdb.get_study_id_from_name(name)
    attrs = rdb.get_study_user_attrs(study_id)
    trials = rdb.get_all_trials(study_id, deepcopy=False)
    system_attrs = rdb.get_study_system_attrs(study_id)
    logs = study_logs(name, rdb.get_study_directions(study_id), attrs, system_attrs, trials)
    title = ((attrs.get("service") or {}).get("terms") or {}).get("experiment")
    if not table.create_in(connection, name, logs, title):
        raise StoreError(f"The study '{name}' already has a journal; delete one of the two.")
    _delete(connection, study_id)
    return len(trials)


def _tables() -> list[Any]:
    """Optuna's tables of studies and trials, referencing tables first."""
    tables = rdb_models().BaseModel.metadata.sorted_tables
    return [one for one in reversed(tables) if {"study_id", "trial_id"} & set(one.columns.keys())]


def _lock(connection: Connection) -> None:
    """Exclude writers, but not readers."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    names = ", ".join(table.name for table in _tables())
    connection.exec_driver_sql(f"LOCK TABLE {names} IN EXCLUSIVE MODE")


def _delete(connection: Connection, study_id: int) -> None:
    tables = {table.name: table for table in _tables()}
    trials = tables["trials"].c
    own = select(trials.trial_id).where(trials.study_id == study_id)
    for table in tables.values():
        if "study_id" in table.columns:
            chosen = table.c.study_id == study_id
        else:
            chosen = table.c.trial_id.in_(own)
        connection.execute(delete(table).where(chosen))
