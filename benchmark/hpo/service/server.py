"""A server: the HTTP application with its guard, the gRPC wire beside it, from start to end."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.service.guard import RATE, Guard, is_loopback, read_tokens
from benchmark.hpo.service.homes import DatabaseHome, Home, MemoryHome, StoreHome
from benchmark.hpo.service.service import Service
from benchmark.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable


# A sampler computes in a thread beside those that answer: each step of theirs would wait 5 ms.
_SWITCH_S = 0.0005


class ServeError(BenchmarkError):
    """The server cannot start."""


@dataclass(frozen=True)
class Options:
    """How to serve. `grpc_port` None: HTTP only; a port of 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8085
    grpc_port: int | None = 50051
    storage: str | None = None
    token_file: Path | None = None
    insecure: bool = False
    rate: float = RATE


def home_of(storage: str | None, store_url: str) -> Home:
    """`memory`, a database's URL, or else journals in the store."""
    if storage == "memory":
        return MemoryHome()
    if storage is None:
        return StoreHome(open_store(store_url))
    if "://" not in storage:
        return StoreHome(open_store(storage))
    return DatabaseHome(storage, open_store(store_url))


def check(options: Options) -> None:
    """Refuse what would be open to everybody without anybody having said so.

    Raises:
        ServeError: the address is not this machine's own and there is no token file.
    """
    if options.token_file is None and not options.insecure and not is_loopback(options.host):
        raise ServeError(
            f"'{options.host}' can be reached from other machines and there is no --token-file; "
            "give one, listen on 127.0.0.1, or say --insecure where a network policy guards it."
        )


def serve(options: Options, store_url: str, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; what is under way then is finished and answered.

    Raises:
        BenchmarkError: the tokens, the storage or a port cannot be had.
    """
    import uvicorn

    from benchmark.hpo.service.rest import make_app

    check(options)
    tokens = read_tokens(options.token_file) if options.token_file else None
    listening = _listen(options.host, options.port)
    service = Service(home_of(options.storage, store_url))
    local = tokens is None and not options.insecure
    with contextlib.ExitStack() as ending:
        app = Guard(make_app(service, ending.close), tokens, options.rate, local=local)
        if options.grpc_port is not None:
            from benchmark.hpo.service.grpc_wire import start

            wire, port = start(service, options.host, options.grpc_port, tokens, options.rate)
            ending.callback(lambda: wire.stop(grace=5).wait())
            say(f"gRPC: {_shown(options.host)}:{port}")
        say(f"HTTP: http://{_shown(options.host)}:{listening.getsockname()[1]}/")
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_keep_alive=75,
            timeout_graceful_shutdown=30,
            http="httptools",
        )
        sys.setswitchinterval(_SWITCH_S)
        signal.signal(signal.SIGTERM, _interrupt)
        # uvicorn raises the signal anew after an end that was in order.
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


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
        raise ServeError(
            f"The port {port} of {host} cannot be had: {reason}; choose another with --port."
        ) from None
    return listening


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def quieten() -> None:
    """Optuna tells every study on standard error; a signal to end must not be eaten by a pool."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
