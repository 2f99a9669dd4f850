"""A number of a body is a JSON number that a float holds; all else is 422 and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from benchmark.hpo.service.app import make_app
from benchmark.hpo.service.backends.store import MemoryBackend
from benchmark.hpo.service.core.service import Service

HUGE = "1" + "0" * 400
NO_NUMBERS = [
    "true",
    "false",
    '"1"',
    '""',
    "[1]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "1e-400",
]
NO_NUMBERS += [HUGE, f"-{HUGE}", f'"{HUGE}"']
BOUNDS: dict[str, Any] = {"value_type": "double", "lower_bound": 0, "upper_bound": 1}
TUNABLE = '{"name":"n","value_type":"integer","lower_bound":0,"upper_bound":9,"default":1}'
NEW = f'{{"name":"other","direction":"minimize","tunables":[{TUNABLE}],"trials":5}}'
# A body is right with 1 in the place of each @.
TELLS = [
    '{"value":@}',
    '{"values":[@]}',
    '{"value":1,"metrics":{"a":1,"b":@}}',
    '{"value":1,"constraints":[0,@]}',
    '{"value":1,"intermediate":{"0":1,"1":@}}',
    '{"value":1,"cost":@}',
    '{"status":"failure","cost":@}',
    '{"status":"infeasible","value":@}',
]
PLACES = {
    "/e/trials/0/tell": TELLS,
    "/e/trials/0/report": ['{"step":1,"value":@}', '{"step":@,"value":1}'],
    "/e/trials": [
        '{"results":[{"params":{"n":1,"x":@,"gc":"Z"},"value":1}]}',
        '{"results":[{"params":{"n":@,"x":1,"gc":"Z"},"value":1}]}',
        '{"results":[{"params":{"n":1,"x":1,"gc":"Z"},"value":@}]}',
    ],
    "/e/ask": ['{"count":@}', '{"lease_s":@}'],
    "": [
        NEW.replace('"lower_bound":0', '"lower_bound":@'),
        NEW.replace('"upper_bound":9', '"upper_bound":@'),
        NEW.replace('"default":1', '"step":@'),
        NEW.replace('"default":1', '"default":@'),
        NEW.replace('"integer"', '"double"').replace('"default":1', '"default":@'),
        NEW.replace('"integer"', '"double"').replace('"upper_bound":9', '"upper_bound":@'),
        *(
            NEW.replace('"trials":5', f'"{key}":@')
            for key in ("trials", "parallel", "seed", "lease_s", "max_time_s", "max_cost")
        ),
    ],
}


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    app = make_app(Service(MemoryBackend()))
    with TestClient(app, raise_server_exceptions=False) as client:
        tunables: list[dict[str, Any]] = [
            {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1},
            {"name": "n", "value_type": "integer", "lower_bound": 0, "upper_bound": 9},
            {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"]},
        ]
        body = {"name": "e", "direction": "minimize", "tunables": tunables, "algorithm": "random"}
        assert client.post("/v1/experiments", json=body).status_code == 201
        client.post("/v1/experiments/e/ask", json={})
        yield client


def post(http: TestClient, place: str, body: str) -> tuple[int, dict[str, Any]]:
    sent = {"content-type": "application/json"}
    answer = http.post(f"/v1/experiments{place}", content=body, headers=sent)
    return answer.status_code, answer.json()


def state(http: TestClient) -> tuple[Any, Any]:
    return http.get("/v1/experiments/e/trials").json(), http.get("/v1/experiments").json()


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_number_is_refused_everywhere(http: TestClient, place: str) -> None:
    before = state(http)
    for body in PLACES[place]:
        for wrong in NO_NUMBERS:
            code, said = post(http, place, body.replace("@", wrong))
            assert (code, said["error"]) == (422, "invalid"), (body, wrong[:20], said)
            assert "class" not in said["message"]
    assert state(http) == before


@pytest.mark.parametrize("step", ["01", "+1", " 1", "1.0", "-1", "1_0", "true", "", "2147483648"])
def test_steps_are_whole_numbers_as_json_writes_them(http: TestClient, step: str) -> None:
    before = state(http)
    for body in ('{"value":1,"intermediate":{"@":1}}', '{"value":1,"intermediate":{"0":1,"@":1}}'):
        assert post(http, "/e/trials/0/tell", body.replace("@", step))[0] == 422
    assert state(http) == before


@pytest.mark.parametrize(
    "query", ["limit=1&more=2", "Limit=1", "limit=1&limit=2", "first=0&limit=", "limit=true"]
)
def test_query_parameters_are_known_and_stand_once(http: TestClient, query: str) -> None:
    for place in ("/e/trials", ""):
        answer = http.get(f"/v1/experiments{place}?{query}")
        assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert http.get("/v1/experiments/e?first=0").status_code == 422
    assert http.delete("/v1/experiments/e?force=1").status_code == 422
    assert http.get("/v1/experiments/e/trials?first=0&limit=1").status_code == 200


def test_one_of_value_and_values(http: TestClient) -> None:
    before = state(http)
    code, said = post(http, "/e/trials/0/tell", '{"value":1,"values":[1]}')
    assert code == 422
    assert "give one of them" in said["message"]
    assert state(http) == before


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"value":1,"value":2}', 'the key "value" occurs twice'),
        (b'{"value":1,"metrics":{"a":1,"a":1}}', 'the key "a" occurs twice'),
        (b'{"value":1,"intermediate":{"1":1,"1":2}}', 'the key "1" occurs twice'),
        (b'{"value":NaN}', "JSON has no NaN"),
        (b'{"value":1' + b"0" * 5000 + b"}", "too many digits"),
        (b'{"value":1,"message":"\\ud800"}', "half of a surrogate pair"),
        (b'{"value":1,"message":"\xff"}', "character 22: it is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"value":1,"facts":' + b"[" * 120 + b"]" * 120 + b"}", "nested too deeply"),
        ('{"value":1}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_bodies_that_are_not_exact_json(http: TestClient, body: bytes, said: str) -> None:
    before = state(http)
    headers = {"content-type": "application/json"}
    answer = http.post("/v1/experiments/e/trials/0/tell", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert said in answer.json()["message"]
    classic = http.post("/experiment_trials", content=body, headers=headers)
    assert classic.status_code == 400
    assert classic.text.startswith("Invalid JSON structure: ")
    assert state(http) == before


@pytest.mark.parametrize(
    "number", ["--1", "-", "\u0663", "\u00b2", "1" * 400, "-" + "1" * 400, "0x1"]
)
def test_a_trial_number_of_the_classic_route_is_one(http: TestClient, number: str) -> None:
    query = {"experiment_name": "e", "trial_number": number}
    answer = http.get("/experiment_trials", params=query)
    assert (answer.status_code, answer.text) == (400, "Only Integer value is allowed!")


def test_choices_of_400_digits_are_refused(http: TestClient) -> None:
    tunable = f'{{"name":"c","value_type":"categorical","choices":[{HUGE},"a"]}}'
    body = f'{{"name":"huge","direction":"minimize","tunables":[{tunable}]}}'
    code, said = post(http, "", body)
    assert code == 422
    assert "not a finite number" in said["message"]


def test_what_may_be_nested_is_shown_again(http: TestClient) -> None:
    facts: Any = 1
    for _ in range(90):
        facts = {"a": facts}
    body = {
        "name": "deep",
        "direction": "minimize",
        "facts": facts,
        "tunables": [{"name": "x", **BOUNDS}],
    }
    assert http.post("/v1/experiments", json=body).json()["facts"] == facts
    assert http.get("/v1/experiments/deep").json()["facts"] == facts
