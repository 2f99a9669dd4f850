"""The classic API over REST: its routes, of plain text and JSON without a schema."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.classic import contract, phrases
from benchmark.hpo.service.classic.checks import is_empty
from benchmark.hpo.service.classic.contract import PhraseError
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web import bodies, pages
from benchmark.hpo.service.web.threads import Threads

_log = logging.getLogger("benchmark.hpo.service")


def add_routes(app: FastAPI, service: Service, threads: Threads) -> None:
    """The operations, plots, health and the plain list of experiments, at their classic paths."""

    async def post(request: Request) -> Response:
        body = _parsed(request, await request.body())
        return PlainTextResponse(await threads.patient(contract.post, service, body))

    async def get(request: Request) -> Response:
        name, number = _parameters(request, "experiment_name", "trial_number")
        if not re.fullmatch("-?[0-9]{1,18}", number):
            raise PhraseError(phrases.NO_INTEGER)
        run = threads.quick if service.is_open(name) else threads.patient
        found = await run(contract.configuration, service, name, int(number))
        return JSONResponse(found)

    async def plot(request: Request) -> Response:
        (name,) = _parameters(request, "experiment_name")
        kind = request.query_params.get("type", "tunable_importance")
        return HTMLResponse(await threads.patient(contract.plot, service, name, kind))

    async def health(_: Request) -> Response:
        try:
            await threads.quick(service.check)
        except BenchmarkError as error:
            _log.warning("Not healthy: %s", error)
            return PlainTextResponse(phrases.UNAVAILABLE, 503)
        return PlainTextResponse("OK")

    async def ready(request: Request) -> Response:
        if service.ending.is_set():
            return PlainTextResponse(phrases.UNAVAILABLE, 503)
        return await health(request)

    async def listed(_: Request) -> Response:
        return HTMLResponse(pages.listing(await threads.quick(service.names)))

    app.add_route("/experiment_trials", post, methods=["POST"])
    app.add_route("/experiment_trials", get, methods=["GET"])
    app.add_route("/plot", plot, methods=["GET"])
    app.add_route("/health", health, methods=["GET"])
    app.add_route("/ready", ready, methods=["GET"])
    app.add_route("/listexperiments", listed, methods=["GET"])


def _parsed(request: Request, body: bytes) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise PhraseError(phrases.CONTENT_TYPE)
    try:
        return bodies.parse(body)
    except bodies.BodyError as error:
        raise PhraseError(phrases.NO_JSON + error.msg) from None


def _parameters(request: Request, *names: str) -> list[str]:
    missing = [name for name in names if name not in request.query_params]
    if missing:
        raise PhraseError(phrases.MISSING + ", ".join(missing))
    found = [request.query_params[name] for name in names]
    if any(is_empty(value) or value == "null" for value in found):
        raise PhraseError(phrases.EMPTY)
    return found
