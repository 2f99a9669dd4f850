"""From the models of bodies to experiments, and from experiments to the models of answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi.exceptions import RequestValidationError

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.core import terms, views
from benchmark.hpo.service.core.assignment import AssignedTrial, Wanted
from benchmark.hpo.service.core.endings import Ending, Tell
from benchmark.hpo.service.core.errors import (
    ConflictError,
    ExistsError,
    FinishedError,
    NotFoundError,
    PausedError,
)
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.v1 import models

_TERMS = ("name", "lease_s", "max_time_s", "max_cost", "facts")
"""The keys of a new experiment that are not its study's."""


def create(service: Service, body: models.NewExperiment, key: str | None) -> dict[str, Any]:
    values = {
        field: value
        for field, value in body.model_dump(exclude=set(_TERMS)).items()
        if value not in (None, [])
    }
    own = {field: getattr(body, field) for field in _TERMS[1:]}
    request = None if key is None else hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    try:
        service.create(body.name, values, key=key, request=request, **own)
    except ExistsError:
        with service.use(body.name) as experiment:
            founded = experiment.terms
            if key is None or founded.key != key:
                raise
            # An experiment of an earlier version has no hash.
            if founded.request not in (None, request):
                raise ConflictError(
                    f"The experiment '{body.name}' was founded with this idempotency key and "
                    "another body; send the same body, or a new name with a new key."
                ) from None
            return views.summary(experiment)
    with service.use(body.name) as experiment:
        return views.summary(experiment)


def other_faults(error: RequestValidationError) -> list[str]:
    """What is wrong with a new experiment beside the faults of its model, which are left out."""
    body = error.body
    wrong = {str(fault["loc"][1]) for fault in error.errors() if len(fault["loc"]) > 1}
    if not isinstance(body, dict):
        return []
    own = {*models.NewExperiment.model_fields} - {*_TERMS[1:]}
    return terms.other_faults({key: body[key] for key in body if key in own}, wrong)


@dataclass(frozen=True)
class Page:
    """What of the list is wanted."""

    after: str
    limit: int
    details: bool
    search: str
    state: str | None


def listed(service: Service, page: Page) -> models.Names:
    names = service.names()
    if page.search:
        part = page.search.casefold()
        names = [name for name in names if part in service.title(name).casefold()]
    found: list[Any] = []
    last = None
    for name in names:
        if name <= page.after:
            continue
        if len(found) == page.limit:
            return models.Names(experiments=found, total=len(names), next=last)
        row = _row(service, name) if page.details else {"name": service.title(name), "study": name}
        if row is not None and page.state in (None, row.get("state")):
            found.append(row)
        last = name
    return models.Names(experiments=found, total=len(names), next=None)


def _row(service: Service, name: str) -> dict[str, Any] | None:
    """Where an experiment stands; None where it was deleted meanwhile."""
    try:
        with service.use(name) as experiment:
            return views.summary(experiment)
    except NotFoundError:
        return None
    except BenchmarkError as error:
        # The others are listed all the same.
        state = "driven elsewhere" if isinstance(error, ConflictError) else "unavailable"
        title = service.title(name)
        return {"name": title, "study": name, "state": state, "message": str(error)}


@dataclass(frozen=True)
class Asking:
    """A request for trials."""

    body: models.Ask
    key: str | None

    @property
    def lease_s(self) -> Any:
        return "own" if self.body.lease_s is None else self.body.lease_s


def ask(experiment: Experiment, asking: Asking, *, at_once: bool = False) -> models.Asked:
    """The answer to one ask.

    Raises:
        WouldWaitError: `at_once`, and no suggestion is ready.
    """
    body = asking.body
    try:
        given = experiment.ask(body.count, asking.key, asking.lease_s, at_once=at_once)
    except (PausedError, FinishedError) as error:
        return _without_trials(experiment, error)
    return _asked(given)


def ask_all(experiment: Experiment, asks: list[Asking]) -> list[models.Asked | Exception]:
    """The answers to asks of one trial each; WouldWaitError where no suggestion is ready."""
    found: list[models.Asked | Exception] = []
    for given in experiment.ask_at_once([Wanted(1, one.key, one.lease_s) for one in asks]):
        try:
            if isinstance(given, (PausedError, FinishedError)):
                found.append(_without_trials(experiment, given))
            else:
                found.append(given if isinstance(given, Exception) else _asked(given))
        except Exception as error:
            found.append(error)  # the others have their trials
    return found


def _asked(given: list[AssignedTrial]) -> models.Asked:
    trials = [
        models.GivenTrial(
            number=one.number,
            params=one.params,
            lease=one.token,
            lease_s=one.lease_s,
            again=one.again,
        )
        for one in given
    ]
    return models.Asked(trials=trials, state="running")


def _without_trials(experiment: Experiment, error: PausedError | FinishedError) -> models.Asked:
    if isinstance(error, PausedError):
        return models.Asked(trials=[], state="paused")
    state = experiment.state
    return models.Asked(trials=[], state="stopped" if state == "stopped" else "finished")


def tell(experiment: Experiment, told: Tell) -> models.Told:
    """The answer to one tell."""
    first = experiment.tell(told.number, told.ending, told.lease)
    return models.Told(number=told.number, repeated=not first)


def tell_all(experiment: Experiment, tells: list[Tell]) -> list[models.Told | Exception]:
    """The answers to tells, which are one write in a journal."""
    return [
        first
        if isinstance(first, Exception)
        else models.Told(number=one.number, repeated=not first)
        for one, first in zip(tells, experiment.tell_all(tells), strict=True)
    ]


def ending(body: models.Outcome) -> Ending:
    values = body.values if body.values is not None else []
    if body.value is not None and not values:
        values = [body.value]
    return Ending(
        status=body.status,
        values=tuple(values) if body.status in ("success", "infeasible") else (),
        metrics=body.metrics,
        constraints=tuple(body.constraints),
        intermediate=body.intermediate,
        cost=body.cost,
        message=body.message,
    )
