"""The modern API: keys, endings, budgets, states, fronts, and what it refuses."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.v1_requests import TUNABLES, Http, ask, create, tell


def test_choices_are_of_their_types(http: Http) -> None:
    choices = [0, False, 1, True, "1", None]
    create(http, algorithm="grid", tunables=[{**TUNABLES[1], "choices": choices}])
    given = [trial["params"]["gc"] for trial in ask(http, count=6)["trials"]]
    assert sorted(map(repr, given)) == sorted(map(repr, choices))
    body = {"results": [{"params": {"gc": choice}, "value": 1} for choice in choices]}
    (*numbers,) = http.post("/v1/experiments/e/trials", json=body).json()["numbers"]
    shown = [http.get(f"/v1/experiments/e/trials/{number}").json() for number in numbers]
    assert repr([trial["params"]["gc"] for trial in shown]) == repr(choices)


def test_the_same_key_is_the_same_trial(http: Http) -> None:
    create(http)
    first = ask(http, "k1", count=3)
    again = ask(http, "k1", count=3)
    assert [t["params"] for t in again["trials"]] == [t["params"] for t in first["trials"]]
    assert [t["number"] for t in again["trials"]] == [0, 1, 2]
    assert ask(http, "k2")["trials"][0]["number"] == 3


def test_a_key_founds_an_experiment_once(http: Http) -> None:
    body = {"name": "e", "direction": "minimize", "tunables": TUNABLES}

    def founded(key: str, **changes: Any) -> int:
        headers = {"idempotency-key": key}
        return http.post("/v1/experiments", json=body | changes, headers=headers).status_code

    assert [founded(key) for key in ("a", "a", "b")] == [201, 201, 409]
    others: list[dict[str, Any]] = [
        {"trials": 7},
        {"direction": "maximize"},
        {"tunables": TUNABLES[:1]},
        {"facts": {"a": 1}},
        {"lease_s": None},
    ]
    assert [founded("a", **other) for other in others] == [409] * len(others)
    # What is left out is its default: the same body.
    assert founded("a", trials=100) == 201


def test_endings_are_told_apart(http: Http) -> None:
    create(http, trials=5)
    ask(http, count=5)
    assert tell(http, 0, value=2.0, metrics={"p99": 3.25}, cost=1.5).json() == {
        "number": 0,
        "repeated": False,
    }
    tell(http, 1, status="failure", message="it broke")
    tell(http, 2, status="prune", intermediate={"0": 0.5})
    tell(http, 3, status="infeasible")
    tell(http, 4, status="infeasible", value=0.0)
    trials = http.get("/v1/experiments/e/trials").json()
    said = [trial["status"] for trial in trials]
    assert said == ["success", "failure", "prune", "infeasible", "infeasible"]
    assert trials[0]["metrics"] == {"p99": 3.25}
    assert trials[1]["message"] == "it broke"
    assert trials[2]["intermediate"] == {"0": 0.5}
    summary = http.get("/v1/experiments/e").json()
    assert (summary["state"], summary["cost"], summary["told"]) == ("finished", 1.5, 5)
    assert http.get("/v1/experiments/e/best").json()["number"] == 0
    assert ask(http) == {"trials": [], "state": "finished"}


def test_a_result_counts_once(http: Http) -> None:
    create(http)
    ask(http)
    assert tell(http, 0, "k", value=1.0).json()["repeated"] is False
    assert tell(http, 0, "k", value=1.0).json()["repeated"] is True
    assert tell(http, 0, value=1.0).json()["repeated"] is True
    others: list[dict[str, Any]] = [
        {"value": 2.0},
        {"value": 1.0, "metrics": {"a": 1.0}},
        {"value": 1.0, "cost": 1.0},
        {"value": 1.0, "constraints": [0.0]},
        {"value": 1.0, "intermediate": {"0": 1.0}},
        {"value": 1.0, "message": "late"},
        {"status": "failure"},
    ]
    for other in others:
        for key in ("k", None):
            answer = tell(http, 0, key, **other)
            assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    assert tell(http, 7, value=1.0).status_code == 404


def test_leases(http: Http) -> None:
    create(http)
    (given,) = ask(http, lease_s=1000)["trials"]
    place = f"/v1/experiments/e/trials/{given['number']}/heartbeat"
    assert http.post(place, json={"lease": given["lease"]}).json() == {"lease_s": 1000.0}
    assert http.post(place, json={"lease": "other"}).status_code == 409
    tell(http, 0, value=1.0)
    assert http.post(place, json={"lease": given["lease"]}).status_code == 409


def test_pruning(http: Http) -> None:
    create(http, pruner={"name": "median", "n_startup_trials": 1}, trials=3)
    ask(http, count=2)
    place = "/v1/experiments/e/trials/{}/report"
    assert http.post(place.format(0), json={"step": 0, "value": 1.0}).json() == {"prune": False}
    tell(http, 0, value=1.0)
    assert http.post(place.format(1), json={"step": 0, "value": 9.0}).json() == {"prune": True}
    assert http.post(place.format(0), json={"step": 1, "value": 9.0}).status_code == 409


def test_results_without_an_ask(http: Http) -> None:
    create(http, trials=1)
    results = [
        {"params": {"x": 0.5, "gc": "Z"}, "value": 3.0},
        {"params": {"x": 0.25, "gc": "G1"}, "status": "failure"},
    ]
    place = "/v1/experiments/e/trials"
    key = {"idempotency-key": "k"}
    for _ in range(2):
        answer = http.post(place, json={"results": results}, headers=key)
        assert answer.json() == {"numbers": [0, 1]}
    changed = [results[0] | {"value": 4.0}, results[0] | {"params": {"x": 0.75, "gc": "Z"}}]
    for other in ([changed[0], results[1]], [changed[1], results[1]], results[:1]):
        answer = http.post(place, json={"results": other}, headers=key)
        assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    assert ask(http)["trials"][0]["number"] == 2
    wrong = http.post(place, json={"results": [{"params": {"x": 7, "gc": "Z"}, "value": 1.0}]})
    assert wrong.status_code == 422
    assert "Result 0" in wrong.json()["message"]
    assert len(http.get(place).json()) == 3


def test_budgets_of_cost_and_time(http: Http) -> None:
    create(http, max_cost=2.0)
    ask(http)
    tell(http, 0, value=1.0, cost=2.5)
    assert ask(http)["state"] == "finished"
    create(http, name="f", max_time_s=1e-6)
    http.post("/v1/experiments/f/ask")
    http.post("/v1/experiments/f/trials/0/tell", json={"value": 1.0})
    assert http.post("/v1/experiments/f/ask").json()["state"] == "finished"


def test_pause_resume_stop_delete(http: Http) -> None:
    create(http)
    ask(http)
    assert http.post("/v1/experiments/e/pause").json()["state"] == "paused"
    assert ask(http) == {"trials": [], "state": "paused"}
    assert tell(http, 0, value=1.0).status_code == 200
    assert http.post("/v1/experiments/e/resume").json()["state"] == "running"
    assert len(ask(http)["trials"]) == 1
    assert http.post("/v1/experiments/e/stop").json()["state"] == "stopped"
    assert http.post("/v1/experiments/e/resume").status_code == 409
    assert http.delete("/v1/experiments/e").status_code == 204
    assert http.get("/v1/experiments/e").status_code == 404
    assert http.delete("/v1/experiments/e").status_code == 404


def test_a_front_of_two_directions(http: Http) -> None:
    create(http, direction=None, directions={"ms": "minimize", "rps": "maximize"}, trials=4)
    ask(http, count=4)
    for number, values in enumerate([[1, 1], [2, 5], [3, 4], [2, 5]]):
        tell(http, number, values=values)
    front = http.get("/v1/experiments/e/front").json()
    assert [trial["number"] for trial in front] == [0, 1, 3]


@pytest.mark.filterwarnings("ignore")
def test_importance(http: Http) -> None:
    create(http)
    assert http.get("/v1/experiments/e/importance").json() == {}
    ask(http, count=20)
    for trial in http.get("/v1/experiments/e/trials").json():
        tell(http, trial["number"], value=trial["params"]["x"])
    found = http.get("/v1/experiments/e/importance").json()
    assert found["x"] > found["gc"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_importance_is_of_what_is_best(http: Http, sign: float) -> None:
    """The best are wherever `x` is and have G1; the worst have either and their `x` near 1."""
    first = "minimize" if sign > 0 else "maximize"
    create(http, direction=None, directions={"a": first, "b": "minimize"})
    results = []
    for number in range(60):
        x, gc = number / 60, "Z" if number % 4 else "G1"
        value = 2.0 if x > 0.9 else float(gc == "Z")
        results.append({"params": {"x": x, "gc": gc}, "values": [sign * value, 0.0]})
    assert http.post("/v1/experiments/e/trials", json={"results": results}).status_code == 201
    found = http.get("/v1/experiments/e/importance").json()
    assert found["gc"] > found["x"]


def test_events(http: Http) -> None:
    create(http, trials=1)
    ask(http)
    tell(http, 0, value=1.0)
    text = http.get("/v1/experiments/e/events").text
    assert text.startswith("event: summary\ndata: {")
    assert '"state": "finished"' in text


@pytest.mark.parametrize("name", ["../../etc/passwd", "a b", "ü", "'; DROP TABLE studies", "a/b"])
def test_any_name_is_only_a_name(http: Http, name: str) -> None:
    study = create(http, name=name)["study"]
    assert http.get(f"/v1/experiments/{study}").json()["name"] == name
    assert (
        http.post(
            "/v1/experiments", json={"name": name, "direction": "minimize", "tunables": TUNABLES}
        ).status_code
        == 409
    )


@pytest.mark.parametrize("name", ["team/one", "../../etc/passwd", "a/best", "/", "a%2Fb"])
def test_a_slash_of_a_name_is_escaped_in_a_path(http: Http, name: str) -> None:
    create(http, name=name)
    place = f"/v1/experiments/{quote(name, safe='')}"
    assert http.get(place).json()["name"] == name
    (trial,) = http.post(f"{place}/ask", json={}).json()["trials"]
    told = http.post(f"{place}/trials/{trial['number']}/tell", json={"value": 1.0})
    assert told.status_code == 200
    assert http.get(f"{place}/best").json()["number"] == 0
    assert http.delete(place).status_code == 204
    assert http.get(place).status_code == 404


def test_as_many_at_once_as_declared(http: Http) -> None:
    create(http, parallel=2)
    first = ask(http, count=5)["trials"]
    assert [trial["number"] for trial in first] == [0, 1]
    assert ask(http) == {"trials": [], "state": "running"}
    tell(http, 1, value=1.0)
    assert [trial["number"] for trial in ask(http, count=5)["trials"]] == [2]
    assert http.get("/v1/experiments/e").json()["parallel"] == 2


def test_a_space_that_is_used_up(http: Http) -> None:
    create(http, tunables=[TUNABLES[1]], algorithm="grid")
    assert len(ask(http, count=5)["trials"]) == 2
    tell(http, 0, value=1.0)
    tell(http, 1, value=1.0)
    assert ask(http)["state"] == "finished"


def test_pages_name_their_icon(http: Http) -> None:
    """A browser requests /favicon.ico, which is not there, for a page that names none."""
    for path in ("/", "/listexperiments", "/docs"):
        answer = http.get(path)
        assert (answer.status_code, answer.headers["content-type"][:9]) == (200, "text/html")
        assert '<link rel="icon" href="data:,">' in answer.text
