"""The study dashboard: optuna-dashboard on the storage of one study, for this machine only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.cli.output import notice
from benchmark.cli.session import loaded_configuration, stored_studies
from benchmark.errors import BenchmarkError
from benchmark.hpo import dashboard as served
from benchmark.hpo import listing
from benchmark.hpo.study import study_names

if TYPE_CHECKING:
    import argparse


def dashboard(options: argparse.Namespace) -> int:
    """Serve it until Ctrl-C."""
    store = stored_studies(loaded_configuration(options).values)
    name = options.study
    if name is None:
        names = study_names(store)
        if not names:
            raise BenchmarkError(f"There are no studies in {store.url}; begin one with tune FILE.")
        if len(names) != 1:
            raise BenchmarkError(
                f"Name the study: dashboard NAME; {store.url} has {', '.join(names)}."
            )
        name = names[0]
    run, definition = listing.opened(store, name)
    with served.server(run, definition, options.port) as server:
        host, port = served.HOST, server.server_port
        notice(f"Study '{name}' at http://{host}:{port}/dashboard (Ctrl-C ends it)")
        server.serve_forever()
    return 0
