"""Giving trials out: under a lease, again to the same key, and on when a lease has ended."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.hpo.service.endings import GIVEN, kept_in
from benchmark.hpo.service.leases import MemoryLeases

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from benchmark.hpo.optimizer import Optimizer, Proposal
    from benchmark.hpo.service.homes import Opened
    from benchmark.hpo.service.tally import Tally
    from benchmark.hpo.space import Params


@dataclass(frozen=True)
class Given:
    """A trial in a client's hands. `again` where another had it before and let its lease end."""

    number: int
    params: Params
    token: str
    lease_s: float | None
    again: bool = False


def stored(optimizer: Optimizer, number: int) -> FrozenTrial:
    """A trial as the storage has it.

    Raises:
        KeyError: there is none of that number.
    """
    if number < 0:
        raise KeyError(number)
    study = optimizer.study
    storage = study._storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    return storage.get_trial(trial_id)


class Giving:
    """The trials of one experiment in clients' hands. All is called in `leases.exclusive`."""

    def __init__(self, optimizer: Optimizer, opened: Opened, tally: Tally) -> None:
        self._optimizer = optimizer
        self._opened = opened
        self._tally = tally

    def earlier(self, key: str, lease_s: float | None) -> list[Given]:
        """What the same key was given before and has still, with its time begun anew."""
        given = []
        for number in self._tally.of_key(key):
            trial = stored(self._optimizer, number)
            kept = kept_in(trial, GIVEN)
            if kept.get("key") != key:
                continue
            if not trial.state.is_finished():
                self._opened.leases.grant(number, kept["lease"], lease_s)
            params = self._optimizer.params_of(trial)
            given.append(Given(number, params, kept["lease"], kept.get("lease_s"), again=True))
        return given

    def ended_leases(self, count: int, key: str | None, lease_s: float | None) -> list[Given]:
        """Trials whose client has not been heard of for too long, with their configuration."""
        holders = self._opened.leases.holders(self._tally.running())
        free = [number for number, lease in holders.items() if lease is None]
        again = (self._again(number, key, lease_s) for number in free)
        return list(itertools.islice((given for given in again if given is not None), count))

    def _again(self, number: int, key: str | None, lease_s: float | None) -> Given | None:
        """Give a trial out once more; None where it is told or not ours."""
        from benchmark.hpo.trial_write import TrialWrite

        trial = stored(self._optimizer, number)
        # Where others drive the study too, a trial that no server gave out is one of theirs.
        foreign = not self._opened.alone and GIVEN not in trial.user_attrs
        if trial.state.is_finished() or foreign:
            return None
        token = secrets.token_hex(8)
        kept = {"lease": token, "lease_s": lease_s} | ({"key": key} if key is not None else {})
        if not self._optimizer.write(number, TrialWrite(user_attrs={GIVEN: kept})):
            return None
        self._opened.leases.grant(number, token, lease_s)
        self._tally.given_again(number, key)
        return Given(number, self._optimizer.params_of(trial), token, lease_s, again=True)

    def take(self, proposal: Proposal, key: str | None, lease_s: float | None) -> Given:
        """A new trial, in the storage when this returns."""
        token = secrets.token_hex(8)
        kept: dict[str, Any] = {"lease": token, "lease_s": lease_s}
        if key is not None:
            kept["key"] = key
        asked = self._optimizer.take(proposal, {GIVEN: kept})
        self._opened.leases.grant(asked.number, token, lease_s)
        self._tally.given(asked.number, key)
        return Given(asked.number, asked.params, token, lease_s)

    def promise_again(self) -> None:
        """After a restart each client has its time once more; what none was promised is free."""
        leases = self._opened.leases
        if not isinstance(leases, MemoryLeases):
            return
        for number in self._tally.running():
            kept = kept_in(stored(self._optimizer, number), GIVEN)
            if "lease" in kept:
                leases.promise(number, kept["lease"], kept.get("lease_s"))
