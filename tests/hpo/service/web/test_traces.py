"""Requests, asks, tells and statements as OpenTelemetry's spans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from benchmark.errors import BenchmarkError
from benchmark.hpo import Client
from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.database import DatabaseBackend
from benchmark.hpo.service.core.service import Service
from benchmark.hpo.service.web import traces
from prove.rows import until

EXPERIMENT: dict[str, Any] = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
    "algorithm": "random",
}
ASK = "POST /v1/experiments/{name}/ask"
TELL = "POST /v1/experiments/{name}/trials/{number}/tell"


@pytest.fixture
def exported() -> Iterator[tuple[InMemorySpanExporter, TracerProvider]]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.follow_databases(provider)
    yield exporter, provider
    for instrumentor in (PsycopgInstrumentor(), SQLite3Instrumentor()):
        instrumentor.uninstrument()
    provider.shutdown()


def test_statements_are_within_their_requests(
    exported: tuple[InMemorySpanExporter, TracerProvider], tmp_path: Path
) -> None:
    exporter, provider = exported
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader])
    service = Service(DatabaseBackend(f"sqlite:///{tmp_path}/s.db", None))
    app = make_app(
        service, telemetry={"tracer_provider": provider, "meter_provider": meters, "logs": False}
    )
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with TestClient(app) as http:
        http.post("/v1/experiments", json=EXPERIMENT | {"name": "team/one"})
        at = "/v1/experiments/team%2Fone"
        http.post(f"{at}/ask", json={}, headers={"traceparent": caller})
        http.post(f"{at}/trials/0/tell", json={"value": 1})
        http.post(f"{at}/trials/0/tell", json={"value": "high"})
        http.get(f"{at}/trials/7")
    spans = exporter.get_finished_spans()
    requests: dict[str, list[ReadableSpan]] = {}
    for span in spans:
        if span.kind.name == "SERVER":
            requests.setdefault(span.name, []).append(span)
    codes = {n: [_of(s, "http.response.status_code") for s in f] for n, f in requests.items()}
    assert codes == {
        "POST /v1/experiments": [201],
        ASK: [200],
        TELL: [200, 422],
        "GET /v1/experiments/{name}/trials/{number}": [404],
    }
    (ask,) = requests[ASK]
    assert f"{ask.context.trace_id:032x}" == caller.split("-")[1]
    for request in (ask, requests[TELL][0]):
        assert _of(request, "http.route") in request.name
        inner = [
            span for span in spans if span.parent and span.parent.span_id == request.context.span_id
        ]
        assert any("INSERT INTO study_journal_rows" in str(dict(s.attributes)) for s in inner)
    data = reader.get_metrics_data()
    points = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.request.duration"
        for point in metric.data.data_points
    ]
    assert {"/v1/experiments/{name}/ask"} <= {
        point.attributes.get("http.route") for point in points
    }
    meters.shutdown()


def _of(span: ReadableSpan, name: str) -> Any:
    assert span.attributes is not None
    return span.attributes[name]


def test_the_variables_turn_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("", *(f"_{signal}" for signal in traces.SIGNALS)):
        monkeypatch.delenv(f"OTEL_EXPORTER_OTLP{name}_ENDPOINT", raising=False)
    assert not any(traces.settings().values())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")
    assert traces.settings()["auto_configure"]
    traces.check()
    monkeypatch.setattr(traces, "_NEEDED", ("no_such_module.at_all",))
    with pytest.raises(BenchmarkError, match=r"\[otel\]"):
        traces.check()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    traces.check()
    assert not traces.is_on()


@pytest.mark.integration
def test_a_server_exports_to_a_collector(
    serve: Callable[..., Any], postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: set[str] = set()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces" and "content-encoding" not in self.headers:
                sent = ExportTraceServiceRequest.FromString(body)
                for resource in sent.resource_spans:
                    found.update(s.name for one in resource.scope_spans for s in one.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{collector.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        server = serve("--no-grpc", "--storage", postgres)
        experiment = Client(server.url).create("e", **EXPERIMENT)
        (trial,) = experiment.ask()
        trial.tell(1.0)
        until(lambda: {ASK, TELL} <= found, "the spans", 60)
        until(lambda: any(name.startswith("INSERT") for name in found), "statements", 60)
        collector.shutdown()
