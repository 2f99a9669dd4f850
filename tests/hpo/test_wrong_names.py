"""What a study file names and the output does not have: said at once, and no five trials for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.objectives.metrics.measured_values import NotThereError
from benchmark.hpo.objectives.metrics.prometheus import Query
from benchmark.hpo.objectives.metrics.promql import metrics_in
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.store import Store
from tests.hpo.test_prometheus import WINDOW, Answering, Scripted, asking, matrix

REPORTS = Path(__file__).parent / "reports"
X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}


def why_stop(
    store: Store, folder: Path, objective: dict[str, Any], stop: dict[str, Any], **tunable: Any
) -> tuple[str | None, str]:
    """Why a study would stop after its first trial, and the trial's message."""
    values: dict[str, Any] = {
        **{"name": "s", "direction": "minimize", "tunables": [X | tunable], "trials": 9},
        **{"limits": {"time": 200, "memory": 300}, "stop": stop, "objective": objective},
    }
    study = Study.begin(store, define(values, folder))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert study.tell(record)
    assert record.cause == "framework"
    return study.why_stop, record.message


def printing(report: str) -> dict[str, Any]:
    return {"command": ["cat", str(REPORTS / report)]}


def echo(text: str) -> dict[str, Any]:
    return {"command": ["echo", text]}


def only_reads() -> str:
    """A report of fio without writes."""
    report = json.loads((REPORTS / "fio.json").read_text())
    for job in report["jobs"]:
        job["write"]["total_ios"] = 0
    return json.dumps(report)


ROWS = {"csv": "stdout", "select": {"rps": {"column": "rsp"}}}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a reader's name": (
        printing("wrk.txt") | {"metrics": "wrk", "value": "tps"},
        {},
        "needs 'tps', and there is errors, latency_",
    ),
    "spelt alike": (echo('{"tps": 5}') | {"value": "tsp"}, {}, "Did you mean 'tps'?"),
    "a constraint": (
        echo('{"tps": 5, "p99": 2}') | {"value": "tps", "constraints": ["p_99 <= 3"]},
        {},
        "Did you mean 'p99'?",
    ),
    "another tool": (
        printing("ab.txt") | {"metrics": "wrk", "value": "throughput"},
        {},
        "It is a report of ab; write 'reader: ab'.",
    ),
    "a column": (echo("rps,p99\n1,2") | {"metrics": ROWS}, {}, "Did you mean 'rps'?"),
    "a pattern at the default": (
        echo("took 12 s") | {"metrics": {"patterns": {"s": "time = (.*)"}}},
        {"default": 0.5},
        "nothing that matches 'time = (.*)' for 's'; its last line is 'took 12 s'.",
    ),
    "a path at the default": (
        echo('{"a": 5}') | {"metrics": {"json": "stdout", "select": {"s": "b"}}},
        {"default": 0.5},
        "nothing at 'b' for 's'; it is an object with a.",
    ),
}


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_of_the_study_file_costs_one_trial(
    folder_store: Store, tmp_path: Path, case: str
) -> None:
    objective, tunable, said = CASES[case]
    why, message = why_stop(folder_store, tmp_path, objective, {}, **tunable)
    assert said in message
    assert str(why).startswith(
        "No trial can measure anything, because what the study file names was not found: "
    )
    assert message in str(why)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (
            echo('{"p99": "5ms"}') | {"metrics": {"json": "stdout", "units": {"p99": "MiB"}}},
            "'p99' was measured in s, and 'units' declares MiB for it.",
        ),
        (
            echo("p99 5ms") | {"metrics": {"patterns": {"p": r"p99 (\S+)"}, "units": {"p": "MB"}}},
            "'p' was measured in s, and 'units' declares MB for it.",
        ),
        (
            echo('{"p99": "5ms", "rss": "3MiB"}') | {"value": "p99", "constraints": ["rss <= 20s"]},
            "it compares bytes with seconds",
        ),
        (
            echo('{"p99": 5}') | {"value": "p99", "constraints": ["p99 <= 20ms"]},
            "it compares seconds with 'p99', which has no unit; declare it",
        ),
    ],
)
def test_a_wrong_unit_costs_one_trial(
    folder_store: Store, tmp_path: Path, objective: dict[str, Any], said: str
) -> None:
    why, message = why_stop(folder_store, tmp_path, objective, {})
    assert said in message
    assert str(why).startswith("No trial can measure anything, because its units do not fit: ")
    assert message in str(why)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize(
    ("objective", "stop"),
    [
        (echo('{"failed": 5}') | {"value": "tps"}, {}),
        (echo("took 12 s") | {"metrics": {"patterns": {"s": "time = (.*)"}}}, {}),
        (echo('{"tps": null, "p99": 1}') | {"value": "tps"}, {}),
        (echo('{"tps": 5}') | {"value": "tsp"}, {"failures": 0}),
        (echo('{"p99": 0}') | {"value": "p99", "constraints": ["p99 <= 20ms"]}, {}),
        (echo('{"loss": 5, "epoch": 1}') | {"value": "val_loss"}, {}),
        (echo("p95,n\n1,2") | {"metrics": {"csv": "stdout", "select": {"p99": "p99"}}}, {}),
        (echo(only_reads()) | {"metrics": "fio", "value": "write_iops"}, {}),
    ],
    ids=[
        "another name",
        "a pattern",
        "no number",
        "never",
        "a zero",
        "alike",
        "a column",
        "only reads",
    ],
)
def test_what_another_trial_may_have_costs_more(
    folder_store: Store, tmp_path: Path, objective: dict[str, Any], stop: dict[str, Any]
) -> None:
    """Without a default no trial is known to be of a system that works."""
    assert why_stop(folder_store, tmp_path, objective, stop)[0] is None


class Naming(Answering):
    """Knows the names of metrics as well."""

    names = ("http_requests_total", "up")

    def do_GET(self) -> None:  # noqa: N802
        path, _, fields = self.path.partition("?")
        metric = parse_qs(fields).get("match[]", [""])[0]
        found = [{"__name__": name} for name in self.names if name == metric]
        body = {"status": "success", "data": found if path.endswith("/series") else self.names}
        data = json.dumps(body).encode()
        self.send_response_only(200)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        scripted.RequestHandlerClass = Naming
        scripted.answers = [matrix()]
        run = partial(ThreadingHTTPServer.serve_forever, scripted, poll_interval=0.01)
        thread = threading.Thread(target=run)
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


def test_a_mistyped_metric_is_named_once_the_wait_is_over(server: Scripted) -> None:
    query = Query("sum(rate(http_request_total{job='a'}[10s])) by (job) / up")
    with pytest.raises(NotThereError) as caught:
        asking(server, query).read(WINDOW)
    assert caught.value.certain
    assert str(caught.value) == (
        f"{server.url} has no metric 'http_request_total', which the query of 'found' needs; did "
        "you mean 'http_requests_total'?"
    )


def test_a_metric_that_may_be_new_is_waited_for(server: Scripted) -> None:
    with pytest.raises(NotThereError) as caught:
        asking(server, Query("queue")).read(WINDOW)
    assert not caught.value.certain
    assert "has no metric 'queue'" in str(caught.value)
    for late in ("queue", "http_request_total"):  # The second may be of a newer target.
        server.answers = [matrix(), matrix(["1"] * 5)]
        assert asking(server, Query(late), timeout_s=600.0).read(WINDOW) == {"found": 1.0}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ["up"]),
        ("sum by (job, le) (rate(a_bucket{le='b'}[5m] offset 1h)) > bool 3e2", ["a_bucket"]),
        ("histogram_quantile(0.99, sum(rate(a:b[$window])) without (x))", ["a:b"]),
        ("a / on (x) group_left (y) c # d", ["a", "c"]),
        ("a and b unless c or Inf * NaN @ end()", ["a", "b", "c"]),
        ('{__name__="x"} + vector(1)', []),
        ("max_over_time(a[1h:5m] offset $window) + -b", ["a", "b"]),
    ],
)
def test_names_of_metrics_in_a_query(query: str, names: list[str]) -> None:
    assert metrics_in(query) == names
