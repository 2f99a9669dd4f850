"""What `/metrics` says, in Prometheus' text format."""

from __future__ import annotations

import re

from starlette.testclient import TestClient

from benchmark.hpo.service.web.metrics import Requests

LINE = re.compile(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})? [0-9.e+-]+')
EXPERIMENT = {
    "direction": "minimize",
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
}


def test_requests_and_trials_are_counted(http: TestClient) -> None:
    for name in ("team/one", "two"):
        http.post("/v1/experiments", json=EXPERIMENT | {"name": name})
    http.post("/v1/experiments/team%2Fone/ask", json={"count": 3})
    http.post("/v1/experiments/team%2Fone/trials/0/tell", json={"value": 1})
    for path in ("/health", "/nothing/1", "/nothing/2", "/v1/experiments/team%2Fone"):
        http.get(path)
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert all(LINE.fullmatch(line) for line in lines if not line.startswith("# "))
    name = "hpo_http_requests_total"
    for line in (
        "hpo_experiments_open 2",
        "hpo_trials_asked 3",
        "hpo_trials_told 1",
        "hpo_trials_leased 2",
        f'{name}{{method="POST",route="/v1/experiments",status="201"}} 2',
        f'{name}{{method="POST",route="/v1/experiments/{{name}}/ask",status="200"}} 1',
        f'{name}{{method="GET",route="/v1/experiments/{{name}}",status="200"}} 1',
        f'{name}{{method="GET",route="/health",status="200"}} 1',
        f'{name}{{method="GET",route="other",status="404"}} 2',
    ):
        assert line in lines
    assert "team" not in answer.text


def test_a_histogram_accumulates() -> None:
    requests = Requests()
    for seconds in (0.005, 0.02, 3.0, 60.0):
        requests.count("BREW", "/", 418, seconds)
    lines = list(requests.lines())
    assert 'hpo_http_requests_total{method="other",route="/",status="418"} 4' in lines
    name = "hpo_http_request_duration_seconds"
    for bound, number in (("0.005", 1), ("0.01", 1), ("0.025", 2), ("5.0", 3), ("+Inf", 4)):
        assert f'{name}_bucket{{route="/",le="{bound}"}} {number}' in lines
    assert f'{name}_count{{route="/"}} 4' in lines
    assert f'{name}_sum{{route="/"}} 63.025000' in lines
