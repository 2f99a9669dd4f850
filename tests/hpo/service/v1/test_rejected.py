"""Requests of the modern API that are rejected: each names the value, its place and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.v1_requests import TUNABLES, Http, ask, create, tell


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", '{"name": "e", "name": "f", "direction": "minimize"}'),
        ("", '{"name": "e", "direction": "minimize", "tunables": [{"name": "x", "name": "y"}]}'),
        ("/e/trials/0/tell", '{"value": 1, "value": 2}'),
        ("/e/trials/0/tell", '{"value": 1, "metrics": {"p99": 1, "p99": 2}}'),
    ],
)
def test_a_key_stands_once_in_a_body(http: Http, path: str, body: str) -> None:
    create(http)
    ask(http)
    headers = {"content-type": "application/json"}
    answer = http.post(f"/v1/experiments{path}", content=body, headers=headers)
    assert answer.status_code == 422
    assert "occurs twice" in answer.json()["message"]
    assert tell(http, 0, value=2.0).json() == {"number": 0, "repeated": False}


@pytest.mark.parametrize(
    "body",
    [
        {"value": None},
        {"values": [1.0, 2.0]},
        {"status": "great"},
        {"value": "high"},
        {"value": 1.0, "more": 1},
        {"value": 1.0, "cost": -1},
    ],
)
def test_endings_that_do_not_fit(http: Http, body: dict[str, Any]) -> None:
    create(http)
    ask(http)
    answer = tell(http, 0, **body)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert tell(http, 0, value=1.0).status_code == 200


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tunables": []}, "no tunables"),
        ({"direction": None}, "no 'direction'"),
        ({"algorithm": "os:system"}, "There is no algorithm 'os:system'"),
        ({"pruner": {"name": "median", "n_warmup_steps": True}}, "is True; write a value of the"),
        ({"pruner": {"name": "median", "n_startup_trials": 1.0}}, "'median' is 1.0; write a value"),
        ({"pruner": {"name": "threshold", "upper": "5"}}, "'5'; write a value of the type float"),
        (
            {"pruner": {"name": "hyperband", "patience": False}},
            "'patience' of 'hyperband' is False",
        ),
        (
            {"pruner": {"name": "hyperband", "reduction_factor": 1}},
            "is 1; write a number of at least 2.",
        ),
        ({"pruner": {"name": "hyperband", "min_resource": 0}}, "is 0; write a number of at least"),
        ({"pruner": "xyz"}, "'pruner' is 'xyz'; there are none, median,"),
        ({"forbidden": ["__import__('os')"]}, "forbidden"),
        ({"trials": 0}, "trials"),
        ({"name": "a\nb"}, "cannot be shown"),
        ({"name": ".."}, "name is '..', which clients leave out of a URL; choose another."),
        ({"surprise": 1}, "surprise is no key; /openapi.json has them"),
        ({"trails": 1}, "trails is no key; did you mean 'trials'?"),
        ({"direction": "up"}, "body.direction is \"up\"; write 'minimize' or 'maximize'."),
        ({"count": 1}, "count is no key; /openapi.json has them"),
    ],
)
def test_experiments_that_are_refused(http: Http, changes: dict[str, Any], said: str) -> None:
    body = {"name": "e", "direction": "minimize", "tunables": TUNABLES}
    answer = http.post("/v1/experiments", json=body | changes)
    assert answer.status_code == 422
    assert said in answer.json()["message"]
    assert http.get("/v1/experiments").json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ("{'x': 1}", "application/json", "no JSON at character 1: Expecting"),
        ("{}", "text/plain", "send it with the header 'content-type: application/json'"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_how(
    http: Http, body: str, kind: str, said: str
) -> None:
    create(http)
    place = "/v1/experiments/e/ask"
    answer = http.post(place, content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert said in answer.json()["message"]


def test_a_path_and_a_method_that_are_not_there(http: Http) -> None:
    absent = http.get("/v1/experiment")
    assert (absent.status_code, absent.json()["error"]) == (404, "not_found")
    assert "/v1/experiment;" in absent.json()["message"]
    refused = http.put("/v1/experiments")
    assert (refused.status_code, refused.json()["error"]) == (405, "invalid")
    assert refused.json()["message"] == "PUT is not for /v1/experiments; it takes GET, POST."
    allowed = {
        "/v1/experiments": "GET, POST, HEAD, OPTIONS",
        "/v1/experiments/e": "GET, PATCH, DELETE, HEAD, OPTIONS",
        "/v1/experiments/e/trials": "GET, POST, HEAD, OPTIONS",
        "/v1/experiments/e/trials/0": "GET, PATCH, DELETE, HEAD, OPTIONS",
        "/v1/experiments/team%2Fone/trials/0/tell": "POST, OPTIONS",
        "/experiment_trials": "GET, POST, HEAD, OPTIONS",
        "/health": "GET, HEAD, OPTIONS",
    }
    for path, methods in allowed.items():
        answer = http.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        answer = http.options(path)
        assert (answer.status_code, answer.headers["allow"], answer.text) == (204, methods, "")
    assert http.options("/nothing").status_code == 404
    for path in http.get("/openapi.json").json()["paths"].values():
        assert all("Allow" in found["responses"]["405"]["headers"] for found in path.values())


def test_a_value_out_of_range_is_told_with_the_range(http: Http) -> None:
    create(http)
    result = {"params": {"x": 5, "gc": "G1"}, "status": "success", "value": 1.0}
    answer = http.post("/v1/experiments/e/trials", json={"results": [result]})
    assert answer.status_code == 422
    assert "has 5 for 'x'" in answer.json()["message"]
    assert "from 0 to 1" in answer.json()["message"]


FOREIGN = (
    "Input should",
    "Value error",
    "String should",
    "List should",
    "validat",
    "dict[",
    "[key]",
)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("", {"seed": True}, "body.seed is true; write a whole number."),
        ("", {"trials": 10**7}, "body.trials is 10000000; write a number of at most 1,000,000."),
        ("", {"name": "y" * 300}, "y…; write at most 256 characters."),
        ("", {"tunables": TUNABLES * 501}, "…; write at most 1,000 entries."),
        ("", {"directions": 5}, "body.directions is 5; write an object by metric or a list"),
        ("", {"forbidden": [{"x": [1]}]}, 'body.forbidden.0 is {"x": [1]}; write an expression'),
        ("", {"initial": [{"x": [1]}]}, "body.initial.0.x is [1]; write a number, a text"),
        ("", {"pruner": 5}, "body.pruner is 5; write a name"),
        ("", [1], "body is [1]; write an object in { }."),
        ("/e/ask", {"count": 0}, "body.count is 0; write a number of at least 1."),
        ("/e/trials", {"results": []}, "body.results is []; write at least 1 entry."),
        ("/e/trials/0/tell", {"value": 10**400}, "0…; write a number of at most 1.8e308."),
        ("/e/trials/0/tell", {"value": 1, "values": [1]}, "body: 'value' and 'values' are both"),
        ("/e/trials/0/tell", {"intermediate": {"01": 1}}, 'body.intermediate.01 is "01"; write a'),
        ("/e/trials/0/report", {"step": 1}, "body.value is missing; add it."),
        ("/e/trials/-1/tell", {"value": 1}, 'path.number is "-1"; write a number of at least 0.'),
        ("/e/trials/1_0/tell", {"value": 1}, 'path.number is "1_0"; write a whole number.'),
    ],
)
def test_a_wrong_value_is_named_with_its_place_and_the_fix(
    http: Http, path: str, body: Any, said: str
) -> None:
    usual = {"name": "e", "direction": "minimize", "tunables": TUNABLES}
    sent = usual | body if not path and isinstance(body, dict) else body
    answer = http.post(f"/v1/experiments{path}", json=sent)
    assert answer.status_code == 422
    assert said in answer.json()["message"]
    assert not any(words in answer.text for words in FOREIGN)


@pytest.mark.parametrize(
    "query", ["limit=%2B5", "limit=1_0", "limit=5.0", "limit=x", "details=yes"]
)
def test_a_parameter_is_read_exactly(http: Http, query: str) -> None:
    answer = http.get(f"/v1/experiments?{query}")
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(f"query.{query.partition('=')[0]} is ")
    assert http.get("/v1/experiments?limit=5&details=true").status_code == 200


WRONG: dict[str, Any] = {"name": "x", "value_type": "double", "lower_bound": 2, "upper_bound": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"direction": "up", "seed": -1, "trails": 1, "algorithm": "os:system"},
            ["body.direction", "body.seed", "'trials'?", "no algorithm 'os:system'", "swap them"],
        ),
        ({"direction": None, "pruner": "medan"}, ["no 'direction'", "swap them", "'median'?"]),
        ({"tunables": 5, "trials": 0}, ["body.tunables", "body.trials"]),
    ],
)
def test_all_faults_of_a_new_experiment_are_in_one_answer(
    http: Http, changes: dict[str, Any], said: list[str]
) -> None:
    body = {"name": "e", "direction": "minimize", "tunables": [WRONG]}
    answer = http.post("/v1/experiments", json=body | changes)
    first, *lines = answer.json()["message"].splitlines()
    assert (answer.status_code, f"has {len(said)} faults:" in first) == (422, True)
    for part, line in zip(said, lines, strict=True):
        assert line.startswith("- ") and part in line
    assert http.get("/v1/experiments").json()["total"] == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", '{"name": "f", "direction": "minimize", "tunables": [], "facts": %s}'),
        ("PATCH", "/e", '{"facts": %s}'),
        ("PATCH", "/e/trials/0", '{"attributes": %s}'),
    ],
)
def test_a_number_that_json_cannot_answer_is_rejected(
    http: Http, method: str, path: str, body: str
) -> None:
    """1e400 is JSON, and read as an infinity, which was answered as null."""
    create(http)
    ask(http)
    headers = {"content-type": "application/json"}
    found = body % '{"a": [{"b": -1e400}]}'
    answer = http.request(method, f"/v1/experiments{path}", content=found, headers=headers)
    assert answer.status_code == 422
    said = 'is {"a": [{"b": -Infinity}]}; write an object in { } whose numbers are finite.'
    assert said in answer.json()["message"]
    assert http.get("/v1/experiments/e").json()["facts"] == {}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": True}, "body.trials is true; write a whole number."),
        ({"trials": None}, "body.trials is null; write a whole number."),
        ({"trials": 0}, "body.trials is 0; write a number of at least 1."),
        ({"facts": 3}, "body.facts is 3; write an object in { }."),
    ],
)
def test_changes_that_are_rejected_have_one_fault(
    http: Http, changes: dict[str, Any], said: str
) -> None:
    create(http)
    answer = http.patch("/v1/experiments/e", json=changes)
    assert (answer.status_code, answer.json()["message"]) == (422, said)
