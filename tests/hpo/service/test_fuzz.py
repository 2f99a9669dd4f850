"""Whatever is sent, the answer is one: mutated bodies of the classic route, and schemathesis."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.process_trees import flat_memory

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

# How pydantic names a fault.
FOREIGN = ("Input should", "Value error", "String should", "List should", "validation error")


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


LONG = [pytest.mark.integration, pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    "count",
    [300, pytest.param(20_000, marks=LONG)],
    ids=["few", "many"],
)
@pytest.mark.filterwarnings("ignore")
def test_mutated_bodies(http: TestClient, count: int) -> None:
    generator = random.Random(7)
    headers = {"content-type": "application/json"}
    said: set[int] = set()
    with flat_memory(50) as step:
        for _ in range(count):
            body = mutated(generator)
            answer = http.post("/experiment_trials", content=body, headers=headers)
            assert answer.status_code in (200, 400, 404), (answer.status_code, answer.text, body)
            assert "Traceback" not in answer.text
            said.add(answer.status_code)
            step()
    assert said == {200, 400, 404}


# Operations that refuse some bodies that fit their schema, and what a schema cannot express.
INEXACT = {
    "create_experiment": "A bound is above another one, a rule and a condition name tunables.",
    "tell": "A success has as many values as this experiment has directions.",
    "add_results": "A point has a value of each tunable that this experiment declared.",
    "enqueue": "A point has a value of each tunable that this experiment declared.",
}


def without_fractions(body: Any) -> Any:
    """The body with 2 for 2.0: both are integers to a schema, the service refuses the latter."""
    if isinstance(body, dict):
        return {key: without_fractions(value) for key, value in body.items()}
    if isinstance(body, list):
        return [without_fractions(value) for value in body]
    is_whole = isinstance(body, float) and body.is_integer() and abs(body) < 2**53
    return int(body) if is_whole else body


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")
def test_schemathesis_finds_no_fault_of_the_server(http: TestClient) -> None:
    """With all of its checks, but for what a schema cannot express."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings, strategies
    from schemathesis.checks import load_all_checks
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    load_all_checks()
    schema = schemathesis.openapi.from_asgi("/openapi.json", http.app)
    tested = 0
    inexact = set(INEXACT)
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
            body = without_fractions(case.body)
            if repr(body) != repr(case.body):
                case.body = body
            answer = case.call()
            is_inexact = case.operation.definition.raw.get("operationId") in INEXACT
            excluded = [positive_data_acceptance] if is_inexact else []
            case.validate_response(answer, excluded_checks=excluded)
            assert answer.status_code < 500, (case, answer.text)
            assert not any(words in answer.text for words in FOREIGN), (case, answer.text)

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
        inexact.discard(operation.definition.raw["operationId"])
    assert tested >= 15
    assert inexact == set()
