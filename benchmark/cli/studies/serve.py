"""serve: run the HPO service; serve client: send one request to it over gRPC."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmark.cli.output import notice
from benchmark.cli.session import loaded_configuration
from benchmark.config.extras import install
from benchmark.errors import BenchmarkError


def serve(options: argparse.Namespace) -> int:
    """Serve until stopped, or run one verb of the gRPC client."""
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
        from benchmark.cli.studies.service_client import client

        return client(options)
    from benchmark.hpo.service.server import Options, quieten
    from benchmark.hpo.service.server import serve as run

    quieten()
    service_options = Options(
        host=options.host,
        port=options.port,
        grpc_port=None if options.no_grpc else options.grpc_port,
        storage=options.storage,
        connections=options.connections,
        token_file=Path(options.token_file) if options.token_file else None,
        insecure=options.insecure,
        rate=options.rate,
        trusted_proxies=tuple(options.trusted_proxy),
        access_log=Path(options.access_log) if options.access_log else None,
    )
    run(service_options, loaded_configuration(options).values.store_url, notice)
    return 0
