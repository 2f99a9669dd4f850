"""The study dashboard: optuna-dashboard on the storage of one study, for this machine only."""

from __future__ import annotations

import argparse
import contextlib
from wsgiref.simple_server import WSGIServer

from benchmark.cli.output import notice
from benchmark.cli.session import loaded_configuration, stored_studies
from benchmark.errors import BenchmarkError
from benchmark.hpo.driver import study_list
from benchmark.hpo.study import dashboard as served
from benchmark.hpo.study.store import study_names


def dashboard(options: argparse.Namespace) -> int:
    """Serve the dashboard until Ctrl-C."""
    host = options.host
    if options.storage is not None:
        if options.study is not None:
            raise BenchmarkError("Give a study or --storage, which shows all of a database.")
        with served.server_of_all(options.storage, host, options.port) as server:
            notice(f"All studies at http://{host}:{server.server_port}/dashboard (Ctrl-C ends it)")
            _serve(server)
        return 0
    store = stored_studies(loaded_configuration(options).values)
    name = options.study
    if name is None:
        names = study_names(store)
        if not names:
            raise BenchmarkError(f"There are no studies in {store.url}; start one with tune FILE.")
        if len(names) != 1:
            raise BenchmarkError(
                f"Name the study: dashboard NAME; {store.url} has {', '.join(names)}."
            )
        name = names[0]
    run, definition = study_list.opened(store, name)
    with served.server(run, definition, host, options.port) as server:
        place = f"http://{host}:{server.server_port}{server.page}"
        notice(f"Study '{name}' at {place} (Ctrl-C ends it)")
        _serve(server)
    return 0


def _serve(server: WSGIServer) -> None:
    """Serve until Ctrl-C, which is how it ends."""
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
