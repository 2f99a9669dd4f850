"""optuna-dashboard over a study's storage, on the loopback interface and a port of its own.

It knows no passwords, and whoever reaches it can delete; so nobody but this machine does.
"""

from __future__ import annotations

import socketserver
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from benchmark.errors import BenchmarkError
from benchmark.extras import install
from benchmark.hpo.storage import open_storage
from benchmark.hpo.study import journal_path

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.tasks import Run

HOST = "127.0.0.1"
PORT = 8080


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A page asks every few seconds; a line for each would bury what matters."""


def server(run: Run, definition: StudyDefinition, port: int = PORT) -> WSGIServer:
    """A server that is bound and not yet serving; port 0 takes any that is free.

    Raises:
        BenchmarkError: the package is missing, the study has no storage here, or the port is taken.
    """
    try:
        import optuna_dashboard
    except ImportError:
        raise BenchmarkError(
            "The dashboard needs the package optuna-dashboard, which is not installed; install "
            f"the extra 'dashboard': {install('dashboard')}"
        ) from None
    place = definition.storage or journal_path(run.store, run.name)
    if "://" not in place and not Path(place).is_file():
        raise BenchmarkError(
            f"Optuna's file of '{definition.name}' is not on this machine at {place}; "
            f"`tune --resume {definition.name}` makes it again from the records."
        )
    app = optuna_dashboard.wsgi(open_storage(place))
    try:
        return make_server(HOST, port, app, server_class=_Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchmarkError(
            f"Port {port} cannot be had: {reason}; choose another --port."
        ) from None
