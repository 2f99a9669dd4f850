"""A server: the HTTP application with its guard, the gRPC wire beside it, from start to end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.backends.store import MemoryBackend, StoreBackend
from benchmark.hpo.service.core.backend import CONNECTIONS, Backend
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web import traces
from benchmark.hpo.service.web.guard import (
    RATE,
    Guard,
    Right,
    TokenError,
    is_loopback,
    read_again,
    read_tokens,
)
from benchmark.hpo.service.web.metrics import AccessLog
from benchmark.store import open_store

# A sampler computes in a thread beside those that answer: each step of theirs would wait 5 ms.
_SWITCH_S = 0.0005
_log = logging.getLogger("benchmark.hpo.service")
# Requests under way may end, then what no acknowledged result depends on is cut off.
_GRACE_S, _LAST_S = 4, 9.0
_MOST_FAULTS = 1000


@dataclass(frozen=True)
class Options:
    """How to serve. `grpc_port` None: HTTP only; a port of 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8085
    grpc_port: int | None = 50051
    storage: str | None = None
    connections: int = CONNECTIONS
    token_file: Path | None = None
    insecure: bool = False
    rate: float = RATE
    trusted_proxies: tuple[str, ...] = ()
    access_log: Path | None = None


def backend_of(storage: str | None, store_url: str, connections: int = CONNECTIONS) -> Backend:
    """`memory`, a database's URL, or else journals in the store."""
    if storage == "memory":
        return MemoryBackend()
    if storage is None:
        return StoreBackend(open_store(store_url))
    if "://" not in storage:
        return StoreBackend(open_store(storage))
    from benchmark.hpo.service.backends.database import DatabaseBackend

    return DatabaseBackend(storage, open_store(store_url), connections)


def check(options: Options) -> None:
    """Refuse what would be open to everybody without anybody having said so.

    Raises:
        BenchmarkError: the address is not this machine's own and there is no token file.
    """
    if options.token_file is None and not options.insecure and not is_loopback(options.host):
        raise BenchmarkError(
            f"'{options.host}' can be reached from other machines and there is no --token-file; "
            "give one, listen on 127.0.0.1, or pass --insecure where a network policy guards it."
        )


def serve(options: Options, store_url: str, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way then have 4 s to be finished and answered.

    Raises:
        BenchmarkError: the tokens, the storage or a port cannot be had.
    """
    from benchmark.hpo.service.app import make_app
    from benchmark.hpo.service.web.connections import Limits, Server, most_connections

    check(options)
    traces.check()
    tokens = read_tokens(options.token_file) if options.token_file else None
    listening = _listen(options.host, options.port)
    if traces.is_on():
        traces.follow_databases()
    service = Service(backend_of(options.storage, store_url, options.connections))
    local = tokens is None and not options.insecure
    last = threading.Timer(_LAST_S, _cut_off)
    last.daemon = True

    def on_end() -> None:
        service.ending.set()
        last.start()

    with contextlib.ExitStack() as ended, contextlib.ExitStack() as ending:
        # uvicorn raises the signal again after an end that was in order.
        ended.callback(last.cancel)
        app: Any = Guard(make_app(service, ending.close), tokens, options.rate, local=local)
        if options.access_log is not None:
            app = AccessLog(app, options.access_log)
        most = most_connections(1 if options.grpc_port is None else 2)
        if options.grpc_port is not None:
            from benchmark.hpo.service.classic.grpc_wire import start

            wire, port = start(
                service, options.host, options.grpc_port, tokens, rate=options.rate, most=most
            )
            ending.callback(lambda: wire.stop(grace=2).wait())
            say(f"gRPC: {_shown(options.host)}:{port}")
        if tokens is not None and options.token_file is not None:
            again = partial(_tokens_again, options.token_file, tokens)
            signal.signal(signal.SIGHUP, lambda *_: again())
        signal.signal(signal.SIGTERM, _interrupt)
        with contextlib.suppress(KeyboardInterrupt):
            # Who reads the line may send a signal, which would kill a process that is not ready.
            say(f"HTTP: http://{_shown(options.host)}:{listening.getsockname()[1]}/")
            server = Server(
                app,
                Limits(most=most),
                on_end,
                log_config=None,
                access_log=False,
                server_header=False,
                lifespan="on",
                timeout_graceful_shutdown=_GRACE_S,
                proxy_headers=bool(options.trusted_proxies),
                forwarded_allow_ips=list(options.trusted_proxies),
            )
            sys.setswitchinterval(_SWITCH_S)
            server.run(sockets=[listening])


def _cut_off() -> None:
    """A sampler may compute for minutes; what was acknowledged is in the storage."""
    _log.warning("The server ends with calls under way, which took longer than %g s.", _LAST_S)
    os._exit(0)


def _tokens_again(file: Path, tokens: dict[bytes, Right]) -> None:
    try:
        read_again(file, tokens)
    except TokenError as error:
        _log.error("%s The tokens stay as they were.", error)
    else:
        _log.warning("Read %d tokens from %s.", len(tokens), file)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, for asyncio sets NODELAY on nothing else: answers would wait 40 ms for the ACK.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host.strip("[]"), port))
        # From here on a client waits for the answer in place of being refused.
        listening.listen(2048)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise BenchmarkError(
            f"The port {port} of {host} cannot be had: {reason}; choose another with --port."
        ) from None
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


class Seldom(logging.Filter):
    """Passes the first lines about the same fault in a while, and counts the others."""

    def __init__(
        self, most: int = 5, each_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._most, self._each_s, self._clock = most, each_s, clock
        self._seen: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        fault = (record.name, record.lineno, str(record.msg).partition("\n")[0])
        now = self._clock()
        since, count = self._seen.get(fault, (now, 0))
        if now - since >= self._each_s:
            if count > self._most:
                more = f"; {count - self._most} more like it before"
                record.msg = f"{record.getMessage()}{more}"
                record.args = ()
            since, count = now, 0
        if len(self._seen) > _MOST_FAULTS:
            self._seen.clear()
        self._seen[fault] = (since, count + 1)
        return count < self._most


def quieten() -> None:
    """Log warnings alone, and of many alike a few; a signal to end must not be eaten by a pool."""
    shown = logging.StreamHandler()
    shown.addFilter(Seldom())
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form, handlers=[shown])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
