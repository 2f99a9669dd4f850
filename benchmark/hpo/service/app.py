"""The service's HTTP application: the classic routes, and those of `/v1` beside them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Match

from benchmark import __version__
from benchmark.errors import BenchmarkError
from benchmark.files import value_faults
from benchmark.files.spelling import nearest
from benchmark.hpo.service.classic import phrases, routes
from benchmark.hpo.service.core.errors import ServiceError
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.core.terms import SLASH
from benchmark.hpo.service.v1 import answers
from benchmark.hpo.service.v1.ask_tell import AskTell, ShortCut
from benchmark.hpo.service.v1.models import KEYS
from benchmark.hpo.service.v1.routes import routes as v1_routes
from benchmark.hpo.service.web import metrics, pages, plots, traces
from benchmark.hpo.service.web.threads import Threads

_log = logging.getLogger("benchmark.hpo.service")
DESCRIPTION = "Ask for trials, tell how they ended; nothing that was acknowledged is lost."


class SegmentsApart:
    """Keeps the slash of `/v1/experiments/team%2Fone` in its segment, as one sign of the name.

    A server decodes the path before it is matched. The sign is no printable one, which no name has.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw: bytes = scope.get("raw_path") or b""
        if raw.startswith(b"/v1/") and b"%" in raw:
            # As the server decodes a path: bytes that are no UTF-8 become signs of no name.
            parts = (unquote(part.decode("latin-1")) for part in raw.split(b"/"))
            scope = scope | {"path": "/".join(part.replace("/", SLASH) for part in parts)}
        await self._app(scope, receive, send)


def make_app(
    service: Service,
    before_end: Callable[[], None] = lambda: None,
    telemetry: TelemetryConfig | None = None,
) -> FastAPI:
    """The application over a service, which it closes when it ends, after `before_end`.

    `telemetry` is FastAPI's; without it the environment decides.
    """
    threads = Threads()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        threads.close()
        before_end()
        service.close()

    app = FastAPI(
        title="HPO service",
        version=__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        docs_url=None,
        telemetry=traces.settings() if telemetry is None else telemetry,
    )
    requests, calls = metrics.Requests(), AskTell(service, threads)
    app.add_middleware(ShortCut, calls=calls, refuse=_refused)
    app.add_middleware(metrics.Metered, requests=requests)
    app.add_middleware(SegmentsApart)

    async def unreadable(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = _findings(request, error)
        if (request.method, request.url.path) == ("POST", "/v1/experiments"):
            found += await threads.patient(answers.other_faults, error)
        lines = [f"The body has {len(found)} faults:", *(f"- {one}" for one in found)]
        return _said(request, 422, "invalid", found[0] if len(found) == 1 else "\n".join(lines))

    async def measured(_: Request) -> Response:
        text = await threads.quick(metrics.text, service, requests)
        return Response(text, headers={"content-type": metrics.CONTENT_TYPE})

    async def documented(_: Request) -> Response:
        return HTMLResponse(pages.reference(app.openapi()), headers=pages.POLICY)

    app.include_router(v1_routes(service, threads, calls))
    app.add_route("/docs", documented, methods=["GET"])
    app.add_route("/metrics", measured, methods=["GET"])
    routes.add_routes(app, service, threads)
    _pages(app, threads)
    app.add_exception_handler(BenchmarkError, _refused)
    app.add_exception_handler(HTTPException, _no_place)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _failed)
    return app


def _pages(app: FastAPI, threads: Threads) -> None:
    async def home(_: Request) -> Response:
        return HTMLResponse(pages.home(), headers=pages.POLICY)

    async def script(_: Request) -> Response:
        found = await threads.quick(plots.script)
        kept = {"cache-control": "public, max-age=86400"}
        return Response(found, media_type="text/javascript", headers=kept)

    app.add_route("/", home, methods=["GET"])
    app.add_route(plots.SCRIPT, script, methods=["GET"])


async def _refused(request: Request, error: Exception) -> Response:
    """Every fault of ours and of the store, in the words of the wire it came by."""
    status = error.status if isinstance(error, ServiceError) else 503
    if not isinstance(error, ServiceError):
        _log.warning("%s", error)
    closing = {"connection": "close"} if status == 413 else {}
    return _said(request, status, getattr(error, "code", "unavailable"), str(error), **closing)


async def _no_place(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": _allowed(request)})
    if request.url.path.startswith("/v1") and error.status_code in (404, 405):
        if error.status_code == 404:
            text = f"There is nothing at {request.url.path}; /openapi.json has the paths."
            return _said(request, 404, "not_found", text)
        methods = ", ".join(_methods(request))
        text = f"{request.method} is not for {request.url.path}; it takes {methods}."
        return _said(request, 405, "invalid", text, allow=_allowed(request))
    if error.status_code == 405:
        return _said(request, 405, "not_found", phrases.NO_PLACE, allow=_allowed(request))
    if error.status_code == 404:
        return _said(request, 404, "not_found", phrases.NO_PLACE)
    return _said(request, error.status_code, "invalid", str(error.detail))


def _methods(request: Request) -> list[str]:
    """The methods that the path has, over all of its routes."""
    routes = request.app.router.routes
    return [
        method
        for method in ("GET", "POST", "PATCH", "DELETE")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes
        )
    ]


def _allowed(request: Request) -> str:
    """The same with those that every path has for them."""
    methods = _methods(request)
    return ", ".join([*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"])


def _findings(request: Request, error: RequestValidationError) -> list[str]:
    """What is wrong with the request: each value with its place and what to write instead."""
    found = [_finding(fault) for fault in error.errors()[:20]]
    kind = request.headers.get("content-type", "")
    if "json" not in kind and any(fault["loc"] == ("body",) for fault in error.errors()):
        said = f"has the content type {kind[:80]!r}" if kind else "has no content type"
        found = [f"The body {said}; send it with the header 'content-type: application/json'."]
    return list(dict.fromkeys(found))


def _finding(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "json_invalid":
        said = fault["ctx"]["error"]
        if "occurs twice" in said:
            return f"The body has an object in which {said}; remove one of them."
        place = fault["loc"][-1]
        fit = f"is no JSON at character {place}" if place else "cannot be read"
        return f"The body {fit}: {said}; correct it there."
    place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        name = str(fault["loc"][-1])
        near = None if name in KEYS else nearest(name, KEYS)
        return f"{place} is no key; " + (
            "/openapi.json has them." if near is None else f"did you mean '{near}'?"
        )
    if fault["type"] == "missing":
        return f"{place} is missing; add it."
    if fault["type"] == "value_error":
        return f"{place}: {fault['msg'].removeprefix('Value error, ')}."
    return f"{place} is {value_faults.shown(fault['input'])}; {value_faults.correction(fault)}."


async def _gone(_: Request, __: Exception) -> Response:
    """The client has hung up before its body was whole; no one reads this answer."""
    return Response(status_code=400)


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("A request failed", exc_info=error)
    return _said(request, 500, "failed", "The server failed; its log says where.")


def _said(request: Request, status: int, code: str, text: str, **headers: str) -> Response:
    if status == 503:
        headers["retry-after"] = "1"
    if request.url.path.startswith("/v1"):
        return JSONResponse({"error": code, "message": text}, status, headers)
    return PlainTextResponse(text, status, headers)
