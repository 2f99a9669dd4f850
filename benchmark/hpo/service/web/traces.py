"""OpenTelemetry: requests as spans and metrics, statements of databases as spans within them.

FastAPI's own instrumentation makes and exports them, configured by the standard variables: it is on
where OTEL_EXPORTER_OTLP_ENDPOINT, or the variable of one signal, names a collector.
"""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from benchmark.config.extras import install
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

SIGNALS = ("TRACES", "METRICS", "LOGS")
_NEEDED = ("opentelemetry.exporter.otlp.proto.http", "opentelemetry.instrumentation.psycopg")


def is_on() -> bool:
    """Whether the environment names a collector."""
    names = ["OTEL_EXPORTER_OTLP_ENDPOINT", *(f"OTEL_EXPORTER_OTLP_{s}_ENDPOINT" for s in SIGNALS)]
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    return not disabled and any(os.environ.get(name) for name in names)


def check() -> None:
    """Refuse to serve without what was configured.

    Raises:
        BenchmarkError: the extra is not installed.
    """
    if is_on() and not all(map(_is_installed, _NEEDED)):
        raise BenchmarkError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry's exporter is not installed; "
            f"run `{install('otel')}`, or unset it."
        )


def settings() -> TelemetryConfig:
    """What FastAPI records. It exports by OTLP over HTTP, from the start of the server on."""
    on = is_on()
    return {
        "tracing": on,
        "metrics": on,
        "logs": on,
        "operation_spans": False,
        "auto_configure": on,
    }


def follow_databases(provider: Any = None) -> None:
    """Trace the statements of connections that are opened from now on."""
    from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    for instrumentor in (PsycopgInstrumentor(), SQLite3Instrumentor()):
        instrumentor.instrument(tracer_provider=provider)


def name_route(scope: Any, route: str) -> None:
    """Name the span of a request that does not reach FastAPI's routes."""
    telemetry = scope.get("fastapi.telemetry")
    if telemetry is not None:
        telemetry.route = route
        if telemetry.span is not None:
            telemetry.span.update_name(f"{scope['method']} {route}")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
