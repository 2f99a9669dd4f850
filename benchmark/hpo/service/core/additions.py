"""Trials that clients add: results that were measured elsewhere, and points to run next.

A point that is queued is a trial that waits, with its number, until an ask takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.service.core.assignment import stored
from benchmark.hpo.service.core.backend import Opened
from benchmark.hpo.service.core.counts import KeyOf, Tally
from benchmark.hpo.service.core.endings import GIVEN, QUEUED, Ending, check, is_same, result_of
from benchmark.hpo.service.core.errors import ConflictError, InvalidError
from benchmark.hpo.space.search_space import Params, identity
from benchmark.hpo.storages.trial_write import create_trials

_CHUNK = 100


class Additions:
    """The additions to one experiment."""

    def __init__(self, optimizer: Optimizer, opened: Opened, tally: Tally) -> None:
        self._optimizer = optimizer
        self._opened = opened
        self._tally = tally
        self._space = opened.definition.space
        self._directions = len(opened.definition.directions)
        self._tunables = {tunable.name: tunable for tunable in opened.definition.space.tunables}

    def append(
        self,
        entries: Sequence[tuple[Params, Ending]],
        key: str | None,
        added: Callable[[int], None],
    ) -> list[int]:
        """Results as trials that have ended; `added` is called with the number of each."""
        for place, (params, ending) in enumerate(entries):
            self._check(f"Result {place}", params)
            check(ending, self._directions)

        def is_entry(trial: FrozenTrial, place: int) -> bool:
            params, ending = entries[place]
            return self._is_at(trial, params) and is_same(trial, ending)

        made = [partial(self._ended, params, ending, key) for params, ending in entries]
        return self._add(made, key, "appended", is_entry, added)

    def enqueue(self, points: Sequence[Params], key: str | None) -> list[int]:
        """Points as trials that wait."""
        for place, params in enumerate(points):
            self._check(f"Point {place}", params)

        def is_point(trial: FrozenTrial, place: int) -> bool:
            return self._is_at(trial, points[place])

        made = [partial(self._waiting, one, key) for one in points]
        return self._add(made, key, "queued", is_point, lambda _: None)

    def _check(self, what: str, params: Params) -> None:
        fault = self._space.fault(params)
        if fault is not None:
            raise InvalidError(f"{what}: {fault}")

    def _add(
        self,
        made: Sequence[Callable[[], FrozenTrial]],
        key: str | None,
        kind: KeyOf,
        is_same_as: Callable[[FrozenTrial, int], bool],
        added: Callable[[int], None],
    ) -> list[int]:
        """Those of the trials that were not added with this key before; others ask meanwhile."""
        optimizer = self._optimizer
        numbers: list[int] = []
        while (known := len(numbers)) < len(made):
            # Others ask between two chunks.
            with self._opened.leases.exclusive() as is_read, self._tally.still(is_read=is_read):
                self._tally.look(is_read=True)
                had = self._tally.of_key(key, kind) if key else numbers
                trials = [stored(self._optimizer, number) for number in had[len(numbers) :]]
                if len(had) > len(made) or not all(
                    is_same_as(trial, place) for place, trial in enumerate(trials, len(numbers))
                ):
                    what = "results" if kind == "appended" else "points"
                    raise ConflictError(
                        f"The idempotency key was sent with other {what} before; send a new key "
                        f"with new {what}."
                    )
                chunk = [make() for make in made[len(had) : len(had) + _CHUNK]]
                new = create_trials(optimizer.storage, optimizer.study_id, chunk)
                numbers = had + new
                self._tally.look(is_read=True)
            # A try before this one may have failed after its write.
            for number in numbers[known:]:
                added(number)
        return numbers

    def _is_at(self, trial: FrozenTrial, params: Params) -> bool:
        typed = {name: self._tunables[name].typed(value) for name, value in params.items()}
        return identity(self._optimizer.params_of(trial)) == identity(typed)

    def _waiting(self, params: Params, key: str | None) -> FrozenTrial:
        attrs = {QUEUED: {} if key is None else {"key": key}}
        return self._created(params, TrialState.WAITING, user_attrs=attrs)

    def _ended(self, params: Params, ending: Ending, key: str | None) -> FrozenTrial:
        result = result_of(ending)
        ends = {"success": TrialState.COMPLETE, "prune": TrialState.PRUNED}
        state = ends.get(result.status, TrialState.FAIL)
        attrs: dict[str, Any] = {GIVEN: {"appended": True}, **result.attrs}
        if key is not None:
            attrs[GIVEN]["key"] = key
        if result.metrics:
            attrs["metrics"] = result.metrics
        return self._created(
            params,
            state,
            values=list(result.values) if result.status == "success" else None,
            user_attrs=attrs,
            system_attrs={"constraints": list(result.constraints)} if result.constraints else {},
            intermediate_values=dict(result.intermediate),
        )

    def _created(self, params: Params, state: TrialState, **parts: Any) -> FrozenTrial:
        distributions = {name: self._tunables[name].distribution() for name in params}
        return create_trial(state=state, params=dict(params), distributions=distributions, **parts)
