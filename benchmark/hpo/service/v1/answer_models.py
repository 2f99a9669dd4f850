"""The answers of the modern API, typed: what OpenAPI shows and generated clients use."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from benchmark.hpo.samplers.proposal import Direction
from benchmark.hpo.service.v1.models import Value

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
