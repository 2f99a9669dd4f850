"""The command of the HPO service: serve runs it, and serve client speaks to one over gRPC."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.output import notice
from benchmark.cli.session import loaded_configuration
from benchmark.errors import BenchmarkError
from benchmark.extras import install

if TYPE_CHECKING:
    import argparse


def serve(options: argparse.Namespace) -> int:
    """Serve until told to end, or run one verb of the gRPC client."""
    try:
        import uvicorn  # noqa: F401

        if options.what is not None or not options.no_grpc:
            import grpc  # noqa: F401
    except ImportError as error:
        raise BenchmarkError(
            f"The service needs the package {error.name}, which is not installed; install the "
            f"extra 'service': {install('service')}"
        ) from None
    if options.what is not None:
        from benchmark.cli.service_client import client

        return client(options)
    from benchmark.hpo.service.server import Options, quieten
    from benchmark.hpo.service.server import serve as run

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    quieten()
    told = Options(
        host=options.host,
        port=options.port,
        grpc_port=None if options.no_grpc else options.grpc_port,
        storage=options.storage,
        token_file=Path(options.token_file) if options.token_file else None,
        insecure=options.insecure,
        rate=options.rate,
        trusted_proxies=tuple(options.trusted_proxy),
    )
    run(told, loaded_configuration(options).values.store_url, notice)
    return 0
