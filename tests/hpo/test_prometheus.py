"""Metrics of a Prometheus server: a scripted server here, a real one in the integration test."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.objectives.metrics.measured_values import MeasureError
from benchmark.hpo.objectives.metrics.metrics_key import read_prometheus
from benchmark.hpo.objectives.metrics.prometheus import Prometheus, Query, UnreachableError
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.records.results import Cause, Record
from benchmark.store import Store
from prove.seaweed import free_ports
from tests.support.services import scraping
from tests.support.small_studies import shell, with_objective

# A minute that is over, so that nothing is waited for.
WINDOW = (1_700_000_000.0, 1_700_000_060.0)


class Scripted(ThreadingHTTPServer):
    """A server that answers what it is told, and keeps what it was asked."""

    daemon_threads = True
    status = 200
    date: str | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.answers: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    server: Scripted

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        fields = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
        self.server.asked.append(
            {"path": self.path, "auth": self.headers["authorization"], **fields}
        )
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        body = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response_only(self.server.status)
        if self.server.date is not None:
            self.send_header("date", self.server.date)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        thread = threading.Thread(target=scripted.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


def matrix(*series: list[str], names: str = "a") -> dict[str, Any]:
    result = [
        {"metric": {"__name__": "up", "job": f"{names}{n}"}, "values": [[0, v] for v in values]}
        for n, values in enumerate(series)
    ]
    return {"status": "success", "data": {"resultType": "matrix", "result": result}}


def vector(*values: str) -> dict[str, Any]:
    result = [{"metric": {"job": f"a{n}"}, "value": [0, v]} for n, v in enumerate(values)]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def asking(server: Scripted, query: Query, **more: Any) -> Prometheus:
    settings = {"step_s": 10.0, "wait_s": 0.0, "timeout_s": 0.1} | more
    return Prometheus(server.url, {"found": query}, **settings)


@pytest.mark.parametrize(
    ("of", "number"), [("mean", 30.0), ("max", 50.0), ("last", 50.0), ("p50", 30.0), ("count", 5.0)]
)
def test_points_of_the_window(server: Scripted, of: str, number: float) -> None:
    """None of them reaches before the window: the first is two steps after its beginning."""
    server.answers = [matrix(["10", "20", "30", "40", "50"])]
    assert asking(server, Query("up", of)).read(WINDOW) == {"found": number}
    (asked,) = server.asked
    assert asked == {
        "path": "/api/v1/query_range",
        "auth": None,
        "query": "up",
        "start": "1700000020.000",
        "end": "1700000060.000",
        "step": "10",
        "lookback_delta": "20",
    }


def test_once_over_the_whole_window(server: Scripted) -> None:
    server.answers = [vector("7.5")]
    query = Query("sum(increase(requests_total[$window]))")
    assert asking(server, query).read(WINDOW) == {"found": 7.5}
    (asked,) = server.asked
    assert asked["path"] == "/api/v1/query"
    assert asked["query"] == "sum(increase(requests_total[60000ms]))"
    assert asked["time"] == "1700000060.000"
    assert asked["lookback_delta"] == "20"


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("rate(a[30s])", 30),
        ('rate(a{b="[5m]"}[25s:1s] offset 15s)', 60),
        ("max_over_time(rate(a[30s])[25s:5s])", 55),
        ("max_over_time(sum(rate(a[30s] offset 1s)) by (b) [15:5s]) + c[5:1s] # [1h]", 46),
        ("max_over_time((a offset 10s)[25s:5s])", 55),
        ("a + rate(b[40])", 40),
        ("sum(a) by (b) / on (b) group_left (c) sum(a[20s:1s] offset 10s) * 0", 50),
        ("a", 20),
    ],
)
def test_a_range_begins_within_the_window(server: Scripted, text: str, start: int) -> None:
    server.answers = [matrix(["1"] * 9)]
    asking(server, Query(text)).read(WINDOW)
    assert server.asked[0]["start"] == f"{WINDOW[0] + start:.3f}"


def test_missing_points_are_waited_for(server: Scripted) -> None:
    server.answers = [matrix(), matrix(["1"]), matrix(["1"] * 5)]
    assert asking(server, Query("up"), timeout_s=600.0).read(WINDOW) == {"found": 1.0}
    assert len(server.asked) == 3


REFUSED = {"status": "error", "errorType": "bad_data", "error": "parse error: unexpected }"}
FAULTS: list[tuple[str, Any, int, str]] = [
    ("up", matrix(), 200, "'found' found nothing in the window"),
    ("up", matrix(["1"] * 5, ["2"] * 5), 200, 'found 2 series, such as up{job="a0"} and up{job='),
    ("up", matrix(["1", "1", "NaN", "1", "1"]), 200, "found NaN in the window"),
    ("up", matrix(["1", "1", "+Inf", "1", "1"]), 200, "not a finite number"),
    ("up", matrix(["1", "1"]), 200, "has 2 of 5 points in the window"),
    ("up}", REFUSED, 400, "refused the query of 'found': parse error: unexpected }"),
    ("rate(a[5m])", matrix(), 200, "looks back 300 s; use [$window], or measure longer"),
    ("a[$window]", matrix(["1"]), 200, "not a finite number"),
    ('"a$window"', {"status": "success", "data": {"resultType": "string"}}, 200, "is a string"),
]


@pytest.mark.parametrize(("text", "answer", "status", "said"), FAULTS)
def test_what_is_no_number(
    server: Scripted, text: str, answer: Any, status: int, said: str
) -> None:
    server.answers, server.status = [answer], status
    with pytest.raises(MeasureError) as caught:
        asking(server, Query(text)).read(WINDOW)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "status", "date", "said"),
    [
        ({}, 401, None, "refused the queries (401); check $METRICS_TOKEN"),
        ("<html>", 200, None, "answered 200 and not as Prometheus does"),
        ({"status": "error"}, 503, None, "answered 503"),
        (matrix(["1"] * 5), 200, "Tue, 14 Nov 2023 22:13:20 GMT", "clock of http://127.0.0.1"),
    ],
)
def test_a_server_that_cannot_be_used(
    server: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    status: int,
    date: str | None,
    said: str,
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "s3cret")
    server.answers, server.status, server.date = [answer], status, date
    with pytest.raises(UnreachableError) as caught:
        asking(server, Query("up"), bearer="METRICS_TOKEN").read(WINDOW)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "header"), [("bearer", "Bearer me:s3cret"), ("basic", "Basic bWU6czNjcmV0")]
)
def test_authentication(
    server: Scripted, monkeypatch: pytest.MonkeyPatch, kind: str, header: str
) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "me:s3cret")
    server.answers = [matrix(["1"] * 5)]
    asking(server, Query("up"), **{kind: "METRICS_TOKEN"}).read(WINDOW)
    assert server.asked[0]["auth"] == header
    server.answers, server.status = [REFUSED | {"error": "no me:s3cret here"}], 400
    with pytest.raises(MeasureError, match=r"no \$METRICS_TOKEN here"):
        asking(server, Query("up"), **{kind: "METRICS_TOKEN"}).read(WINDOW)


GOOD = {"url": "http://localhost:9090", "queries": {"rps": "rps"}}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"url": "http://localhost"}, "needs a 'url' and 'queries'"),
        (GOOD | {"url": "localhost:9090"}, "has the url 'localhost:9090'"),
        (GOOD | {"url": "http://me:s3cret@host"}, "has a user, a password"),
        (GOOD | {"auth": {"bearer": "eyJ.s3cret"}}, "takes the name of an environment variable"),
        (GOOD | {"auth": {"bearer": "METRICS"}}, "that the objective could read"),
        (GOOD | {"auth": "s3cret"}, "{bearer: VARIABLE}"),
        (GOOD | {"step": "1 GiB"}, "'step' of 'prometheus'"),
        (GOOD | {"step": 0}, "'step' of 'prometheus' is 0"),
        (GOOD | {"queries": {"rps": {"query": "rps", "of": "worst"}}}, "'of' of 'rps'"),
        (GOOD | {"queries": {"rps": {"query": "a[$window]", "of": "max"}}}, "leave 'of' out"),
        (GOOD | {"queries": {"rps": 7}}, "The query of 'rps' is 7"),
        (GOOD | {"urll": 1}, "'urll'"),
    ],
)
def test_faults_of_the_key(entry: Any, said: str) -> None:
    faults: list[str] = []
    assert read_prometheus(entry, faults) is None
    assert said in faults[0]
    assert "s3cret" not in faults[0]


@pytest.fixture
def first(folder_store: Store, tmp_path: Path) -> Callable[..., Record]:
    def run(metrics: dict[str, Any], **objective: Any) -> Record:
        values = with_objective({"metrics": {"prometheus": metrics}, **objective})
        study = Study.begin(folder_store, define(values, tmp_path))
        with Runner(study.run) as runner:
            return runner.execute(study.ask()[0])

    return run


@pytest.mark.parametrize("hooks", [{}, {"prepare": ["true"]}])
def test_a_trial(
    server: Scripted,
    first: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    hooks: dict[str, Any],
) -> None:
    """Its window is when the command ran; nothing that it prints is needed, nor its secret seen."""
    monkeypatch.setenv("METRICS_TOKEN", "s3cret")
    server.answers = [vector("7")]
    metrics = {"url": server.url, "queries": {"rps": "a[$window]"}, "wait": 0}
    began = time.time()
    record = first(
        metrics | {"auth": {"bearer": "METRICS_TOKEN"}},
        command=shell('sleep 0.1; test -z "$METRICS_TOKEN"'),
        **hooks,
    )
    assert record.labels["values"] == [7.0], record.message
    (asked,) = server.asked
    assert asked["auth"] == "Bearer s3cret"
    assert int(asked["query"].removeprefix("a[").removesuffix("ms]")) >= 100
    assert began < float(asked["time"]) < time.time()


def test_a_trial_without_a_server_is_not_run(first: Callable[..., Record]) -> None:
    """Its point is not to blame, so that the trial runs again when the study is resumed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        metrics = {"url": url, "queries": {"a": "a[$window]"}, "wait": 0, "timeout": 0.1}
        record = first(metrics, command=["true"])
    assert record.cause is Cause.INFRASTRUCTURE
    assert f"{url} does not answer" in record.message


def test_a_trial_without_its_secret_does_not_begin(
    first: Callable[..., Record], tmp_path: Path
) -> None:
    auth = {"auth": {"bearer": "NO_SUCH_TOKEN"}}
    record = first(GOOD | auth, command=shell(f"touch {tmp_path / 'ran'}"))
    assert record.cause is Cause.SETUP
    assert "$NO_SUCH_TOKEN" in record.message
    assert not (tmp_path / "ran").exists()


def test_empty_is_a_failure_and_not_pruned(server: Scripted, first: Callable[..., Record]) -> None:
    server.answers = [vector()]
    metrics = {"url": server.url, "queries": {"a": "a[$window]"}, "wait": 0, "timeout": 0.1}
    record = first(metrics, command=["true"])
    assert (record.status, record.cause) == ("failure", Cause.FRAMEWORK)


SERVICE = """
import http.server, sys, time
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"queue_length {sys.argv[2]}\\nrequests_total {100 * time.monotonic()}\\n".encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Metrics).serve_forever()
"""


@contextmanager
def real_server(folder: Path, target: int) -> Iterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    (port,) = free_ports(1)
    settings = folder / "prometheus.yml"
    settings.write_text(
        "global: {scrape_interval: 3s, scrape_timeout: 3s}\n"
        f"scrape_configs: [{{job_name: s, static_configs: [{{targets: ['127.0.0.1:{target}']}}]}}]"
    )
    process = subprocess.Popen(
        [
            *(program, f"--config.file={settings}", f"--storage.tsdb.path={folder / 'tsdb'}"),
            *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"),
        ]
    )
    url = f"http://127.0.0.1:{port}"
    try:
        scraping(url)
        yield url
    finally:
        process.terminate()
        process.wait(300)


@pytest.mark.integration
def test_a_real_server(folder_store: Store, tmp_path: Path) -> None:
    """Each trial's service is its own; a value of the trial before does not reach into the next."""
    (target,) = free_ports(1)
    (tmp_path / "service.py").write_text(SERVICE)
    with real_server(tmp_path, target) as url:
        objective = {
            "prepare": shell(f"python3 service.py {target} {{x}} & sleep 0.1"),
            "wait_ready": {"port": target},
            "command": ["sleep", "30"],  # A scrape may take 3 s before it counts as lost.
            "files": ["service.py"],
            "value": "queue",
            "metrics": {
                "prometheus": {
                    "url": url,
                    "step": "3s",
                    "queries": {
                        "queue": {"query": "queue_length", "of": "max"},
                        "least": {"query": "queue_length", "of": "min"},
                        "up": "up",
                        "scrapes": "increase(requests_total[$window])",
                        "rate": "rate(requests_total[9s])",
                    },
                }
            },
        }
        initial = [{"x": 0.9}, {"x": 0.1}]
        values = with_objective(objective, trials=3, initial=initial)
        study = Study.begin(folder_store, define(values, tmp_path))
        for x in (0.5, 0.9, 0.1):
            with Runner(study.run) as runner:
                record = runner.execute(study.ask()[0])
            assert record.status == "success", record.message
            study.tell(record)
            assert record.metrics["queue"] == record.metrics["least"] == x
            assert record.metrics["up"] == 1.0
            assert record.metrics["rate"] == pytest.approx(100, rel=0.3)
            assert record.metrics["scrapes"] == pytest.approx(3000, rel=0.3)
        metrics = objective["metrics"]["prometheus"]
        unknown = ("no_such", "no metric 'no_such'"), ("queue_lenght", "mean 'queue_length'")
        labels = ('up{jobb="s"}', "its labels are job, "), ('up{job="t"}', "'job' is s")
        for query, said in (("up * NaN", "nan"), *unknown, *labels, ("up}", "parse error")):
            window = (time.time() - 12, time.time())
            asked = Prometheus(metrics["url"], {"a": Query(query)}, 3.0, 0.0, 0.1)
            with pytest.raises(MeasureError, match=f"(?i){said}"):
                asked.read(window)
