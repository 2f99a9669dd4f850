"""Write several facts of a trial at once, in every kind of storage.

Optuna ends a trial in several writes: each attribute, each step, then the state. Two writers at
once, or a kill between two of the writes, leave a trial with two mixed endings. Here they are one
write, only possible while the trial is unfinished:

    in memory      one turn of the storage's lock
    journal        one append, in a file or a database, if no other process has appended meanwhile
    Optuna's RDB   one transaction, which first claims the trial's row if it is unfinished
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState

from benchmark.hpo.storages import optuna_private as private
from benchmark.hpo.storages.optuna_private import JournalOperation, JournalState
from benchmark.hpo.storages.study_journal import (
    Change,
    OvertakenError,
    StudyJournal,
    trial_logs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import CursorResult

    Admit = Callable[[FrozenTrial], None]

_UNFINISHED = (TrialState.RUNNING, TrialState.WAITING)


@dataclass(frozen=True)
class TrialWrite:
    """The facts to write; a `state` ends the trial, and `values` are those of its directions.

    The state RUNNING starts a trial that waits.
    """

    state: TrialState | None = None
    values: Sequence[float] | None = None
    intermediate: dict[int, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)


def write_trial(
    storage: BaseStorage, trial_id: int, write: TrialWrite, admit: Admit | None = None
) -> bool:
    """Write all of it, or nothing if the trial has ended: then return False.

    `admit` is called with the trial as it is before the write, and may raise to prevent it.

    Raises:
        KeyError: there is no such trial.
    """
    database = private.database_of(storage)
    if database is not None:
        return _in_database(database, trial_id, write, admit)
    if isinstance(storage, StudyJournal):
        (written,) = storage.write([_change(trial_id, write, admit)])
        if isinstance(written, BaseException):
            raise written
        return bool(written)
    if isinstance(storage, InMemoryStorage):
        return _in_memory(storage, trial_id, write, admit)
    raise TypeError(f"{type(storage).__name__} cannot write several facts of a trial at once.")


def write_trials(
    storage: BaseStorage, writes: Sequence[tuple[int, TrialWrite, Admit | None]]
) -> Sequence[bool | BaseException]:
    """`write_trial` for several trials by their ids, in a journal by one append."""
    if isinstance(storage, StudyJournal) and writes:
        changes = [_change(trial_id, write, admit) for trial_id, write, admit in writes]
        return storage.write(changes)
    found: list[bool | BaseException] = []
    for trial_id, write, admit in writes:
        try:
            found.append(write_trial(storage, trial_id, write, admit))
        except Exception as error:
            found.append(error)
    return found


def create_trials(
    storage: BaseStorage, study_id: int, trials: Sequence[FrozenTrial], others: int | None = None
) -> list[int]:
    """Create trials from these templates, and return their numbers; in a journal by one append.

    Raises:
        OvertakenError: other processes have appended more than the `others` of before.
    """
    if isinstance(storage, StudyJournal):
        logs = trial_logs(study_id, trials)

        def admitted(_: JournalState) -> list[dict[str, Any]]:
            if others not in (None, storage.others):
                raise OvertakenError
            return logs

        first = storage.commit(Change(admitted, study=study_id))
        return list(range(first, first + len(trials)))
    if isinstance(storage, InMemoryStorage):
        return [_created(storage, study_id, trial) for trial in trials]
    made = [storage.create_new_trial(study_id, template_trial=trial) for trial in trials]
    return [storage.get_trial_number_from_id(trial_id) for trial_id in made]


def _created(storage: InMemoryStorage, study_id: int, template: FrozenTrial) -> int:
    """A trial from a template that the caller does not change, without Optuna's deep copy."""
    with private.turn_of(storage):
        if template.state != TrialState.RUNNING:
            trial_id = storage.create_new_trial(study_id, template_trial=template)
            return storage.get_trial_number_from_id(trial_id)
        trial_id = storage.create_new_trial(study_id)
        trial = private.with_id(template, trial_id)
        trial.number = storage.get_trial_number_from_id(trial_id)
        private.put_trial(storage, trial_id, trial)
        return trial.number


def _in_memory(
    storage: InMemoryStorage, trial_id: int, write: TrialWrite, admit: Admit | None
) -> bool:
    with private.turn_of(storage):
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


def _change(trial_id: int, write: TrialWrite, admit: Admit | None) -> Change:
    def logs(state: JournalState) -> list[dict[str, Any]] | None:
        trial = state.get_trial(trial_id)
        if trial.state.is_finished():
            return None
        if admit:
            admit(trial)
        return write_logs(trial_id, write)

    return Change(logs, trial=trial_id)


def write_logs(trial_id: int, write: TrialWrite) -> list[dict[str, Any]]:
    """The logs of a write; the state comes last, because it ends the trial."""
    return [{**log, "trial_id": trial_id} for log in _logs(write)]


def _logs(write: TrialWrite) -> Iterator[dict[str, Any]]:
    for step, value in write.intermediate.items():
        operation = JournalOperation.SET_TRIAL_INTERMEDIATE_VALUE
        yield {"op_code": operation, "step": step, "intermediate_value": value}
    for key, found in write.user_attrs.items():
        yield {"op_code": JournalOperation.SET_TRIAL_USER_ATTR, "user_attr": {key: found}}
    for key, found in write.system_attrs.items():
        yield {"op_code": JournalOperation.SET_TRIAL_SYSTEM_ATTR, "system_attr": {key: found}}
    if write.state is not None:
        moment = "datetime_complete" if write.state.is_finished() else "datetime_start"
        yield {
            "op_code": JournalOperation.SET_TRIAL_STATE_VALUES,
            "state": write.state,
            "values": None if write.values is None else list(write.values),
            moment: datetime.now(UTC).isoformat(timespec="microseconds"),
        }


def _in_database(
    storage: RDBStorage, trial_id: int, write: TrialWrite, admit: Admit | None
) -> bool:
    from sqlalchemy import delete, insert, update

    models = private.rdb_models()
    with private.database_session(storage.scoped_session) as session:
        # Before any read: of two writers the second waits here for the end of the first.
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
            admit(private.stored_trial(storage, trial))
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
            private.set_attrs(storage, session, model, trial_id, attrs)
        for objective, value in enumerate(write.values or ()):
            private.set_value(storage, session, trial, objective, value)
        if write.state is not None:
            trial.state = write.state
            if write.state.is_finished():
                trial.datetime_complete = datetime.now()
            else:
                trial.datetime_start = datetime.now()
    return True
