"""The bodies of requests and the answers of the modern API, typed: what OpenAPI shows."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from benchmark.files.value_faults import OWN
from benchmark.hpo.samplers.proposal import Direction
from benchmark.hpo.service.core.terms import LEASE_S, LONGEST_LEASE_S

Number = Annotated[float, Field(allow_inf_nan=False)]


def _one_of(words: str) -> WrapValidator:
    """Let a union be refused by one error, instead of one for each of its members."""

    def check(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
        try:
            return validate(value)
        except ValidationError:
            raise PydanticCustomError(OWN, words) from None

    return WrapValidator(check)


Value = Annotated[
    bool | int | Number | str | None, _one_of('a number, a text in " ", true, false or null')
]
_Directions = Annotated[
    dict[str, Direction] | list[Direction],
    _one_of("an object by metric or a list, of 'minimize' and 'maximize'"),
]
_Forbidden = Annotated[
    str | dict[str, Value],
    _one_of('an expression in " ", or an object of a value for each tunable'),
]
_Pruner = Annotated[str | dict[str, Any], _one_of('a name in " ", or an object in { }')]


def _finite(value: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity to answer with, but 1e400, which is read as one."""
    level: list[Any] = [value]
    while level:
        one = level.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise PydanticCustomError(OWN, "an object in { } whose numbers are finite")
        level += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return value


Facts = Annotated[dict[str, Any], AfterValidator(_finite)]
Bound = float | str
"""A number, or a text with a unit: 512, "4Gi"."""
Lease = Annotated[float, Field(gt=0, le=LONGEST_LEASE_S)]
LeaseToken = Annotated[str, Field(min_length=1, max_length=64)]
_LAST_STEP = 2**31 - 1
_WHOLE = "^(0|[1-9][0-9]{0,9})$"


# How a tunable is declared, for OpenAPI only: the space itself checks what clients send, since
# its errors name every fault with the fix, and it accepts units and other spellings.
class _Tunable(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    when: str | None = None
    layer: str | None = None


class NumberTunable(_Tunable):
    """A tunable with bounds, which are both values; of `integer` they are whole numbers."""

    value_type: Literal["double", "float", "integer", "int"]
    lower_bound: Bound
    upper_bound: Bound
    step: Bound | None = None
    log: bool = False
    default: Bound | None = None
    unit: str | None = None


class CategoricalTunable(_Tunable):
    """A tunable with a list of choices; each stands in it once."""

    value_type: Literal["categorical"]
    choices: Annotated[list[bool | int | float | str | None], Field(min_length=1)]
    default: bool | int | float | str | None = None


TunableEntry = Annotated[
    dict[str, Any],
    BeforeValidator(lambda sent: sent, json_schema_input_type=NumberTunable | CategoricalTunable),
]


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
    directions: _Directions | None = None
    tunables: Annotated[list[TunableEntry], Field(max_length=1000)] = []
    layers: dict[str, list[TunableEntry]] | None = None
    forbidden: Annotated[list[_Forbidden], Field(max_length=1000)] = []
    initial: Annotated[list[dict[str, Value]], Field(max_length=1000)] = []
    algorithm: str = "optuna_tpe_multivariate"
    seed: Annotated[int, Field(ge=0, lt=2**32)] | None = None
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    parallel: Annotated[int, Field(ge=1, le=10_000)] | None = None
    pruner: _Pruner | None = None
    lease_s: Lease | None = LEASE_S
    max_time_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    facts: Facts = {}


class Ask(Strict):
    """How many trials, and for how long each is this client's alone (seconds)."""

    count: Annotated[int, Field(ge=1, le=1000)] = 1
    lease_s: Lease | None = None


class Changes(Strict):
    """What to change; what is left out stays. null: without a limit. Of the facts null removes one.

    Trials in clients' hands keep the lease they were given.
    """

    # null means nothing for these two.
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = cast("int", None)
    parallel: Annotated[int, Field(ge=1, le=10_000)] | None = None
    lease_s: Lease | None = None
    max_time_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    max_cost: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    facts: Facts = cast("Facts", None)


class Attributes(Strict):
    """Attributes of a trial for the client's own use; null removes one."""

    attributes: Annotated[Facts, Field(max_length=1000)]


class Points(Strict):
    """Points to run next, in this order."""

    points: Annotated[list[dict[str, Value]], Field(min_length=1, max_length=1000)]


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
    def _given_once(self) -> Self:
        if self.value is not None and self.values:
            raise ValueError("'value' and 'values' are both given; give one of them")
        return self


class Tell(Outcome):
    """How a trial ended; with its `lease` only if no other client has it by now."""

    lease: LeaseToken | None = None


class Result(Outcome):
    """A result that was measured without an ask."""

    params: dict[str, Value]


class Append(Strict):
    """Results in bulk; they are beyond the budget of trials."""

    results: Annotated[list[Result], Field(min_length=1, max_length=10_000)]


class Heartbeat(Strict):
    """Who has the lease begins its time again."""

    lease: LeaseToken


class Report(Strict):
    """An intermediate value."""

    step: Step
    value: Number


def _keys(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields).union(*map(_keys, model.__subclasses__()))


KEYS = sorted(_keys(Strict))
"""Every key that a body can have."""


AskState = Literal["running", "paused", "stopped", "finished"]
Status = Literal["success", "failure", "prune", "infeasible", "running", "waiting"]


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
    state: AskState


class Trial(BaseModel):
    """A trial. `values` has one for each direction after a success; null: not a finite number."""

    number: int
    status: Status
    params: dict[str, Value]
    values: list[float | None]
    metrics: dict[str, float | None]
    constraints: list[float]
    intermediate: dict[str, float | None]
    cost: float | None
    message: str
    attributes: dict[str, Any]
    appended: bool
    seconds: float | None


class Summary(BaseModel):
    """Where an experiment stands. Deleted trials are in no count; their cost stays in `cost`."""

    name: str
    study: str
    state: AskState
    algorithm: str
    directions: dict[str, Direction]
    tunables: list[str]
    trials: int
    parallel: int | None
    queued: int
    asked: int
    told: int
    running: int
    successes: int
    failures: int
    pruned: int
    appended: int
    cost: float
    max_time_s: float | None
    max_cost: float | None
    lease_s: float | None
    created: str
    best: Trial | None
    facts: dict[str, Any]


class Named(BaseModel):
    """An experiment in a list without details."""

    name: str
    study: str


class NotOpened(Named):
    """An experiment in a list that another process drives, or that cannot be opened."""

    state: Literal["driven elsewhere", "unavailable"]
    message: str


class Names(BaseModel):
    """Experiments in the order of their names; `next` is the `after` of what follows."""

    experiments: list[Summary | NotOpened | Named]
    total: int
    next: str | None


class Told(BaseModel):
    """`repeated`: the same was told before, and counts once."""

    number: int
    repeated: bool


class Appended(BaseModel):
    """The numbers of the trials, in the order of the results or points."""

    numbers: list[int]


class Renewed(BaseModel):
    """How long the lease lasts from now on; null: until the trial is told."""

    lease_s: float | None


class Advice(BaseModel):
    """Whether the pruner would end the trial now."""

    prune: bool


class Refusal(BaseModel):
    """Why a request was not served: `error` for programs, `message` for people."""

    error: str
    message: str
