"""What a server has done: for `/metrics`, in Prometheus' text format (version 0.0.4), and as a log.

Requests and their durations are counted by the route's template, never by an experiment's name.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.core.service import Service
from benchmark.records.results import utc_now

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Requests:
    """Counts of requests by method, route and status. For many threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._counts: dict[tuple[str, str, int], int] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request that was answered."""
        key = (method if method in _METHODS else "other", route, status)
        with self._turn:
            self._counts[key] = self._counts.get(key, 0) + 1
            buckets = self._buckets.setdefault(route, [0] * (len(_BOUNDS_S) + 1))
            buckets[bisect.bisect_left(_BOUNDS_S, seconds)] += 1
            self._seconds[route] = self._seconds.get(route, 0.0) + seconds

    def lines(self) -> Iterator[str]:
        with self._turn:
            counts, seconds = dict(self._counts), dict(self._seconds)
            buckets = {route: list(found) for route, found in self._buckets.items()}
        yield from _head("hpo_http_requests_total", "counter", "Requests that were answered.")
        for (method, route, status), number in sorted(counts.items()):
            labels = f'method="{method}",route="{route}",status="{status}"'
            yield f"hpo_http_requests_total{{{labels}}} {number}"
        name = "hpo_http_request_duration_seconds"
        yield from _head(name, "histogram", "From the head of a request to its whole answer.")
        for route, found in sorted(buckets.items()):
            bounds = [*map(str, _BOUNDS_S), "+Inf"]
            for bound, number in zip(bounds, itertools.accumulate(found), strict=True):
                yield f'{name}_bucket{{route="{route}",le="{bound}"}} {number}'
            yield f'{name}_sum{{route="{route}"}} {seconds[route]:.6f}'
            yield f'{name}_count{{route="{route}"}} {sum(found)}'


class Observer:
    """An ASGI application before another one, which is called at the end of each request."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sent(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            self.ended(scope, status, time.perf_counter() - started)

    def ended(self, scope: Any, status: int, took_s: float) -> None:
        """Record a request; its status is 500 where it got no answer."""
        raise NotImplementedError


class Metered(Observer):
    """Counts requests by route."""

    def __init__(self, app: Any, requests: Requests) -> None:
        super().__init__(app)
        self._requests = requests

    def ended(self, scope: Any, status: int, took_s: float) -> None:
        # Of other paths than those that are served there are as many as clients think of.
        known = scope["path"] if status < 300 else "other"
        route = getattr(scope.get("route"), "path", known)
        self._requests.count(scope["method"], route, status, took_s)


def text(service: Service, requests: Requests) -> str:
    """The whole page; trials are those of the experiments that this server has open."""
    counts = service.open_counts()
    asked, ended = sum(one.asked for one in counts), sum(one.told for one in counts)
    gauges = (
        ("hpo_experiments_open", "Experiments that this server has in memory.", len(counts)),
        ("hpo_trials_asked", "Trials given out, of open experiments.", asked),
        ("hpo_trials_told", "Trials that were told, of open experiments.", ended),
        ("hpo_trials_leased", "Trials in clients' hands, of open experiments.", asked - ended),
    )
    lines: list[str] = []
    for name, what, value in gauges:
        lines += [*_head(name, "gauge", what), f"{name} {value}"]
    return "".join(f"{line}\n" for line in (*lines, *requests.lines()))


def _head(name: str, kind: str, what: str) -> Iterator[str]:
    yield f"# HELP {name} {what}"
    yield f"# TYPE {name} {kind}"


class AccessLog(Observer):
    """A line of JSON for each request that was answered, or refused, in a file; `-` for stderr.

        {"time": "…", "client": "10.0.0.7", "token": "5f0c2a91", "method": "POST",
         "path": "/v1/experiments/mine/ask", "status": 200, "ms": 3.1}

    `token` is the beginning of the token's SHA-256, so that it shows who changed what without the
    token. Bodies, queries and headers are not logged. A file that is renamed or removed is opened
    again under its name, as logrotate expects.
    """

    def __init__(self, app: Any, file: Path) -> None:
        super().__init__(app)
        try:
            handler = (
                logging.StreamHandler(sys.stderr)
                if str(file) == "-"
                else WatchedFileHandler(file, encoding="utf-8")
            )
        except OSError as error:
            raise BenchmarkError(
                f"The access log {file} cannot be written: {error.strerror}."
            ) from None
        self._log = logging.Logger("access")
        self._log.addHandler(handler)

    def ended(self, scope: Any, status: int, took_s: float) -> None:
        line = {
            "time": utc_now(),
            "client": (scope.get("client") or ("",))[0],
            "token": _shown(dict(scope["headers"]).get(b"authorization", b"")),
            "method": scope["method"],
            "path": scope["path"],
            "status": status,
            "ms": round(1e3 * took_s, 1),
        }
        self._log.info(json.dumps(line))


def _shown(authorization: bytes) -> str | None:
    """The beginning of a token's hash; None without a token."""
    _, _, token = authorization.partition(b" ")
    return hashlib.sha256(token.strip()).hexdigest()[:8] if token.strip() else None
