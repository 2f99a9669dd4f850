"""Write several facts of a trial at once, in every storage that a study can have.

Optuna ends a trial in several writes: each attribute, each step, then the state. Two writers at
once, or a kill between two of the writes, leave a trial that mixes two endings. Here they are one
write, made only while the trial is unfinished:

    in memory      one turn of the storage's lock
    journal file   one append under the file's lock, cut by the next writer if it is incomplete
    database       one transaction, which first claims the trial's row if it is unfinished

Written for Optuna 5.0, of which it uses private names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.storages.journal import BaseJournalBackend
from optuna.storages.journal._storage import JournalOperation
from optuna.trial import TrialState

from benchmark.hpo.journal_file import JournalFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy import CursorResult

    Admit = Callable[[FrozenTrial], None]

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True)
class TrialWrite:
    """What to write; a `state` ends the trial, and `values` are those of its directions."""

    state: TrialState | None = None
    values: Sequence[float] | None = None
    intermediate: dict[int, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)


def write_trial(
    storage: BaseStorage, trial_id: int, write: TrialWrite, admit: Admit | None = None
) -> bool:
    """Write all of it, or nothing where the trial has ended: then False.

    `admit` is called with the trial as it is before the write, and may raise to prevent it.

    Raises:
        KeyError: there is no such trial.
    """
    # Optuna wraps a database in a cache, which keeps finished trials only.
    inner = getattr(storage, "_backend", None)
    if isinstance(inner, RDBStorage):
        return _in_database(inner, trial_id, write, admit)
    if isinstance(storage, RDBStorage):
        return _in_database(storage, trial_id, write, admit)
    if isinstance(storage, JournalStorage) and isinstance(inner, JournalFile):
        return _in_journal(storage, inner, trial_id, write, admit)
    if isinstance(storage, InMemoryStorage):
        return _in_memory(storage, trial_id, write, admit)
    raise TypeError(f"{type(storage).__name__} cannot write several facts of a trial at once.")


def create_trials(storage: BaseStorage, study_id: int, trials: Sequence[FrozenTrial]) -> list[int]:
    """Make trials of these templates, and return their numbers; in a journal by one append."""
    journal = getattr(storage, "_backend", None)
    if not isinstance(storage, JournalStorage) or not isinstance(journal, JournalFile):
        made = [storage.create_new_trial(study_id, template_trial=trial) for trial in trials]
        return [storage.get_trial_number_from_id(trial_id) for trial_id in made]
    gathered = _Gathered()
    maker = JournalStorage(gathered)
    # It reads back what it wrote, which is nothing here.
    maker._replay_result._last_created_trial_id_by_this_process = -1
    for trial in trials:
        maker.create_new_trial(study_id, template_trial=trial)
    with storage._thread_lock, journal.locked():
        storage._sync_with_backend()
        first = len(storage._replay_result.get_all_trials(study_id, None))
        journal.append_whole(gathered.logs)
        storage._sync_with_backend()
    return list(range(first, first + len(trials)))


class _Gathered(BaseJournalBackend):
    """Keeps the lines that a storage would append."""

    def __init__(self) -> None:
        self.logs: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # noqa: ARG002
        return iter(())

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.logs += logs


def _in_memory(
    storage: InMemoryStorage, trial_id: int, write: TrialWrite, admit: Admit | None
) -> bool:
    with storage._lock:
        trial = storage.get_trial(trial_id)
        if trial.state.is_finished():
            return False
        if admit:
            admit(trial)
        for step, value in write.intermediate.items():
            storage.set_trial_intermediate_value(trial_id, step, value)
        for key, found in write.user_attrs.items():
            storage.set_trial_user_attr(trial_id, key, found)
        for key, found in write.system_attrs.items():
            storage.set_trial_system_attr(trial_id, key, found)
        if write.state is not None:
            storage.set_trial_state_values(trial_id, write.state, write.values)
    return True


def _in_journal(
    storage: JournalStorage,
    journal: JournalFile,
    trial_id: int,
    write: TrialWrite,
    admit: Admit | None,
) -> bool:
    with storage._thread_lock, journal.locked():
        storage._sync_with_backend()
        trial = storage._replay_result.get_trial(trial_id)
        if trial.state.is_finished():
            return False
        if admit:
            admit(trial)
        common = {"worker_id": storage._replay_result.worker_id, "trial_id": trial_id}
        journal.append_whole([{**log, **common} for log in _logs(write)])
        storage._sync_with_backend()
    return True


def _logs(write: TrialWrite) -> Iterator[dict[str, Any]]:
    """The lines of the journal; the state comes last, because it ends the trial."""
    for step, value in write.intermediate.items():
        operation = JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE
        yield {"op_code": operation, "step": step, "intermediate_value": value}
    for key, found in write.user_attrs.items():
        yield {"op_code": JournalOperation.SET_TRIAL_USER_ATTR, "user_attr": {key: found}}
    for key, found in write.system_attrs.items():
        yield {"op_code": JournalOperation.SET_TRIAL_SYSTEM_ATTR, "system_attr": {key: found}}
    if write.state is not None:
        yield {
            "op_code": JournalOperation.SET_TRIAL_STATE_VALUES,
            "state": write.state,
            "values": None if write.values is None else list(write.values),
            "datetime_complete": datetime.now(UTC).isoformat(timespec="microseconds"),
        }


def _in_database(
    storage: RDBStorage, trial_id: int, write: TrialWrite, admit: Admit | None
) -> bool:
    # The import takes as long as Optuna's own, and most studies are in no database.
    from optuna.storages._rdb import models
    from sqlalchemy import delete, insert, update

    with _create_scoped_session(storage.scoped_session) as session:
        # Before anything is read: of two writers the second waits here for the end of the first.
        claim = (
            update(models.TrialModel)
            .where(models.TrialModel.trial_id == trial_id)
            .where(models.TrialModel.state.in_(_UNFINISHED))
            .values(state=models.TrialModel.state)
            .execution_options(synchronize_session=False)
        )
        claimed = cast("CursorResult[Any]", session.execute(claim)).rowcount
        trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
        if not claimed:
            return False
        if admit:
            admit(storage._build_frozen_trial_from_trial_model(trial))
        steps = models.TrialIntermediateValueModel
        if write.intermediate:
            rows = [
                {"trial_id": trial_id, "step": step, "intermediate_value": stored}
                | {"intermediate_value_type": kind}
                for step, value in write.intermediate.items()
                for stored, kind in [steps.intermediate_value_to_stored_repr(value)]
            ]
            session.execute(
                delete(steps).where(steps.trial_id == trial_id, steps.step.in_(write.intermediate))
            )
            session.execute(insert(steps), rows)
        for model, attrs in (
            (models.TrialUserAttributeModel, write.user_attrs),
            (models.TrialSystemAttributeModel, write.system_attrs),
        ):
            for key, found in attrs.items():
                storage._set_trial_attr_without_commit(session, model, trial_id, key, found)
        for objective, value in enumerate(write.values or ()):
            storage._set_trial_value_without_commit(session, trial, objective, value)
        if write.state is not None:
            trial.state = write.state
            trial.datetime_complete = datetime.now()
    return True
