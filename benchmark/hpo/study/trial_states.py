"""The trials of a study as they start and end: an ask looks only at what has changed.

states = TrialStates(optimizer)
ended = states.look()                      # the numbers of trials that have ended since
states.asked                               # how many were asked; imported ones do not count
"""

from __future__ import annotations

from typing import Any

from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.spec.stop_rules import IMPORTED

# Attributes of a trial in Optuna's storage that this program sets.
_OWN = (IMPORTED, "metrics", "service", "told")


class TrialStates:
    """Not for several threads."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._open: set[int] = set()
        self._seen = self._imported = 0
        self._deleted = 0
        self.ended: list[int] = []

    @property
    def asked(self) -> int:
        return self._seen - self._imported - self._deleted

    def look(self) -> None:
        """Look at the trials that are new, and at those that had not ended."""
        deleted = self._optimizer.deleted
        trials = self._optimizer.by_number()
        for number in [*sorted(self._open), *range(self._seen, len(trials))]:
            if not trials[number].state.is_finished():
                self._open.add(number)
                continue
            self._open.discard(number)
            if number not in deleted:
                self.ended.append(number)
            self._imported += IMPORTED in trials[number].user_attrs
        self._deleted = sum(IMPORTED not in trials[number].user_attrs for number in deleted)
        self._seen = len(trials)


def attrs_of(labels: dict[str, Any]) -> dict[str, Any]:
    """What Optuna keeps of a trial: the attributes that a Python objective set, and ours."""
    own = labels.get("user_attrs") or {}
    imported = {IMPORTED: labels[IMPORTED]} if labels.get(IMPORTED) else {}
    return {name: value for name, value in own.items() if name not in _OWN} | imported
