"""Whatever is sent, the answer is one: mutated bodies of the classic route, and schemathesis."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from starlette.testclient import TestClient

SEEDS: list[dict[str, Any]] = [
    {
        "operation": "EXP_TRIAL_GENERATE_NEW",
        "search_space": {
            "experiment_name": "e",
            "total_trials": 50,
            "parallel_trials": 1,
            "experiment_id": "a",
            "value_type": "double",
            "hpo_algo_impl": "random",
            "objective_function": "t",
            "tunables": [
                {
                    "name": "x",
                    "value_type": "double",
                    "lower_bound": 1,
                    "upper_bound": 3,
                    "step": 0.1,
                },
                {"name": "c", "value_type": "categorical", "choices": ["a", "b"]},
            ],
            "direction": "minimize",
        },
    },
    {"operation": "EXP_TRIAL_GENERATE_SUBSEQUENT", "experiment_name": "e"},
    {
        "operation": "EXP_TRIAL_RESULT",
        "experiment_name": "e",
        "trial_number": 0,
        "trial_result": "success",
        "result_value_type": "double",
        "result_value": 98.78,
    },
    {"operation": "EXP_DELETE", "experiment_name": "e"},
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 3, 0.5, -0.0, 1e308, 10**400, 2**63, "", " ", "x", "é\u0000"),
    *("null", "../..", "<b>", "'; --", [], {}, [[]], {"a": {}}, ["a"] * 50, "y" * 5000),
    *("success", "error", "EXP_STOP", "double", "integer", "categorical", "grid", "gp"),
]


def mutated(generator: random.Random) -> bytes:
    """A body with some places changed, and now and then its text."""
    body: Any = copy.deepcopy(generator.choice(SEEDS))
    for _ in range(generator.randrange(4)):
        node: Any = body
        while generator.random() < 0.6:
            inner = list(node.values()) if isinstance(node, dict) else node
            inner = [value for value in inner if isinstance(value, (dict, list)) and value]
            if not inner:
                break
            node = generator.choice(inner)
        place = generator.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if generator.random() < 0.2:
            del node[place]
        elif isinstance(node, dict) and generator.random() < 0.2:
            node[str(generator.choice(VALUES))[:20]] = copy.deepcopy(generator.choice(VALUES))
        else:
            node[place] = copy.deepcopy(generator.choice(VALUES))
        if not node:
            break
    data = bytearray(json.dumps(body).encode())
    if generator.random() < 0.1:
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
    return bytes(data)


@pytest.mark.parametrize(
    "count",
    [300, pytest.param(20_000, marks=[pytest.mark.integration, pytest.mark.soak])],
    ids=["few", "many"],
)
@pytest.mark.filterwarnings("ignore")
def test_mutated_bodies(http: TestClient, count: int) -> None:
    generator = random.Random(7)
    headers = {"content-type": "application/json"}
    said: set[int] = set()
    for _ in range(count):
        body = mutated(generator)
        answer = http.post("/experiment_trials", content=body, headers=headers)
        assert answer.status_code in (200, 400, 404), (answer.status_code, answer.text, body)
        assert "Traceback" not in answer.text
        said.add(answer.status_code)
    assert said == {200, 400, 404}


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
def test_schemathesis_finds_no_fault_of_the_server(http: TestClient) -> None:
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings, strategies

    schema = schemathesis.openapi.from_dict(http.get("/openapi.json").json())
    tested = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/events"):
            continue  # It lasts as long as the experiment.

        @settings(
            max_examples=40,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        @given(case=operation.as_strategy(), known=strategies.booleans())
        def one(case: Any, known: bool) -> None:
            if known and "name" in (case.path_parameters or {}):
                case.path_parameters["name"] = "e"
            told = case.as_transport_kwargs(base_url="http://testserver")
            answer = http.request(**{k: v for k, v in told.items() if k != "cookies"})
            assert answer.status_code < 500, (case, answer.text)

        http.post(
            "/v1/experiments",
            json={
                "name": "e",
                "direction": "minimize",
                "tunables": [{"name": "c", "value_type": "categorical", "choices": ["a", "b"]}],
            },
        )
        one()
        tested += 1
    assert tested >= 15
