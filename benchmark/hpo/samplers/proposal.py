"""What an optimizer proposes, what was asked of it, and how a trial ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.space.search_space import Params, SpaceError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from benchmark.hpo.storages.trial_write import TrialWrite

Direction = Literal["minimize", "maximize"]
Status = Literal["success", "failure", "prune"]


def signs_of(directions: Iterable[Direction]) -> tuple[float, ...]:
    """For each direction 1 to minimize, -1 to maximize: of `sign * value` less is better."""
    return tuple(1.0 if direction == "minimize" else -1.0 for direction in directions)


class ExhaustedError(SpaceError):
    """Every allowed point of a countable space has been asked."""


@dataclass(frozen=True)
class Asked:
    """A trial to run: its number in the study, and the values of the active tunables."""

    number: int
    params: Params


@dataclass(frozen=True)
class Told:
    """How a trial ended: a value for each direction on success; constraints hold where <= 0."""

    status: Status
    values: tuple[float, ...] = ()
    constraints: tuple[float, ...] = ()
    intermediate: dict[int, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """A point that is not yet assigned, and what the storage keeps of its trial and its study.

    `place` is that of the shadow's trial; None if the shadow does not have one.
    """

    place: int | None
    params: Params
    stored: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    attrs: dict[str, Any]
    study_attrs: dict[str, Any]

    def template(self, attrs: dict[str, Any]) -> FrozenTrial:
        """The running trial that the storage creates, with these user attributes."""
        from optuna.trial import FrozenTrial, TrialState

        return FrozenTrial(
            number=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=datetime.now(),
            datetime_complete=None,
            params=self.stored,
            distributions=self.distributions,
            user_attrs=attrs,
            system_attrs=self.attrs,
            intermediate_values={},
            trial_id=-1,
        )


def ending_of(outcome: Told) -> TrialWrite:
    """What is written to a trial that ends so."""
    from optuna.trial import TrialState

    from benchmark.hpo.samplers.study_sampler import CONSTRAINTS
    from benchmark.hpo.storages.trial_write import TrialWrite

    ends = {"success": TrialState.COMPLETE, "failure": TrialState.FAIL, "prune": TrialState.PRUNED}
    return TrialWrite(
        state=ends[outcome.status],
        values=outcome.values if outcome.status == "success" else None,
        intermediate=outcome.intermediate,
        user_attrs=outcome.attrs | ({"metrics": outcome.metrics} if outcome.metrics else {}),
        system_attrs={CONSTRAINTS: list(outcome.constraints)} if outcome.constraints else {},
    )
