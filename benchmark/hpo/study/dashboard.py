"""optuna-dashboard over a study's storage, on the loopback interface and a port of its own.

It knows no passwords, and anyone who reaches it can delete; so no other machine does, unless a
host is named.
"""

from __future__ import annotations

import socketserver
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage

from benchmark.config.extras import install
from benchmark.errors import BenchmarkError
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.hpo.storages.deleted_trials import RemainingTrials
from benchmark.hpo.storages.storage import holds_journals, open_storage, reaching
from benchmark.hpo.study.store import journal_path
from benchmark.records.tasks import Run

HOST = "127.0.0.1"
PORT = 8080


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server of the dashboard; `page` is the path to open."""

    daemon_threads = True
    page = "/dashboard"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A page asks every few seconds; a line for each would bury what matters."""


def server(run: Run, definition: StudyDefinition, host: str = HOST, port: int = PORT) -> Server:
    """A server that is bound and not yet serving; port 0 takes any that is free.

    Raises:
        BenchmarkError: the package is missing, the study has no storage here, or the port is taken.
    """
    place = definition.storage or journal_path(run.store, run.name)
    if "://" not in place and not Path(place).is_file():
        raise BenchmarkError(
            f"Optuna's file of '{definition.name}' is not on this machine at {place}; "
            f"`tune --resume {definition.name}` makes it again from the records."
        )
    storage = open_storage(place, definition.name)
    study_id = storage.get_study_id_from_name(definition.name)
    bound = _bound(lambda: RemainingTrials(storage, study_id), host, port)
    bound.page += f"/studies/{study_id}"
    return bound


def server_of_all(url: str, host: str = HOST, port: int = PORT) -> Server:
    """The same over all studies of a database.

    Raises:
        BenchmarkError: the package is missing, the database cannot be used, or the port is taken.
    """
    if "://" not in url or not holds_journals(url):
        raise BenchmarkError(f"'{url}' is not a database; give postgresql://… or sqlite:///FILE.")
    return _bound(partial(_all_studies, url), host, port)


def _all_studies(url: str) -> BaseStorage:
    from benchmark.hpo.storages.database_studies import DatabaseStudies
    from benchmark.hpo.storages.journal_database import JournalTable, engine_of

    with reaching(url):
        return DatabaseStudies(JournalTable(engine_of(url)))


def _bound(opened: Callable[[], BaseStorage], host: str, port: int) -> Server:
    try:
        import optuna_dashboard
    except ImportError:
        raise BenchmarkError(
            "The dashboard needs the package optuna-dashboard, which is not installed; install "
            f"the extra 'dashboard': {install('dashboard')}"
        ) from None
    app = optuna_dashboard.wsgi(opened())
    try:
        return make_server(host, port, app, server_class=Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchmarkError(
            f"Port {port} of {host} cannot be had: {reason}; choose another --port."
        ) from None
