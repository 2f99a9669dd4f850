"""The modern API: `/v1`, typed, with leases, idempotency keys, budgets and events."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator
from starlette.responses import HTMLResponse, Response, StreamingResponse

from benchmark.errors import BenchmarkError
from benchmark.hpo.service import plots, views
from benchmark.hpo.service import v1_models as models
from benchmark.hpo.service.bodies import BodyRoute
from benchmark.hpo.service.endings import Ending
from benchmark.hpo.service.errors import (
    ConflictError,
    ExistsError,
    FinishedError,
    InvalidError,
    NotFoundError,
    PausedError,
)
from benchmark.hpo.service.naming import SLASH

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmark.hpo.service.service import Service
    from benchmark.hpo.service.threads import Threads

Name = Annotated[
    str,
    Path(max_length=256, description="the experiment's name, or its study's; a slash is %2F"),
    AfterValidator(lambda name: name.replace(SLASH, "/")),
]
Number = Annotated[int, Path(ge=0, le=2**31 - 1)]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=200, pattern=r"^[!-~]+$"),
]
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": models.Refusal, "description": text}
    for code, text in {
        400: "Not HTTP as it should be",
        401: "A token is needed",
        403: "The token may only read",
        404: "No such experiment or trial",
        405: "The path has no such method; `Allow` names those it has",
        409: "It contradicts what has happened",
        413: "The body is too large",
        422: "The body is wrong",
        429: "Too many requests",
        503: "Try again in a while",
    }.items()
}
_REFUSALS[405]["headers"] = {"Allow": {"schema": {"type": "string"}}}
_LOOK_S = 0.5
_SILENCE_S = 15.0
_FOR_STATE = {"pause": "paused", "resume": "running", "stop": "stopped"}


def routes(service: Service, threads: Threads) -> APIRouter:  # noqa: PLR0915
    """The routes over a service."""
    router = APIRouter(
        prefix="/v1",
        responses=_REFUSALS,
        dependencies=[Depends(_known_parameters)],
        route_class=BodyRoute,
    )

    def using(call: Any, name: str, *arguments: Any) -> Any:
        with service.use(name) as experiment:
            return call(experiment, *arguments)

    @router.post("/experiments", status_code=201)
    async def create(body: models.NewExperiment, key: Key = None) -> dict[str, Any]:
        """Found an experiment. The same key and body again answer the one that was founded.

        The same key with another body is 409.
        """
        found: dict[str, Any] = await threads.quick(_create, service, body, key)
        return found

    @router.get("/experiments")
    async def listed(
        after: Annotated[str, Query(max_length=256)] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        details: bool = False,
    ) -> models.Names:
        """A page of the experiments, with where each stands when `details` is asked for.

        One that another process drives has the state `driven elsewhere`, one that cannot be opened
        `unavailable`; these rows have `name`, `study`, `state` and `message` alone.
        """
        return await threads.patient(_listed, service, after, limit, details)

    @router.get("/experiments/{name}")
    async def show(name: Name) -> dict[str, Any]:
        """Where the experiment stands."""
        found: dict[str, Any] = await threads.quick(using, views.summary, name)
        return found

    @router.delete("/experiments/{name}", status_code=204)
    async def delete(name: Name) -> Response:
        """Delete the experiment with all its results."""
        await threads.patient(service.delete, name)
        return Response(status_code=204)

    @router.post("/experiments/{name}/ask")
    async def ask(name: Name, body: models.Ask | None = None, key: Key = None) -> models.Asked:
        """Trials to run, this client's alone while the lease lasts; the same key, the same ones."""
        return await threads.patient(using, _ask, name, body or models.Ask(), key)

    @router.post("/experiments/{name}/trials/{number}/tell")
    async def tell(name: Name, number: Number, body: models.Tell, _: Key = None) -> models.Told:
        """End a trial. The same content again changes nothing (200); another one is 409.

        An `Idempotency-Key` is accepted and changes nothing: the content decides.
        """
        first = await threads.quick(
            using, lambda experiment: experiment.tell(number, _ending(body), body.lease), name
        )
        return models.Told(number=number, repeated=not first)

    @router.post("/experiments/{name}/trials/{number}/heartbeat")
    async def heartbeat(name: Name, number: Number, body: models.Heartbeat) -> models.Renewed:
        """Begin the lease's time anew."""
        left = await threads.quick(
            using, lambda experiment: experiment.heartbeat(number, body.lease), name
        )
        return models.Renewed(lease_s=left)

    @router.post("/experiments/{name}/trials/{number}/report")
    async def report(name: Name, number: Number, body: models.Report) -> models.Advice:
        """Keep an intermediate value, and hear whether to prune."""
        prune = await threads.quick(
            using, lambda experiment: experiment.report(number, body.step, body.value), name
        )
        return models.Advice(prune=prune)

    @router.post("/experiments/{name}/trials", status_code=201)
    async def append(name: Name, body: models.Append, key: Key = None) -> models.Appended:
        """Tell results without an ask, one or many; the same key and results again count once."""
        entries = [(dict(result.params), _ending(result)) for result in body.results]
        numbers = await threads.patient(
            using, lambda experiment: experiment.append(entries, key), name
        )
        return models.Appended(numbers=numbers)

    @router.get("/experiments/{name}/trials")
    async def trials(
        name: Name,
        first: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> list[dict[str, Any]]:
        """The trials from a number on."""
        found: list[dict[str, Any]] = await threads.quick(using, views.trials, name, first, limit)
        return found

    @router.get("/experiments/{name}/trials/{number}")
    async def trial(name: Name, number: Number) -> dict[str, Any]:
        """One trial."""
        found: dict[str, Any] = await threads.quick(
            using, lambda e: views.trial_view(e, e.trial(number)), name
        )
        return found

    @router.get("/experiments/{name}/best")
    async def best(name: Name) -> dict[str, Any]:
        """The best trial that keeps its constraints; of several directions the first of the front.

        404 while no trial has succeeded.
        """
        found: list[dict[str, Any]] = await threads.quick(using, views.best, name)
        if not found:
            raise NotFoundError(f"No trial of '{name}' has succeeded yet.")
        return found[0]

    @router.get("/experiments/{name}/front")
    async def front(name: Name) -> list[dict[str, Any]]:
        """The Pareto front."""
        found: list[dict[str, Any]] = await threads.quick(using, views.best, name)
        return found

    @router.get("/experiments/{name}/importance")
    async def importance(name: Name) -> dict[str, float]:
        """What each tunable has to do with a first value among the best (PED-ANOVA)."""
        found: dict[str, float] = await threads.patient(using, views.importance, name)
        return found

    @router.get("/experiments/{name}/plot", response_class=HTMLResponse)
    async def plot(
        name: Name,
        type: Literal[
            "tunable_importance",
            "optimization_history",
            "slice",
            "parallel_coordinate",
            "pareto_front",
        ] = "optimization_history",
        theme: plots.Theme = "light",
    ) -> HTMLResponse:
        """A plot as a page; from two successes on."""
        return HTMLResponse(await threads.patient(using, plots.plot, name, type, theme))

    @router.post("/experiments/{name}/{verb}")
    async def steer(name: Name, verb: Literal["pause", "resume", "stop"]) -> dict[str, Any]:
        """Pause, resume, or stop for good; what is in clients' hands may still be told."""

        def change(experiment: Any) -> dict[str, Any]:
            experiment.set_state(_FOR_STATE[verb])
            return views.summary(experiment)

        found: dict[str, Any] = await threads.quick(using, change, name)
        return found

    @router.get("/experiments/{name}/events", response_class=StreamingResponse)
    async def events(name: Name) -> StreamingResponse:
        """Server-sent events: the summary whenever it has changed, until the experiment ends."""
        first = await threads.quick(using, views.summary, name)

        async def stream() -> AsyncIterator[bytes]:
            told, quiet = first, 0.0
            yield _event(told)
            while told["state"] not in ("finished", "stopped") and not service.ending.is_set():
                await asyncio.sleep(_LOOK_S)
                try:
                    now = await threads.quick(using, views.summary, name)
                except NotFoundError:
                    yield b"event: deleted\ndata: {}\n\n"
                    return
                quiet += _LOOK_S
                if now != told:
                    told, quiet = now, 0.0
                    yield _event(told)
                elif quiet >= _SILENCE_S:
                    quiet = 0.0
                    yield b": still here\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")

    return router


async def _known_parameters(request: Request) -> None:
    """Refuse query parameters that the route does not have, or that stand twice."""
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            shown = f"it has {', '.join(known)}" if known else "it has none"
            raise InvalidError(f"query.{name[:80]} is no parameter of {request.url.path}; {shown}.")
        if names.count(name) > 1:
            raise InvalidError(f"query.{name} is given {names.count(name)} times; give it once.")


def _event(summary: dict[str, Any]) -> bytes:
    return b"event: summary\ndata: " + json.dumps(summary).encode() + b"\n\n"


def _create(service: Service, body: models.NewExperiment, key: str | None) -> dict[str, Any]:
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


def _listed(service: Service, after: str, limit: int, details: bool) -> models.Names:
    names = service.names()
    following = [name for name in names if name > after]
    page = following[:limit]
    found = []
    for name in page:
        if not details:
            found.append({"study": name})
            continue
        try:
            with service.use(name) as experiment:
                found.append(views.summary(experiment))
        except NotFoundError:
            continue
        except BenchmarkError as error:
            # The others are listed all the same.
            state = "driven elsewhere" if isinstance(error, ConflictError) else "unavailable"
            title = service.title(name)
            found.append({"name": title, "study": name, "state": state, "message": str(error)})
    more = page[-1] if len(following) > limit else None
    return models.Names(experiments=found, total=len(names), next=more)


def _ask(experiment: Any, body: models.Ask, key: str | None) -> models.Asked:
    lease_s = "own" if body.lease_s is None else body.lease_s
    try:
        given = experiment.ask(body.count, key, lease_s)
    except PausedError:
        return models.Asked(trials=[], state="paused")
    except FinishedError:
        state = experiment.state
        return models.Asked(trials=[], state="stopped" if state == "stopped" else "finished")
    trials = [models.GivenTrial(**views.given_view(one)) for one in given]
    return models.Asked(trials=trials, state="running")


def _ending(body: models.Outcome) -> Ending:
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
