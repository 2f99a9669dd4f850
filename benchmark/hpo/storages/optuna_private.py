"""All that this program uses of Optuna beyond its public API. Written for Optuna 5.0.

A private name of Optuna in any other module is reported by `tests/hpo/test_optuna_private.py`, as
is each name below that another version of Optuna does not have.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any

from optuna.samplers._lazy_random_state import LazyRandomState
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages._rdb.storage import _create_scoped_session as database_session
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock, get_lock_file
from optuna.storages.journal._storage import JournalOperation
from optuna.storages.journal._storage import JournalStorageReplayResult as JournalState
from optuna.study import Study, StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, Trial

# Optuna's own names that others import from here.
__all__ = [
    "BaseJournalFileLock",
    "FrozenStudy",
    "JournalOperation",
    "JournalState",
    "LazyRandomState",
    "database_session",
    "get_lock_file",
]


def storage_of(study: Study) -> BaseStorage:
    """The storage of a study, as it was given or as Optuna wrapped it."""
    return study._storage


def study_id_of(study: Study) -> int:
    """The study's number in its storage."""
    return study._study_id


def as_in_optimize(study: Study) -> None:
    """Let callbacks call `study.stop()`, and reject `study.optimize`, as within that."""
    study._thread_local.in_optimize_loop = True


def has_stopped(study: Study) -> bool:
    """Whether `study.stop()` was called."""
    return study._stop_flag


def trial_id_of(trial: Trial | FrozenTrial) -> int:
    """The trial's number in its storage; its number in the study is `trial.number`."""
    return trial._trial_id


def with_id(trial: FrozenTrial, trial_id: int) -> FrozenTrial:
    """A copy of the trial under another number of a storage."""
    changed = copy.copy(trial)
    changed._trial_id = trial_id
    return changed


def study_with_id(study: FrozenStudy, study_id: int) -> FrozenStudy:
    """The study, which is changed to have this number."""
    study._study_id = study_id
    return study


def forget_fits(sampler: Any) -> None:
    """Let a Gaussian process start its next fit without the last one."""
    for name in ("_gprs_cache_list", "_constraints_gprs_cache_list"):
        if name in vars(sampler):
            setattr(sampler, name, None)


# In memory.


def turn_of(storage: InMemoryStorage) -> threading.RLock:
    """The lock of a storage in memory, which one thread may take several times."""
    return storage._lock


def put_trial(storage: InMemoryStorage, trial_id: int, trial: FrozenTrial) -> None:
    """Replace a trial. The caller has `turn_of`."""
    storage._set_trial(trial_id, trial)


class MemoryParts(InMemoryStorage):
    """A storage in memory of one study, from which a trial can be removed."""

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """As Optuna's, without its deep copy of the template, which takes 1 ms a trial.

        A stored trial's parts are replaced and never changed in place.
        """
        if template_trial is None:
            return super().create_new_trial(study_id)
        with self._lock:
            self._check_study_id(study_id)
            trials = self._studies[study_id].trials
            trial = with_id(template_trial, self._max_trial_id + 1)
            trial.number = len(trials)
            self._max_trial_id += 1
            self._trial_id_to_study_id_and_number[self._max_trial_id] = (study_id, trial.number)
            trials.append(trial)
            self._update_cache(self._max_trial_id, study_id)
            return self._max_trial_id

    def forget(self, trial_id: int) -> None:
        """Remove the newest trial, as if it had never been asked."""
        with self._lock:
            study_id, number = self._trial_id_to_study_id_and_number.pop(trial_id)
            trials = self._studies[study_id].trials
            if number != len(trials) - 1 or trial_id != self._max_trial_id:
                raise ValueError(f"Trial {number} is not the newest one.")
            trials.pop()
            self._max_trial_id -= 1
            known = self._prev_waiting_trial_number
            known[study_id] = min(known[study_id], number)

    def move(self, trial_id: int, params: dict[str, Any], distributions: dict[str, Any]) -> None:
        """Replace the point of a running trial."""
        with self._lock:
            trial = copy.copy(self._get_trial(trial_id))
            trial.params, trial.distributions = dict(params), dict(distributions)
            self._set_trial(trial_id, trial)

    @property
    def directions(self) -> Sequence[StudyDirection]:
        """Those of its only study."""
        (study,) = self._studies.values()
        return study.directions


# Journals.


class JournalParts(JournalStorage):
    """A journal storage whose subclass appends and reads logs itself."""

    @property
    def turn(self) -> threading.Lock:
        """The lock of the state, for the threads of this process."""
        return self._thread_lock

    @property
    def state(self) -> JournalState:
        """The studies and trials after the logs that were read."""
        return self._replay_result

    @property
    def writer(self) -> str:
        """The beginning of the names under which this process appends."""
        return self._worker_id_prefix

    def restart(self, logs: list[dict[str, Any]], number: int) -> None:
        """Set the state to what these logs lead to, which stand for the first `number`."""
        state = JournalState(self._worker_id_prefix)
        state.apply_logs(logs)
        state.log_number_read = number
        self._replay_result = state

    def append_own(self, logs: list[dict[str, Any]]) -> None:
        """Append a write of Optuna's own at the current end."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Bring the state up to date before Optuna reads it."""
        raise NotImplementedError

    def _write_log(self, op_code: int, extra_fields: dict[str, Any]) -> None:
        log = {"op_code": op_code, "worker_id": self._replay_result.worker_id, **extra_fields}
        self.append_own([log])

    def _sync_with_backend(self) -> None:
        self.synchronize()


def writes_only(storage: JournalStorage) -> JournalStorage:
    """A storage over a backend that reads nothing back, in which each trial is the first."""
    storage._replay_result._last_created_trial_id_by_this_process = -1
    return storage


def counted_trials(state: JournalState, study_id: int | None = None) -> int:
    """How many trials a study has, or all studies, deleted ones included."""
    return len(state._trials if study_id is None else state._study_id_to_trial_ids[study_id])


def trials_by_id(state: JournalState, study_id: int) -> tuple[dict[int, FrozenTrial], list[int]]:
    """All trials by their numbers in the storage, and these of one study in order; not copies."""
    return state._trials, state._study_id_to_trial_ids[study_id]


def study_ids(state: JournalState) -> list[int]:
    """The studies of a journal's state."""
    return list(state._studies)


class JournalFileParts(JournalFileBackend):
    """A journal's file, with its path and the offsets of the logs that were read."""

    @property
    def path(self) -> str:
        return self._file_path

    @property
    def lock(self) -> BaseJournalFileLock:
        return self._lock

    @property
    def offsets(self) -> dict[int, int]:
        """The offset of each log by its number."""
        return self._log_number_offset


# Databases.


def rdb_models() -> Any:
    """The tables; an import as slow as Optuna's own, and most studies are not in a database."""
    from optuna.storages._rdb import models

    return models


def database_of(storage: BaseStorage) -> RDBStorage | None:
    """The database, which Optuna wraps in a cache of finished trials; None if it is another."""
    inner = getattr(storage, "_backend", storage)
    return inner if isinstance(inner, RDBStorage) else None


def stored_trial(storage: RDBStorage, row: Any) -> FrozenTrial:
    """A row of the table of trials, as a trial."""
    return storage._build_frozen_trial_from_trial_model(row)


def set_attrs(
    storage: RDBStorage, session: Any, model: Any, trial_id: int, attrs: dict[str, Any]
) -> None:
    """Set attributes within a transaction; `model` is the table of their kind."""
    for key, value in attrs.items():
        storage._set_trial_attr_without_commit(session, model, trial_id, key, value)


def set_value(storage: RDBStorage, session: Any, row: Any, objective: int, value: float) -> None:
    """Set a trial's value within a transaction."""
    storage._set_trial_value_without_commit(session, row, objective, value)
