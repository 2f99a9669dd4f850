"""The bodies of the modern API, typed: what OpenAPI shows and what is checked."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from benchmark.hpo.service.terms import LEASE_S, LONGEST_LEASE_S

Direction = Literal["minimize", "maximize"]
Number = Annotated[float, Field(allow_inf_nan=False)]
Value = bool | int | Number | str | None
Lease = Annotated[float, Field(gt=0, le=LONGEST_LEASE_S)]
LeaseToken = Annotated[str, Field(min_length=1, max_length=64)]
_LAST_STEP = 2**31 - 1
_WHOLE = "^(0|[1-9][0-9]{0,9})$"


def _step(text: object) -> object:
    """The number that a key of a JSON object stands for, if it is written as JSON writes it."""
    return int(text) if isinstance(text, str) and re.fullmatch(_WHOLE, text) else text


Step = Annotated[int, Field(ge=0, le=_LAST_STEP)]
StepKey = Annotated[Step, BeforeValidator(_step)]


class Strict(BaseModel):
    """Unknown keys are refused; `true`, `"1"` and `1.0` do not stand for the number 1."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewExperiment(Strict):
    """An experiment to found. One of `direction` and `directions` is needed."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    direction: Direction | None = None
    directions: dict[str, Direction] | list[Direction] | None = None
    tunables: Annotated[list[dict[str, Any]], Field(max_length=1000)] = []
    layers: dict[str, list[dict[str, Any]]] | None = None
    forbidden: Annotated[list[str | dict[str, Value]], Field(max_length=1000)] = []
    initial: Annotated[list[dict[str, Value]], Field(max_length=1000)] = []
    algorithm: str = "optuna_tpe"
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    parallel: Annotated[int, Field(ge=1, le=10_000)] | None = None
    pruner: str | dict[str, Any] | None = None
    lease_s: Lease | None = LEASE_S
    max_time_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    facts: dict[str, Any] = {}


class Ask(Strict):
    """How many trials, and for how long each is this client's alone (seconds)."""

    count: Annotated[int, Field(ge=1, le=1000)] = 1
    lease_s: Lease | None = None


class GivenTrial(BaseModel):
    """A trial to run. `again`: it was given out before."""

    number: int
    params: dict[str, Value]
    lease: str
    lease_s: float | None
    again: bool


class Asked(BaseModel):
    """Trials to run; none where the state says why: paused, stopped, finished, or all in work."""

    trials: list[GivenTrial]
    state: str


class Outcome(Strict):
    """How a trial ended. A success has a value for each direction."""

    status: Literal["success", "failure", "prune", "infeasible"] = "success"
    value: Number | None = None
    values: Annotated[list[Number], Field(max_length=100)] | None = None
    metrics: Annotated[dict[str, Number], Field(max_length=1000)] = {}
    constraints: Annotated[list[Number], Field(max_length=100)] = []
    intermediate: Annotated[
        dict[StepKey, Number],
        Field(max_length=10_000, json_schema_extra={"propertyNames": {"pattern": _WHOLE}}),
    ] = {}
    cost: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    message: Annotated[str, Field(max_length=10_000)] = ""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.value is not None and self.values:
            raise ValueError("'value' and 'values' are both given; give one of them")
        return self


class Tell(Outcome):
    """How a trial ended; with its `lease` only if no other client has it by now."""

    lease: LeaseToken | None = None


class Told(BaseModel):
    """`repeated`: the same was told before, and counts once."""

    number: int
    repeated: bool


class Result(Outcome):
    """A result that was measured without an ask."""

    params: dict[str, Value]


class Append(Strict):
    """Results in bulk; they are beyond the budget of trials."""

    results: Annotated[list[Result], Field(min_length=1, max_length=10_000)]


class Appended(BaseModel):
    """The numbers of the trials, in the order of the results."""

    numbers: list[int]


class Heartbeat(Strict):
    """Who has the lease begins its time anew."""

    lease: LeaseToken


class Renewed(BaseModel):
    """How long the lease lasts from now on; null: until the trial is told."""

    lease_s: float | None


class Report(Strict):
    """An intermediate value."""

    step: Step
    value: Number


class Advice(BaseModel):
    """Whether the pruner would end the trial now."""

    prune: bool


class Names(BaseModel):
    """Experiments in the order of their names; `next` is the `after` of what follows."""

    experiments: list[dict[str, Any]]
    total: int
    next: str | None


class Refusal(BaseModel):
    """Why a request was not served: `error` for programs, `message` for people."""

    error: str
    message: str


def _keys(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields).union(*map(_keys, model.__subclasses__()))


KEYS = sorted(_keys(Strict))
"""Every key that a body can have."""
