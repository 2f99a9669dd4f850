"""Deleted trials: their numbers stand in the study's attributes, because Optuna deletes no trial.

A deleted trial stays in the storage, so that its number is never used again. `RemainingStudy` is
the study without what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import TrialState, create_trial

if TYPE_CHECKING:
    from collections.abc import Container

    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

DELETED = "deleted"


class DeletedTrials:
    """The numbers of a study's deleted trials, in its storage. One process at a time may add."""

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

    def add(self, number: int) -> None:
        numbers = sorted(self.numbers() | {number})
        self._storage.set_study_user_attr(self._study_id, DELETED, numbers)


def blank(number: int = 0) -> FrozenTrial:
    """What is shown to Optuna in place of a deleted trial: a failure without a point."""
    trial = create_trial(state=TrialState.FAIL)
    trial.number = number
    return trial


class RemainingStudy(Study):
    """A study in which deleted trials are blank, because Optuna's plots use numbers as places."""

    def __init__(self, study_name: str, storage: BaseStorage, deleted: DeletedTrials) -> None:
        super().__init__(study_name, storage)
        self._deleted = deleted

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        deleted = self._deleted.numbers()
        if not deleted:
            return super().get_trials(deepcopy, states)
        trials = super().get_trials(deepcopy)
        shown = (blank(one.number) if one.number in deleted else one for one in trials)
        return [one for one in shown if states is None or one.state in states]
