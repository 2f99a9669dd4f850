"""Assign trials under leases: idempotent per key, reassigned when a lease has expired."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Proposal
from benchmark.hpo.service.core.backend import MemoryLeases, Opened
from benchmark.hpo.service.core.counts import Tally
from benchmark.hpo.service.core.endings import GIVEN, kept_in
from benchmark.hpo.service.core.suggestions import Suggestions
from benchmark.hpo.space.search_space import Params
from benchmark.hpo.storages.study_journal import OvertakenError
from benchmark.hpo.storages.trial_write import TrialWrite


@dataclass(frozen=True)
class AssignedTrial:
    """A trial that a client runs. `again` where the lease of an earlier client has expired."""

    number: int
    params: Params
    token: str
    lease_s: float | None
    again: bool = False


@dataclass
class Wanted:
    """An ask under way, and what it was given so far. `lease_s`: "own" for the experiment's."""

    count: int
    key: str | None
    lease_s: Any
    given: list[AssignedTrial] = field(default_factory=list)
    is_repeated: bool = False
    """It was given what its key had before."""


def stored(optimizer: Optimizer, number: int) -> FrozenTrial:
    """A trial as the storage has it.

    Raises:
        KeyError: there is none of that number.
    """
    if number < 0:
        raise KeyError(number)
    storage = optimizer.storage
    trial_id = storage.get_trial_id_from_study_id_trial_number(optimizer.study_id, number)
    return storage.get_trial(trial_id)


# So often another program may write first before it has to wait.
_TRIES = 4


class _GoneError(Exception):
    """Another server has given the trial out meanwhile."""


class Assignment:
    """The assigned trials of one experiment; `admit` raises where no more may be assigned."""

    def __init__(
        self,
        optimizer: Optimizer,
        opened: Opened,
        tally: Tally,
        suggestions: Suggestions,
        admit: Callable[[], None],
    ) -> None:
        self._optimizer = optimizer
        self._opened = opened
        self._tally = tally
        self._suggestions = suggestions
        self._admit = admit

    def assign(self, asks: list[Wanted]) -> list[bool | BaseException]:
        """What these asks can have now, by one write; whether each needs no suggestion more.

        New trials need no lock over all servers: the journal refuses them where another server has
        written since the counts and keys were looked at. What changes a trial needs it.
        """
        leases = self._opened.leases
        with contextlib.suppress(OvertakenError), leases.unlocked() as is_enough:
            if is_enough:
                with self._tally.still(is_read=True):
                    if self._makes_only_new(asks):
                        return self._assigned(asks, iter(()), only_new=True)
        with leases.exclusive() as is_read, self._tally.still(is_read=is_read):
            free = self._free()  # once: another server has what it has not, if the lock was lost
            tries = 0
            while True:
                with contextlib.suppress(OvertakenError):
                    return self._assigned(asks, free)
                tries += 1
                if tries == _TRIES:
                    leases.keep_out()
                self._tally.look(is_read=True)  # the refused append has read it

    def _makes_only_new(self, asks: list[Wanted]) -> bool:
        keys = [wanted.key for wanted in asks if wanted.key and not wanted.given]
        return not (
            self._tally.queued()
            or any(self._tally.of_key(key) for key in keys)
            or self._opened.leases.may_have_ended(self._tally.running())
        )

    def _assigned(
        self, asks: list[Wanted], free: Iterator[int], *, only_new: bool = False
    ) -> list[bool | BaseException]:
        answers: list[bool | BaseException] = []
        taken: list[tuple[Wanted, Proposal]] = []
        others = self._tally.seen
        for wanted in asks:
            try:
                if wanted.lease_s == "own":
                    wanted.lease_s = self._tally.limits().lease_s
                if not wanted.given:
                    if wanted.key and any(other.key == wanted.key for other, _ in taken):
                        answers.append(False)  # it is given the same in the next round
                        continue
                    if wanted.key and not only_new:
                        wanted.given += self._earlier(wanted.key, wanted.lease_s)
                        wanted.is_repeated = bool(wanted.given)
                if wanted.is_repeated:
                    answers.append(True)
                    continue
                if not wanted.given:
                    self._admit()
                    wanted.given += self._reassign(free, wanted.count, wanted.key, wanted.lease_s)
                answers.append(self._choose(wanted, taken))
            except Exception as error:
                answers.append(error)
        if taken:
            self._take_chosen(taken, others)
        elif only_new and any(answer is not False for answer in answers):
            raise OvertakenError  # for all that is known: no write has shown that nothing is new
        return answers

    def _choose(self, wanted: Wanted, taken: list[tuple[Wanted, Proposal]]) -> bool:
        """Take suggestions that are ready, as budgets permit; whether no more can be had."""
        missing = wanted.count - len(wanted.given)
        for number in self._tally.queued()[:missing]:
            if self._tally.has_room(len(taken)):
                given = self._start(number, wanted.key, wanted.lease_s)
                wanted.given += [] if given is None else [given]
                missing -= given is not None
        while missing and self._tally.has_room(len(taken)):
            proposal = self._suggestions.pop()
            if proposal is None:
                return False
            if not self._opened.alone and self._optimizer.was_taken(proposal):
                self._suggestions.drop(proposal)
                continue
            taken.append((wanted, proposal))
            missing -= 1
        return True

    def _take_chosen(self, taken: list[tuple[Wanted, Proposal]], others: int) -> None:
        try:
            given = self._take(taken, others)
        except OvertakenError:
            self._suggestions.put_back([proposal for _, proposal in taken])
            raise
        except BaseException:
            for _, proposal in taken:
                self._suggestions.drop(proposal)
            raise
        for (wanted, _), new in zip(taken, given, strict=True):
            wanted.given.append(new)

    def _earlier(self, key: str, lease_s: float | None) -> list[AssignedTrial]:
        """What the same key was given before and has still, with its time started again."""
        given = []
        for number in self._tally.of_key(key):
            trial = stored(self._optimizer, number)
            kept = kept_in(trial, GIVEN)
            if kept.get("key") != key or number in self._optimizer.deleted:
                continue
            if not trial.state.is_finished():
                self._opened.leases.grant(number, kept["lease"], lease_s)
            params = self._optimizer.params_of(trial)
            given.append(
                AssignedTrial(number, params, kept["lease"], kept.get("lease_s"), again=True)
            )
        return given

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        """Grant a lease that has ended again; False where the trial ended or is another's now."""
        with self._opened.leases.exclusive() as is_read:
            self._tally.look(is_read=is_read)
            trial = stored(self._optimizer, number)
            if trial.state.is_finished() or kept_in(trial, GIVEN).get("lease") != token:
                return False
            self._opened.leases.grant(number, token, lease_s)
            return True

    def _free(self) -> Iterator[int]:
        """Trials whose client has not been heard of for too long."""
        yield from self._opened.leases.free(self._tally.running())

    def _reassign(
        self, free: Iterator[int], count: int, key: str | None, lease_s: float | None
    ) -> list[AssignedTrial]:
        """Give out free trials once more, with their configuration."""
        # An earlier ask of the same batch may have been given its own trial again.
        still = (number for number in free if self._opened.leases.free([number]))
        found = (self._reassigned(number, key, lease_s) for number in still)
        return list(itertools.islice((given for given in found if given is not None), count))

    def _reassigned(
        self, number: int, key: str | None, lease_s: float | None
    ) -> AssignedTrial | None:
        """Assign a trial once more; None where it has ended or is not ours."""
        trial = stored(self._optimizer, number)
        # Where others drive the study too, a trial that no server gave out is one of theirs.
        foreign = not self._opened.alone and GIVEN not in trial.user_attrs
        if trial.state.is_finished() or foreign:
            return None
        earlier = kept_in(trial, GIVEN)
        token = self._promise(number, key, lease_s, lambda found: kept_in(found, GIVEN) == earlier)
        if token is None:
            return None
        self._tally.given_again(number, key)
        return AssignedTrial(number, self._optimizer.params_of(trial), token, lease_s, again=True)

    def _start(self, number: int, key: str | None, lease_s: float | None) -> AssignedTrial | None:
        """Assign a trial that was queued; None if it was deleted meanwhile."""
        running = optuna.trial.TrialState.RUNNING
        token = self._promise(number, key, lease_s, lambda found: found.state != running, running)
        if token is None:
            return None
        self._tally.given(number, key)
        params = self._optimizer.params_of(stored(self._optimizer, number))
        return AssignedTrial(number, params, token, lease_s)

    def _promise(
        self,
        number: int,
        key: str | None,
        lease_s: float | None,
        is_free: Callable[[FrozenTrial], bool],
        state: TrialState | None = None,
    ) -> str | None:
        """Write a new lease into a trial, and grant it; its token, None if the trial has ended.

        None as well if it is not free any more: a server that lost the lock with its connection
        must not assign it a second time.
        """

        def admit(found: FrozenTrial) -> None:
            if not is_free(found):
                raise _GoneError

        token = secrets.token_hex(8)
        write = TrialWrite(state=state, user_attrs={GIVEN: _lease_attr(token, key, lease_s)})
        try:
            if not self._optimizer.write(number, write, admit):
                return None
        except _GoneError:
            return None
        self._opened.leases.grant(number, token, lease_s)
        return token

    def _take(self, taken: Sequence[tuple[Wanted, Proposal]], others: int) -> list[AssignedTrial]:
        """New trials, in the storage when this returns, which one write makes."""
        drawn = secrets.token_hex(8 * len(taken))  # a call of the system for all
        tokens = [drawn[16 * place : 16 * place + 16] for place in range(len(taken))]
        made = [
            (proposal, {GIVEN: _lease_attr(token, wanted.key, wanted.lease_s)})
            for (wanted, proposal), token in zip(taken, tokens, strict=True)
        ]
        asked = self._optimizer.take_all(made, others)
        given = []
        for new, (wanted, _), token in zip(asked, taken, tokens, strict=True):
            self._opened.leases.grant(new.number, token, wanted.lease_s)
            self._tally.given(new.number, wanted.key)
            given.append(AssignedTrial(new.number, new.params, token, wanted.lease_s))
        return given

    def promise_again(self) -> None:
        """After a restart each client has its time again. Called in `leases.exclusive`."""
        leases = self._opened.leases
        if not isinstance(leases, MemoryLeases):
            return
        for number in self._tally.running():
            kept = kept_in(stored(self._optimizer, number), GIVEN)
            if "lease" in kept:
                leases.promise(number, kept["lease"], kept.get("lease_s"))


def _lease_attr(token: str, key: str | None, lease_s: float | None) -> dict[str, Any]:
    """What a trial keeps of its assignment."""
    kept: dict[str, Any] = {"lease": token, "lease_s": lease_s}
    return kept if key is None else kept | {"key": key}
