"""The modern API: `/v1`, typed, with leases, idempotency keys, budgets and events."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse

from benchmark.files.value_faults import OWN
from benchmark.hpo.service.core import views
from benchmark.hpo.service.core.errors import (
    InvalidError,
    NotFoundError,
)
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.core.terms import SLASH
from benchmark.hpo.service.v1 import answers, models
from benchmark.hpo.service.v1.ask_tell import KEY, LONGEST_KEY, AskTell
from benchmark.hpo.service.web import plots
from benchmark.hpo.service.web.bodies import BodyRoute
from benchmark.hpo.service.web.threads import Threads

Name = Annotated[
    str,
    Path(max_length=256, description="the experiment's name, or its study's; a slash is %2F"),
    AfterValidator(lambda name: name.replace(SLASH, "/")),
]


def _as_json(words: str, pattern: str) -> BeforeValidator:
    """Take a parameter as JSON writes the value: pydantic would read `1_0`, `+1` and `yes`, too."""

    def check(text: Any) -> Any:
        if isinstance(text, str) and not re.fullmatch(pattern, text):
            raise PydanticCustomError(OWN, words)
        return text

    return BeforeValidator(check)


_WHOLE = _as_json("a whole number", "-?(0|[1-9][0-9]*)")
_Number = Annotated[int, Field(ge=0, le=2**31 - 1), _WHOLE]
_Thousand = Annotated[int, Field(ge=1, le=1000), _WHOLE]
_TenThousand = Annotated[int, Field(ge=1, le=10_000), _WHOLE]
_Flag = Annotated[bool, _as_json("true or false", "true|false")]
Number = Annotated[_Number, Path()]
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=1, max_length=LONGEST_KEY, pattern=KEY),
]
# The schema by its name: as a model FastAPI would build it for every code of every route.
_REFUSAL = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"content": _REFUSAL, "description": text}
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
State = Literal["running", "paused", "stopped", "finished", "driven elsewhere", "unavailable"]
_MEDIA = {"csv": "text/csv", "json": "application/json", "env": "text/plain"}
_LOOK_S = 0.5
_SILENCE_S = 15.0
_FOR_STATE = {"pause": "paused", "resume": "running", "stop": "stopped"}


def routes(service: Service, threads: Threads, calls: AskTell) -> APIRouter:  # noqa: PLR0915
    """The routes over a service."""
    router = APIRouter(
        prefix="/v1",
        generate_unique_id_function=lambda route: route.name,
        responses=_REFUSALS,
        dependencies=[Depends(_known_parameters)],
        route_class=BodyRoute,
    )

    def using(call: Any, name: str, *arguments: Any) -> Any:
        with service.use(name) as experiment:
            return call(experiment, *arguments)

    async def use(call: Any, name: str, *arguments: Any) -> Any:
        return await calls.in_thread(name, using, call, name, *arguments)

    @router.post(
        "/experiments/{name}/ask",
        responses={404: _REFUSALS[404] | {"model": models.Refusal}},
    )
    async def ask(name: Name, body: models.Ask | None = None, key: Key = None) -> models.Asked:
        """Trials to run, this client's alone while the lease lasts; the same key, the same ones."""
        return await calls.ask(name, body or models.Ask(), key)

    @router.post("/experiments/{name}/trials/{number}/tell")
    async def tell(name: Name, number: Number, body: models.Tell, _: Key = None) -> models.Told:
        """End a trial. The same content again changes nothing (200); another one is 409.

        An `Idempotency-Key` is accepted and changes nothing: the content decides.
        """
        return await calls.tell(name, number, body)

    @router.post("/experiments", status_code=201)
    async def create_experiment(body: models.NewExperiment, key: Key = None) -> models.Summary:
        """Found an experiment. The same key and body again answer the one that was founded.

        The same key with another body is 409.
        """
        found = await threads.patient(answers.create, service, body, key)
        return models.Summary(**found)

    @router.get("/experiments")
    async def list_experiments(
        after: Annotated[str, Query(max_length=256)] = "",
        limit: _Thousand = 50,
        details: _Flag = False,
        search: Annotated[str, Query(max_length=256)] = "",
        state: State | None = None,
    ) -> models.Names:
        """A page of the experiments, with where each stands when `details` or a `state` is given.

        `search` is a part of the name, in upper or lower case; `total` counts the names that have
        it. A `state` is looked up in each experiment that follows, until the page is full.

        One that another process drives has the state `driven elsewhere`, one that cannot be opened
        `unavailable`; these rows have `name`, `study`, `state` and `message` alone.
        """
        page = answers.Page(after, limit, details or state is not None, search, state)
        return await threads.patient(answers.listed, service, page)

    @router.get("/experiments/{name}")
    async def get_experiment(name: Name) -> models.Summary:
        """Where the experiment stands."""
        return models.Summary(**await use(views.summary, name))

    @router.patch("/experiments/{name}")
    async def change_experiment(name: Name, body: models.Changes) -> models.Summary:
        """Change budgets, trials at once, the lease of later asks, or facts.

        A larger budget lets an experiment go on that had used its own up.
        """

        def changed(experiment: Any) -> dict[str, Any]:
            experiment.change(body.model_dump(exclude_unset=True))
            return views.summary(experiment)

        return models.Summary(**await threads.patient(using, changed, name))

    @router.delete("/experiments/{name}", status_code=204)
    async def delete_experiment(name: Name) -> Response:
        """Delete the experiment with all its results."""
        await threads.patient(service.delete, name)
        return Response(status_code=204)

    @router.post("/experiments/{name}/trials/{number}/heartbeat")
    async def heartbeat(name: Name, number: Number, body: models.Heartbeat) -> models.Renewed:
        """Begin the lease's time again."""
        left = await use(lambda experiment: experiment.heartbeat(number, body.lease), name)
        return models.Renewed(lease_s=left)

    @router.post("/experiments/{name}/trials/{number}/report")
    async def report(name: Name, number: Number, body: models.Report) -> models.Advice:
        """Keep an intermediate value, and hear whether to prune."""
        prune = await use(lambda experiment: experiment.report(number, body.step, body.value), name)
        return models.Advice(prune=prune)

    @router.post("/experiments/{name}/trials", status_code=201)
    async def add_results(name: Name, body: models.Append, key: Key = None) -> models.Appended:
        """Tell results without an ask, one or many; the same key and results again count once."""
        entries = [(dict(result.params), answers.ending(result)) for result in body.results]
        numbers = await threads.patient(
            using, lambda experiment: experiment.append(entries, key), name
        )
        return models.Appended(numbers=numbers)

    @router.post("/experiments/{name}/enqueue", status_code=201)
    async def enqueue(name: Name, body: models.Points, key: Key = None) -> models.Appended:
        """Have points run next; the same key and points again count once.

        Asks give them out in this order before what the sampler suggests. They count towards the
        budget of trials when they are asked.
        """
        numbers = await threads.patient(
            using, lambda experiment: experiment.enqueue(body.points, key), name
        )
        return models.Appended(numbers=numbers)

    @router.get(
        "/experiments/{name}/export",
        response_class=PlainTextResponse,
        responses={200: {"content": {kind: {"schema": {}} for kind in _MEDIA.values()}}},
    )
    async def export(name: Name, format: Literal["csv", "json", "env"] = "csv") -> Response:
        """All trials as CSV or JSON, or the best one's tunables as lines NAME=value.

        `env` answers 404 while no trial has succeeded, and 409 with several directions.
        """
        found = await threads.patient(using, views.exported, name, format)
        return Response(found, media_type=_MEDIA[format])

    @router.get("/experiments/{name}/trials")
    async def list_trials(
        name: Name,
        first: _Number = 0,
        limit: _TenThousand = 1000,
        status: models.Status | None = None,
    ) -> list[models.Trial]:
        """At most `limit` trials from the number `first` on, of one `status` or of any."""
        found = await use(views.trials, name, first, limit, status)
        return [models.Trial(**trial) for trial in found]

    @router.get("/experiments/{name}/trials/{number}")
    async def get_trial(name: Name, number: Number) -> models.Trial:
        """One trial."""
        found = await use(lambda e: views.trial_view(e, e.trial(number)), name)
        return models.Trial(**found)

    @router.patch("/experiments/{name}/trials/{number}")
    async def set_attributes(name: Name, number: Number, body: models.Attributes) -> models.Trial:
        """Set attributes of a trial, finished or not."""

        def annotated(experiment: Any) -> dict[str, Any]:
            experiment.annotate(number, body.attributes)
            return views.trial_view(experiment, experiment.trial(number))

        return models.Trial(**await use(annotated, name))

    @router.delete("/experiments/{name}/trials/{number}", status_code=204)
    async def delete_trial(name: Name, number: Number) -> Response:
        """Delete a trial that has ended or is queued; while it is running 409.

        No later trial gets its number. One more may be asked in its place; its cost stays counted.
        """
        await use(lambda experiment: experiment.delete_trial(number), name)
        return Response(status_code=204)

    @router.get("/experiments/{name}/best")
    async def get_best(name: Name) -> models.Trial:
        """The best trial that keeps its constraints; of several directions the first of the front.

        404 while no trial has succeeded.
        """
        found = await use(views.best, name)
        if not found:
            raise NotFoundError(f"No trial of '{name}' has succeeded yet.")
        return models.Trial(**found[0])

    @router.get("/experiments/{name}/front")
    async def get_front(name: Name) -> list[models.Trial]:
        """The Pareto front."""
        return [models.Trial(**t) for t in await use(views.best, name)]

    @router.get("/experiments/{name}/importance")
    async def get_importance(name: Name) -> dict[str, float]:
        """What each tunable has to do with a first value among the best (PED-ANOVA)."""
        found: dict[str, float] = await threads.patient(using, views.importance, name)
        return found

    @router.get(
        "/experiments/{name}/plot",
        response_class=HTMLResponse,
        responses={200: {"content": {_MEDIA["json"]: {"schema": {"type": "object"}}}}},
    )
    async def get_plot(
        name: Name,
        type: Literal[
            "tunable_importance",
            "optimization_history",
            "slice",
            "parallel_coordinate",
            "pareto_front",
        ] = "optimization_history",
        theme: plots.Theme = "light",
        format: Literal["html", "json"] = "html",
    ) -> Response:
        """A plot as a page, or as JSON for plotly; from two successes on."""
        if format == "json":
            found = await threads.patient(using, plots.figure, name, type, theme)
            return Response(found, media_type=_MEDIA["json"])
        return HTMLResponse(await threads.patient(using, plots.plot, name, type, theme))

    @router.post("/experiments/{name}/{verb}")
    async def steer(name: Name, verb: Literal["pause", "resume", "stop"]) -> models.Summary:
        """Pause, resume, or stop for good; what is in clients' hands may still be told."""

        def change(experiment: Any) -> dict[str, Any]:
            experiment.set_state(_FOR_STATE[verb])
            return views.summary(experiment)

        return models.Summary(**await use(change, name))

    @router.get("/experiments/{name}/events", response_class=StreamingResponse)
    async def follow_events(name: Name) -> StreamingResponse:
        """Server-sent events: the summary whenever it has changed, until the experiment ends."""
        first = await use(views.summary, name)

        async def stream() -> AsyncIterator[bytes]:
            last, quiet = first, 0.0
            yield _event(last)
            while last["state"] not in ("finished", "stopped") and not service.ending.is_set():
                await asyncio.sleep(_LOOK_S)
                try:
                    now = await use(views.summary, name)
                except NotFoundError:
                    yield b"event: deleted\ndata: {}\n\n"
                    return
                quiet += _LOOK_S
                if now != last:
                    last, quiet = now, 0.0
                    yield _event(last)
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
