"""A study deleted: its records and files, and what Optuna has of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.hpo.storages.storage import delete_stored
from benchmark.hpo.study.store import journal_path, run_name, study_names

if TYPE_CHECKING:
    from benchmark.hpo.spec.study_file import StudyDefinition
    from benchmark.records.tasks import Run
    from benchmark.store import Store


def delete(run: Run, definition: StudyDefinition) -> None:
    """Delete a study and nothing of those whose names begin with its own and a '/'.

    Optuna's part goes first: after a kill the study is still listed, and can be deleted again.
    """
    if definition.storage:
        delete_stored(definition.storage, definition.name)
    forget(run.store, run.name)
    within = [
        f"{run_name(name)}/"
        for name in study_names(run.store)
        if run_name(name).startswith(f"{run.name}/")
    ]
    manifest = f"{run.name}/manifest.json"
    paths = [
        path
        for path in run.store.list(run.name)
        if path != manifest and not any(path.startswith(other) for other in within)
    ]
    run.store.delete(paths)
    run.store.delete([manifest])


def forget(store: Store, run: str) -> None:
    """Delete a study's journal, which lies in the working directory where the store is no folder.

    A benchmark run has none.
    """
    journal = Path(journal_path(store, run))
    for path in (journal, journal.with_name(journal.name + ".lock")):
        path.unlink(missing_ok=True)
