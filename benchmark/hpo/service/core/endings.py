"""How clients end trials, and what a trial of the storage says of its giving and its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any, Literal

from benchmark.hpo.samplers.proposal import Told
from benchmark.hpo.service.core.errors import ConflictError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.trial import FrozenTrial

    from benchmark.hpo.samplers.optimizer import Optimizer
    from benchmark.hpo.service.core.backend import Opened
    from benchmark.hpo.storages.trial_write import Admit

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


@dataclass(frozen=True)
class Tell:
    """A trial that a client ends; with a `lease`, only while no other client has the trial."""

    number: int
    ending: Ending
    lease: str | None = None


class Endings:
    """The endings of one experiment's trials. `trial` returns a trial, or raises NotFoundError."""

    def __init__(
        self,
        optimizer: Optimizer,
        opened: Opened,
        trial: Callable[[int], FrozenTrial],
        is_current: Callable[[], bool],
    ) -> None:
        self._optimizer = optimizer
        self._name = opened.terms.experiment
        self._directions = len(opened.definition.directions)
        self._trial = trial
        self._is_current = is_current

    def end_all(self, tells: Sequence[Tell]) -> list[bool | Exception]:
        """End trials, in a journal by one write; True for those that had not ended before."""
        found: list[bool | Exception] = [False] * len(tells)
        checked = {}
        for place, tell in enumerate(tells):
            try:
                check(tell.ending, self._directions)
                if tell.number in self._optimizer.deleted:
                    raise no_trial(tell.number, self._name)
                checked[place] = tell.number, result_of(tell.ending), self._admission(tell)
            except Exception as error:
                found[place] = self._judged(tell, error)
        written = self._optimizer.tell_all(list(checked.values()))
        for place, first in zip(checked, written, strict=True):
            if isinstance(first, bool):
                found[place] = first
            elif isinstance(first, Exception):
                found[place] = self._judged(tells[place], first)
            else:
                raise first
        return found

    def check_same(self, tell: Tell) -> None:
        """Refuse a tell of a trial that had ended before, unless it had ended just so.

        Raises:
            NotFoundError: another server has deleted the trial.
            ConflictError: it ended otherwise.
        """
        self._optimizer.refresh()
        trial = self._trial(tell.number)
        if not is_same(trial, tell.ending):
            raise ConflictError(
                f"Trial {tell.number} of '{self._name}' has ended as {status_of(trial)} with "
                "another content already; the first result counts."
            )

    def _judged(self, tell: Tell, error: Exception) -> Exception:
        """KeyError where not a trial is missing, but the experiment that was asked for."""
        if not isinstance(error, (KeyError, InvalidError, NotFoundError)):
            return error
        try:
            if not self._is_current():
                return KeyError(tell.number)
        except Exception as fault:
            return fault
        return no_trial(tell.number, self._name) if isinstance(error, KeyError) else error

    def _admission(self, tell: Tell) -> Admit:
        def admit(trial: FrozenTrial) -> None:
            if tell.lease is not None and kept_in(trial, GIVEN).get("lease") != tell.lease:
                raise anothers(tell.number, self._name)

        return admit


def no_trial(number: int, experiment: str) -> NotFoundError:
    return NotFoundError(f"There is no trial {number} in '{experiment}'.")


def anothers(number: int, experiment: str) -> ConflictError:
    return ConflictError(
        f"Trial {number} of '{experiment}' is another client's now; end it here and ask for a new "
        "one."
    )


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


def result_of(ending: Ending) -> Told:
    """The result for the optimizer; an infeasible point with values breaks a rule."""
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


def seconds_of(trial: FrozenTrial) -> float | None:
    """From its giving to its end, by the wall clock: 0 where that was set back further."""
    begun, ended = trial.datetime_start, trial.datetime_complete
    if begun is None or ended is None:
        return None
    # Local times without a zone, of which those before and after a change of summer time differ.
    return max(0.0, (ended.astimezone(UTC) - begun.astimezone(UTC)).total_seconds())


def is_same(trial: FrozenTrial, ending: Ending) -> bool:
    """Whether the trial ended just so, to the last value."""
    result = result_of(ending)
    kept = {"status": result.status} | kept_in(trial, ENDED)
    wanted = {"status": result.status} | result.attrs.get(ENDED, {})
    values = trial.values if trial.state.name == "COMPLETE" else None
    steps, reported = result.intermediate, trial.intermediate_values
    names = {"success": "COMPLETE", "failure": "FAIL", "prune": "PRUNED"}
    return (
        trial.state.name == names[result.status]
        and tuple(values or ()) == result.values
        and tuple(trial.system_attrs.get("constraints") or ()) == result.constraints
        and (trial.user_attrs.get("metrics") or {}) == result.metrics
        and {s: reported.get(s) for s in kept.get(STEPS, steps)} == steps
        and all(kept.get(key) == wanted.get(key) for key in ("status", "cost", "message", STOPS))
    )
