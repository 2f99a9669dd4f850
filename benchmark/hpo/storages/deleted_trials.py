"""Deleted trials: their numbers stand in the study's attributes, because Optuna deletes no trial.

A deleted trial stays in the storage, so that its number is never used again. `RemainingTrials` is
a storage that shows a failure without a point in its place.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmark.hpo.storages.optuna_private import JournalOperation, trial_id_of, with_id
from benchmark.hpo.storages.study_journal import Change, StudyJournal
from benchmark.hpo.storages.trial_write import TrialWrite, write_logs, write_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from benchmark.hpo.storages.optuna_private import JournalState
    from benchmark.hpo.storages.trial_write import Admit

DELETED = "deleted"
_END = TrialWrite(state=TrialState.FAIL)


class DeletedTrials:
    """The numbers of a study's deleted trials, in its storage."""

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id
        self._numbers: frozenset[int] = frozenset()

    def numbers(self) -> frozenset[int]:
        """All of them, also those that another process has deleted."""
        kept = self._storage.get_study_user_attrs(self._study_id).get(DELETED, ())
        if len(kept) != len(self._numbers):  # the list only grows
            self._numbers = frozenset(kept)
        return self._numbers

    def add(self, number: int, admit: Admit) -> None:
        """Delete a trial, in a journal by one append; one that has not ended ends as a failure.

        One thread at a time may do so, and except in a journal one process. `admit` is called with
        the trial before the write, and may raise to prevent it.
        """
        storage, study_id = self._storage, self._study_id
        trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, number)

        def logs(state: JournalState) -> list[dict[str, Any]]:
            trial = state.get_trial(trial_id)
            admit(trial)
            kept = state.get_study(study_id).user_attrs.get(DELETED, ())
            attr = {DELETED: sorted({*kept, number})}
            operation = JournalOperation.SET_STUDY_USER_ATTR
            new = [{"op_code": operation, "study_id": study_id, "user_attr": attr}]
            return new if trial.state.is_finished() else [*new, *write_logs(trial_id, _END)]

        if isinstance(storage, StudyJournal):
            storage.commit(Change(logs, trial=trial_id))
            return
        admit(storage.get_trial(trial_id))
        storage.set_study_user_attr(study_id, DELETED, sorted(self.numbers() | {number}))
        # A trial that waits must not be run.
        write_trial(storage, trial_id, _END)


def blank(number: int = 0) -> FrozenTrial:
    """What is shown to Optuna in place of a deleted trial: a failure without a point."""
    trial = create_trial(state=TrialState.FAIL)
    trial.number = number
    return trial


def _passed_on(name: str) -> Callable[..., Any]:
    def call(self: Any, *args: Any, **named: Any) -> Any:
        return getattr(self.inner, name)(*args, **named)

    return call


_ASKED_OF_INNER = (*BaseStorage.__abstractmethods__, "get_trial_id_from_study_id_trial_number")
_PassedOn: Any = type("_PassedOn", (BaseStorage,), {n: _passed_on(n) for n in _ASKED_OF_INNER})


class RemainingTrials(_PassedOn):  # type: ignore[misc]
    """A storage in which a study's deleted trials are blank; all else is that of `inner`.

    They keep their places, because Optuna uses a trial's number as its place in lists.
    """

    def __init__(self, inner: BaseStorage, study_id: int) -> None:
        self.inner = inner
        self._study_id = study_id
        self._deleted = DeletedTrials(inner, study_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        trial = self.inner.get_trial(trial_id)
        if trial.number not in self._deleted.numbers():
            return trial
        same = self.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)
        return _blanked(trial) if same == trial_id else trial

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        deleted = self._deleted.numbers() if study_id == self._study_id else frozenset()
        if not deleted:
            return self.inner.get_all_trials(study_id, deepcopy, states)
        trials = self.inner.get_all_trials(study_id, deepcopy=False)
        shown = [_blanked(one) if one.number in deleted else one for one in trials]
        found = [one for one in shown if states is None or one.state in states]
        return copy.deepcopy(found) if deepcopy else found


def _blanked(trial: FrozenTrial) -> FrozenTrial:
    return with_id(blank(trial.number), trial_id_of(trial))
