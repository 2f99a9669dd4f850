"""How clients end trials, and what a trial of the storage says of its giving and its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.service.core.errors import InvalidError

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

Status = Literal["success", "failure", "prune", "infeasible"]

GIVEN, ENDED, STEPS, STOPS, QUEUED = "service", "told", "steps", "stops", "queued"


@dataclass(frozen=True)
class Ending:
    """How a client says that a trial ended: a value for each direction on success.

    One that `stops` ends the experiment with its trial.
    """

    status: Status
    values: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    constraints: tuple[float, ...] = ()
    intermediate: dict[int, float] = field(default_factory=dict)
    cost: float | None = None
    message: str = ""
    stops: bool = False


def check(ending: Ending, directions: int) -> None:
    """Refuse an ending that does not have a value for each direction.

    Raises:
        InvalidError: it has another number of values.
    """
    if (ending.status == "success" or ending.values) and len(ending.values) != directions:
        raise InvalidError(
            f"The {ending.status} has {len(ending.values)} values and the experiment {directions} "
            "directions; give a value for each."
        )


def kept_in(trial: FrozenTrial, name: str) -> dict[str, Any]:
    """What stands in the trial under GIVEN or ENDED."""
    found: dict[str, Any] = trial.user_attrs.get(name) or {}
    return found


def told_of(ending: Ending) -> Told:
    """As the optimizer is told; an infeasible point with values is a point that breaks a rule."""
    status, constraints = ending.status, ending.constraints
    kept: dict[str, Any] = {"status": status}
    if ending.cost is not None:
        kept["cost"] = ending.cost
    if ending.message:
        kept["message"] = ending.message
    if ending.stops:
        kept[STOPS] = True
    if ending.intermediate:
        # Beside these the trial has the steps that were reported while it ran.
        kept[STEPS] = sorted(ending.intermediate)
    if status == "infeasible":
        status = "success" if ending.values else "failure"
        constraints = constraints or (1.0,)
    return Told(
        status=status,
        values=ending.values if status == "success" else (),
        constraints=constraints,
        intermediate=ending.intermediate,
        metrics=ending.metrics,
        attrs={ENDED: kept} if len(kept) > 1 or ending.status == "infeasible" else {},
    )


def status_of(trial: FrozenTrial) -> str:
    """How a trial ended, in the words of the service."""
    words = {"COMPLETE": "success", "FAIL": "failure", "PRUNED": "prune"}
    kept = kept_in(trial, ENDED).get("status")
    return str(kept or words.get(trial.state.name, trial.state.name.lower()))


def is_same(trial: FrozenTrial, ending: Ending) -> bool:
    """Whether the trial ended just so, to the last value."""
    told = told_of(ending)
    kept = {"status": told.status} | kept_in(trial, ENDED)
    wanted = {"status": told.status} | told.attrs.get(ENDED, {})
    values = trial.values if trial.state.name == "COMPLETE" else None
    reported = trial.intermediate_values
    names = {"success": "COMPLETE", "failure": "FAIL", "prune": "PRUNED"}
    return (
        trial.state.name == names[told.status]
        and tuple(values or ()) == told.values
        and tuple(trial.system_attrs.get("constraints") or ()) == told.constraints
        and (trial.user_attrs.get("metrics") or {}) == told.metrics
        and {s: reported.get(s) for s in kept.get(STEPS, told.intermediate)} == told.intermediate
        and all(kept.get(key) == wanted.get(key) for key in ("status", "cost", "message", STOPS))
    )
