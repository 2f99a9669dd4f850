"""Experiments in Optuna's own tables of a database, as earlier versions kept them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from optuna.storages import RDBStorage
from optuna.study import StudyDirection

from benchmark.hpo.objectives.objective import EXTERNAL
from benchmark.hpo.service.core.terms import Terms
from benchmark.hpo.spec.study_file import define


def experiment_in_rdb(url: str, name: str, declared: dict[str, Any]) -> RDBStorage:
    """Create one, and return the storage that has it."""
    if url.startswith("postgresql:"):
        url = "postgresql+psycopg" + url.removeprefix("postgresql")
    storage = RDBStorage(url)
    definition = define(declared | {"name": name, "objective": dict(EXTERNAL)}, Path(), name)
    directions = [StudyDirection[way.upper()] for way in definition.directions.values()]
    kept = {"study": definition.source, "terms": Terms(name, "2026-01-01T00:00:00Z").to_json()}
    storage.set_study_user_attr(storage.create_new_study(directions, name), "service", kept)
    return storage
