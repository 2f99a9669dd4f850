"""Delete a study or one of its trials: its records and files, and what Optuna has of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.hpo.spec.documents import StudyError
from benchmark.hpo.storages.storage import delete_stored
from benchmark.hpo.study.store import journal_path, run_name, study_names
from benchmark.records.layout import ARTIFACTS
from benchmark.records.results import set_aside

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from benchmark.hpo.samplers.optimizer import Optimizer
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


def delete_trial(run: Run, optimizer: Optimizer, number: int) -> None:
    """Delete a trial that has ended or is queued; no later one gets its number.

    Optuna's part goes first: what a kill leaves in the store goes when the study is next opened.

    Raises:
        StudyError: there is no such trial, or it has not ended.
    """
    check_deletable(optimizer, number)
    optimizer.delete(number, lambda trial: _check_ended(optimizer, trial))
    forget_trial(run, optimizer, number)


def check_deletable(optimizer: Optimizer, number: int) -> None:
    """Refuse a trial that does not exist or has not ended.

    Raises:
        StudyError: the message names the trial.
    """
    name = optimizer.study.study_name
    trials = optimizer.by_number()
    if number >= len(trials) or number in optimizer.deleted:
        raise StudyError(
            f"There is no trial {number} in '{name}'; `studies export {name}` lists its trials."
        )
    _check_ended(optimizer, trials[number])


def _check_ended(optimizer: Optimizer, trial: FrozenTrial) -> None:
    if trial.state.name == "RUNNING":
        raise StudyError(
            f"Trial {trial.number} of '{optimizer.study.study_name}' has not ended; delete it when "
            "it has."
        )


def forget_trial(run: Run, optimizer: Optimizer, number: int) -> None:
    """Remove a deleted trial's record and files from the store; its point stays there.

    The point is for a study whose journal is lost: it is made again with the same numbers.
    """
    key = str(number)
    params = optimizer.params_of(optimizer.by_number()[number])
    run.store.put(run.deleted_path(key), json.dumps({"params": params}).encode())
    set_aside(run, [key])  # also what an attempt delivers late
    parts = (f"{ARTIFACTS}/{key}", f"logs/pass/{key}", f"logs/fail/{key}")
    attempts = run.store.list(run.attempts_path(key))
    tried = [path for path in attempts if (one := run.attempt_of(path)) and not one.aside]
    left = [path for part in parts for path in run.store.list(f"{run.name}/{part}")]
    run.store.delete([run.task_path(key), *tried, *left])


def forget(store: Store, run: str) -> None:
    """Delete a study's journal, which lies in the working directory where the store is no folder.

    A benchmark run has none.
    """
    journal = Path(journal_path(store, run))
    for path in (journal, journal.with_name(journal.name + ".lock")):
        path.unlink(missing_ok=True)
