"""The studies of a store as they stand, read without opening Optuna's storage."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.files.numbers import plain_number
from benchmark.hpo.driver import control
from benchmark.hpo.driver.worker import living
from benchmark.hpo.report import export
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define
from benchmark.hpo.study.store import no_study, run_name, study_names
from benchmark.records.tasks import Run
from benchmark.store import Store

_WIDEST = 60
FILES = ("study.yaml", "study.yml", "study.json")


def listed(store: Store) -> list[dict[str, Any]]:
    """Every study: trials, state, the first of its best, when it began and last ended a trial.

    One that cannot be read has its `fault` in place of these.
    """
    return [_facts(store, name) for name in study_names(store)]


def _facts(store: Store, name: str) -> dict[str, Any]:
    wanted = control.requested(store, run_name(name))
    try:
        run, definition = opened(store, name)
    except BenchmarkError as error:
        return {"study": name, "word": wanted, "fault": str(error)}
    records = export.trial_records(run)
    asked = sum(not record.labels.get("imported") for record in records)
    best = export.best_of(records, definition)
    infeasible = sum(export.state(record) == "infeasible" for record in records)
    return {
        "study": name,
        "ended": asked,
        "imported": len(records) - asked,
        "trials": definition.trials,
        "success": sum(record.status == "success" for record in records),
        "infeasible": infeasible,
        "state": state_of(run, definition, asked),
        "word": wanted,
        "directions": definition.directions,
        "best": export.configuration(best[0])["values"] if best else None,
        "objective": objective_of(definition),
        "begun": run.manifest.created,
        "last": max((record.ended or "" for record in records), default="") or None,
    }


def state_of(run: Run, definition: StudyDefinition, asked: int) -> str:
    """Whether someone is at a study, and whether it has trials left."""
    store = run.store
    if store.is_locked(f"driver-{run.name}") or living(store, run.name):
        return "paused" if control.requested(store, run.name) == "pause" else "running"
    if asked >= definition.trials:
        return "finished"
    return "served" if definition.objective.is_external else "not running"


def objective_of(definition: StudyDefinition) -> str:
    """What a study measures, in a few words."""
    objective = definition.objective
    if objective.benchmark is not None:
        return f"{objective.benchmark.framework} on {', '.join(objective.benchmark.datasets)}"
    if objective.function is not None:
        return objective.function
    return shlex.join(objective.argv) if objective.argv else "clients of the HPO service"


def lines(found: list[dict[str, Any]], width: int | None = None) -> list[str]:
    """A table of the studies, with the names of its columns; at most `width` characters wide."""
    if not found:
        return []
    rows = [("STUDY", "TRIALS", "STATE", "BEST", "LAST", "OBJECTIVE"), *map(_cells, found)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
    table = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in rows
    ]
    return [
        f"{line[: width - 1]}…" if width is not None and len(line) > width else line
        for line in table
    ]


def _cells(one: dict[str, Any]) -> tuple[str, ...]:
    if "fault" in one:
        return one["study"], "", "unreadable", "", "", one["fault"]
    values = one["best"] or []
    named = zip(one["directions"], values, strict=False)
    best = ", ".join(f"{name} {plain_number(value)}" for name, value in named)
    best = best or ("none feasible" if one["infeasible"] else "-")
    last = (one["last"] or one["begun"] or "")[:16].replace("T", " ")
    objective = " ".join(one["objective"].split())
    shown = objective if len(objective) <= _WIDEST else f"{objective[: _WIDEST - 1]}…"
    state = one["state"] if one["word"] == "go" else f"{one['state']} (requested: {one['word']})"
    more = f" +{one['imported']}" if one["imported"] else ""
    total = max(one["trials"], one["ended"])
    return one["study"], f"{one['ended']}/{total}{more}", state, best, last, shown


def opened(store: Store, name: str) -> tuple[Run, StudyDefinition]:
    """A study to read.

    Raises:
        StudyError: there is none of that name.
    """
    if name not in study_names(store):
        raise StudyError(no_study(name, store))
    run = Run.open(store, run_name(name))
    return run, define(run.manifest.conditions["study"], Path(), f"Study '{name}'", stored=True)


def study_file(path: Path) -> Path:
    """A study file, or the one in a folder.

    Raises:
        BenchmarkError: the folder has none.
    """
    if not path.is_dir():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
    raise BenchmarkError(f"The folder {path} has no {' or '.join(FILES[::2])}; name the file.")
