"""From the models of bodies to experiments, and from experiments to the models of answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.core import views
from benchmark.hpo.service.core.endings import Ending
from benchmark.hpo.service.core.errors import (
    ConflictError,
    ExistsError,
    FinishedError,
    NotFoundError,
    PausedError,
)
from benchmark.hpo.service.v1 import answer_models, models

if TYPE_CHECKING:
    from benchmark.hpo.service.core.experiment import Experiment
    from benchmark.hpo.service.core.service import Service


def create(service: Service, body: models.NewExperiment, key: str | None) -> dict[str, Any]:
    own = ("name", "lease_s", "max_time_s", "max_cost", "facts")
    values = {
        field: value
        for field, value in body.model_dump(exclude=set(own)).items()
        if value not in (None, [])
    }
    terms = {field: getattr(body, field) for field in own[1:]}
    request = None if key is None else hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    try:
        service.create(body.name, values, key=key, request=request, **terms)
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


@dataclass(frozen=True)
class Page:
    """What of the list is wanted."""

    after: str
    limit: int
    details: bool
    search: str
    state: str | None


def listed(service: Service, page: Page) -> answer_models.Names:
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
            return answer_models.Names(experiments=found, total=len(names), next=last)
        row = _row(service, name) if page.details else {"name": service.title(name), "study": name}
        if row is not None and page.state in (None, row.get("state")):
            found.append(row)
        last = name
    return answer_models.Names(experiments=found, total=len(names), next=None)


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


def ask(
    experiment: Experiment, body: models.Ask, key: str | None, *, at_once: bool = False
) -> answer_models.Asked:
    lease_s: Any = "own" if body.lease_s is None else body.lease_s
    try:
        given = experiment.ask(body.count, key, lease_s, at_once=at_once)
    except PausedError:
        return answer_models.Asked(trials=[], state="paused")
    except FinishedError:
        state = experiment.state
        return answer_models.Asked(trials=[], state="stopped" if state == "stopped" else "finished")
    trials = [answer_models.GivenTrial(**views.given_view(one)) for one in given]
    return answer_models.Asked(trials=trials, state="running")


def tell(experiment: Experiment, number: int, body: models.Tell) -> answer_models.Told:
    first = experiment.tell(number, ending(body), body.lease)
    return answer_models.Told(number=number, repeated=not first)


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
