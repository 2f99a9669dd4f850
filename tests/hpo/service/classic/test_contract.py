"""The classic contract over REST: every route, status code and phrase."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

NAME = "petclinic-sample-2-75884c5549-npvgd"
SPACE: dict[str, Any] = {
    "experiment_name": NAME,
    "total_trials": 5,
    "parallel_trials": 1,
    "experiment_id": "a123",
    "value_type": "double",
    "hpo_algo_impl": "optuna_tpe",
    "objective_function": "transaction_response_time",
    "tunables": [
        {
            "value_type": "double",
            "lower_bound": 150,
            "name": "memoryRequest",
            "upper_bound": 300,
            "step": 1,
        },
        {
            "value_type": "double",
            "lower_bound": 1,
            "name": "cpuRequest",
            "upper_bound": 3,
            "step": 0.01,
        },
        {"value_type": "categorical", "name": "gc", "choices": ["G1", "Z"]},
    ],
    "direction": "minimize",
}
RESULT = {
    "experiment_name": NAME,
    "trial_number": 0,
    "trial_result": "success",
    "result_value_type": "double",
    "result_value": 98.78,
    "operation": "EXP_TRIAL_RESULT",
}
DROP = object()
Http = TestClient


def post(http: Http, body: Any) -> tuple[int, str]:
    answer = http.post("/experiment_trials", json=body)
    return answer.status_code, answer.text


def new(http: Http, **changes: Any) -> tuple[int, str]:
    return post(
        http, {"operation": "EXP_TRIAL_GENERATE_NEW", "search_space": changed(SPACE, changes)}
    )


def tell(http: Http, **changes: Any) -> tuple[int, str]:
    return post(http, changed(RESULT, changes))


def subsequent(http: Http, name: Any = NAME) -> tuple[int, str]:
    return post(http, {"operation": "EXP_TRIAL_GENERATE_SUBSEQUENT", "experiment_name": name})


def config(http: Http, **query: Any) -> tuple[int, str]:
    answer = http.get("/experiment_trials", params=query)
    return answer.status_code, answer.text


def changed(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (values | changes).items() if value is not DROP}


def test_an_experiment_from_new_to_delete(http: Http) -> None:
    assert new(http) == (200, "0")
    for number in range(5):
        answer = http.get(
            "/experiment_trials", params={"experiment_name": NAME, "trial_number": number}
        )
        assert answer.status_code == 200
        found = {one["tunable_name"]: one["tunable_value"] for one in answer.json()}
        assert list(found) == ["memoryRequest", "cpuRequest", "gc"]
        assert 150 <= found["memoryRequest"] <= 300
        assert found["gc"] in ("G1", "Z")
        assert tell(http, trial_number=number, result_value=-0.123456789) == (
            200,
            "Result posted successfully!",
        )
        said = (
            (200, str(number + 1))
            if number < 4
            else (400, f"Trials completed for experiment: {NAME}")
        )
        assert subsequent(http) == said
    best = http.get(f"/v1/experiments/{NAME}/best").json()
    assert best["values"] == [-0.123456789]
    for operation in ("EXP_DELETE", "EXP_STOP"):
        body = {"operation": operation, "experiment_name": NAME}
        assert post(http, body) == (200, "Experiment deleted!")
        assert post(http, body) == (404, "Experiment not found!")
        assert new(http) == (200, "0")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"experiment_name": DROP}, "'experiment_name' is a required property"),
        ({"experiment_id": DROP}, "'experiment_id' is a required property"),
        ({"total_trials": DROP}, "'total_trials' is a required property"),
        ({"objective_function": DROP}, "'objective_function' is a required property"),
        ({"tunables": DROP}, "'tunables' is a required property"),
        ({"direction": DROP}, "'direction' is a required property"),
        (
            {"direction": DROP, "tunables": DROP},
            "'tunables' is a required property, 'direction' is a required property",
        ),
        ({"experiment_name": None}, "Parameters cannot be empty or null!"),
        ({"experiment_name": " "}, "Parameters cannot be empty or null!"),
        ({"experiment_id": ""}, "Parameters cannot be empty or null!"),
        ({"tunables": []}, "Parameters cannot be empty or null!"),
        ({"cpu": 1}, "Additional properties are not allowed ('cpu' was unexpected)"),
        ({"total_trials": 0}, "Total trials should be greater than 0!"),
        ({"total_trials": -3}, "Total trials should be greater than 0!"),
        ({"total_trials": 10**6 + 1}, "At most 1000000 trials are allowed!"),
        ({"parallel_trials": 10**7}, "At most 1000000 trials are allowed!"),
        ({"total_trials": "5"}, "Only Integer value is allowed!"),
        ({"direction": "xyz"}, "Direction not supported!"),
        ({"hpo_algo_impl": "xyz"}, "HPO algorithm not supported!"),
        ({"hpo_algo_impl": "os:system"}, "HPO algorithm not supported!"),
        ({"value_type": "xyz"}, "Unsupported value type!"),
        ({"parallel_trials": 0}, "Parallel Trials value should be greater than 0!"),
        (
            {"direction": "up", "total_trials": 0},
            "Total trials should be greater than 0!, Direction not supported!",
        ),
    ],
)
def test_search_spaces_that_are_refused(http: Http, changes: dict[str, Any], said: str) -> None:
    assert new(http, **changes) == (400, said)
    assert new(http) == (200, "0")  # the name is free


def test_all_faults_of_a_search_space_are_in_one_answer(http: Http) -> None:
    bad = [
        {"name": "x", "value_type": "double", "lower_bound": 3, "upper_bound": 1},
        {"name": "y", "value_type": "categorical"},
    ]
    faults = {"direction": "up", "total_trials": None, "value_type": 3, "tunables": bad}
    code, said = new(http, **faults, experiment_id=DROP, experiment_name="a\tb")
    phrases = [
        "'experiment_id' is a required property",
        "Parameters cannot be empty or null!",
        "3 is not of type 'string'",
        "Direction not supported!",
        "Unsupported value type!",
    ]
    assert code == 400
    assert said == ", ".join(
        [
            *phrases,
            "The experiment's name 'a\\tb' has characters that cannot be shown; leave them out.",
            "The tunable 'x' has the lower_bound 3 above the upper_bound 1; swap them.",
            "The tunable 'y' is categorical and has no choices; list them under 'choices'.",
        ]
    )
    # What depends on the tunables is not judged where these have the fault.
    assert new(http, direction="up", tunables="x", initial=[{"z": 1}]) == (
        400,
        "Direction not supported!, 'tunables' is not of type 'array'",
    )


def test_a_bad_tunable_is_said_at_once_and_leaves_the_name_free(http: Http) -> None:
    bad = [{"name": "x", "value_type": "double", "lower_bound": 3, "upper_bound": 1}]
    code, said = new(http, tunables=bad)
    assert code == 400
    assert "'x' has the lower_bound 3 above the upper_bound 1" in said
    assert new(http) == (200, "0")
    assert new(http) == (400, "Experiment already exists!")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ([], "Invalid JSON structure: an object is expected"),
        ("text", "Invalid JSON structure: an object is expected"),
        ({}, "'operation' is a required property!"),
        ({"operation": "xyz"}, "Invalid Operation value!"),
        ({"operation": ["EXP_DELETE"]}, "Invalid Operation value!"),
        ({"operation": None}, "Parameters cannot be empty or null!"),
        ({"operation": " "}, "Parameters cannot be empty or null!"),
        ({"operation": "EXP_TRIAL_GENERATE_NEW"}, "'search_space' is a required property"),
        (
            {"operation": "EXP_TRIAL_GENERATE_NEW", "search_space": "s"},
            "Invalid JSON structure: 'search_space' is no object",
        ),
        (
            {"operation": "EXP_TRIAL_GENERATE_NEW", **SPACE},
            "'search_space' is a required property, Additional properties are not allowed "
            + "("
            + ", ".join(f"'{key}'" for key in SPACE)[:200]
            + " was unexpected)",
        ),
        (
            {"operation": "EXP_TRIAL_GENERATE_SUBSEQUENT"},
            "'experiment_name' is a required property",
        ),
        (
            {"operation": "EXP_DELETE", "experiment_name": None},
            "Parameters cannot be empty or null!",
        ),
        (
            {"operation": "EXP_DELETE", "experiment_name": ["x"]},
            "Parameters cannot be empty or null!",
        ),
    ],
)
def test_bodies_that_are_refused(http: Http, body: Any, said: str) -> None:
    assert post(http, body) == (400, said)


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"experiment_name": DROP}, 400, "'experiment_name' is a required property"),
        ({"trial_number": DROP}, 400, "'trial_number' is a required property"),
        ({"trial_result": DROP}, 400, "'trial_result' is a required property"),
        ({"result_value_type": DROP}, 400, "'result_value_type' is a required property"),
        ({"result_value": DROP}, 400, "'result_value' is a required property"),
        ({"experiment_name": " "}, 400, "Parameters cannot be empty or null!"),
        ({"trial_number": None}, 400, "Parameters cannot be empty or null!"),
        ({"trial_result": " "}, 400, "Trial result status is invalid!"),
        ({"trial_result": ""}, 400, "Trial result status is invalid!"),
        ({"trial_result": None}, 400, "Parameters cannot be empty or null!"),
        ({"result_value_type": " "}, 400, "Unsupported value type!"),
        ({"result_value_type": ""}, 400, "Unsupported value type!"),
        ({"result_value_type": None}, 400, "Parameters cannot be empty or null!"),
        ({"result_value": None}, 400, "Parameters cannot be empty or null!"),
        ({"more": 1}, 400, "Additional properties are not allowed ('more' was unexpected)"),
        ({"trial_number": -1}, 400, "Trial number cannot be negative!"),
        ({"trial_number": 10000}, 400, "Requested trial exceeds the completed trial limit!"),
        ({"trial_number": "0"}, 400, "Only Integer value is allowed!"),
        ({"trial_number": 0.5}, 400, "Only Integer value is allowed!"),
        ({"trial_number": True}, 400, "Only Integer value is allowed!"),
        ({"trial_result": "xyz"}, 400, "Trial result status is invalid!"),
        ({"result_value_type": "xyz"}, 400, "Unsupported value type!"),
        ({"result_value": "98"}, 400, "Value and value type do not match!"),
        (
            {"result_value_type": "int", "result_value": 1.5},
            400,
            "Value and value type do not match!",
        ),
        (
            {"trial_number": -1, "trial_result": "xyz", "result_value": "98"},
            400,
            "Trial number cannot be negative!, Trial result status is invalid!, "
            "Value and value type do not match!",
        ),
        ({"experiment_name": "other"}, 404, "Experiment not found!"),
    ],
)
def test_results_that_are_refused(
    http: Http, changes: dict[str, Any], code: int, said: str
) -> None:
    new(http)
    assert tell(http, **changes) == (code, said)
    assert tell(http) == (200, "Result posted successfully!")
    assert tell(http) == (400, "Requested trial is already completed!")


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ({}, 400, "Missing required parameters: experiment_name, trial_number"),
        ({"experiment_name": NAME}, 400, "Missing required parameters: trial_number"),
        ({"trial_number": 0}, 400, "Missing required parameters: experiment_name"),
        ({"experiment_name": "", "trial_number": 0}, 400, "Parameters cannot be empty or null!"),
        (
            {"experiment_name": "null", "trial_number": 0},
            400,
            "Parameters cannot be empty or null!",
        ),
        ({"experiment_name": NAME, "trial_number": ""}, 400, "Parameters cannot be empty or null!"),
        ({"experiment_name": NAME, "trial_number": "xyz"}, 400, "Only Integer value is allowed!"),
        ({"experiment_name": NAME, "trial_number": -1}, 400, "Trial number cannot be negative!"),
        (
            {"experiment_name": NAME, "trial_number": 10000},
            400,
            "Requested trial exceeds the completed trial limit!",
        ),
        ({"experiment_name": "x", "trial_number": 0}, 404, "Experiment not found!"),
    ],
)
def test_questions_that_are_refused(
    http: Http, query: dict[str, Any], code: int, said: str
) -> None:
    new(http)
    assert config(http, **query) == (code, said)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"a": NaN}', b"\xff\xfe", b"[" * 100_000, b"9" * 5000, b'{"a": 1, "a": 2}'],
)
def test_no_json(http: Http, body: bytes) -> None:
    answer = http.post(
        "/experiment_trials", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.text.startswith("Invalid JSON structure: ")


def test_content_type_and_place(http: Http) -> None:
    answer = http.post("/experiment_trials", content="{}", headers={"content-type": "text/plain"})
    assert (answer.status_code, answer.text) == (
        400,
        "Invalid content type. Should be application/json!",
    )
    for path in ("/nowhere", "/experiment_trials/x"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (
            404,
            "Could not be find requested resource. Please check the URL!",
        )
    assert http.get("/health").text == "OK"
    assert subsequent(http, "other") == (404, "Experiment not found!")


def test_pages_do_not_carry_a_name_as_markup(http: Http) -> None:
    assert new(http, experiment_name="<script>alert(1)</script>") == (200, "0")
    page = http.get("/listexperiments").text
    assert "<script>alert" not in page
    assert http.get("/").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    "kind", ["tunable_importance", "optimization_history", "slice", "parallel_coordinate"]
)
@pytest.mark.filterwarnings("ignore")
def test_plots_from_two_results_on(http: Http, kind: str) -> None:
    new(http)
    place = f"/plot?experiment_name={NAME}&type={kind}"
    assert http.get(place).status_code == 400
    for number in range(2):
        tell(http, trial_number=number, result_value=number)
        subsequent(http)
    answer = http.get(place)
    assert answer.status_code == 200
    assert "<html" in answer.text


def test_plots_that_are_refused(http: Http) -> None:
    new(http)
    assert http.get("/plot").text == "Missing required parameters: experiment_name"
    assert http.get("/plot?experiment_name=").text == "Parameters cannot be empty or null!"
    assert http.get("/plot?experiment_name=x").status_code == 404
    assert http.get(f"/plot?experiment_name={NAME}&type=xyz").status_code == 400


def test_failure_goes_on_and_error_ends(http: Http) -> None:
    new(http)
    assert tell(http, trial_result="failure")[0] == 200
    assert subsequent(http) == (200, "1")
    assert tell(http, trial_number=1, trial_result="error")[0] == 200
    assert subsequent(http) == (400, f"Trials completed for experiment: {NAME}")
    summary = http.get(f"/v1/experiments/{NAME}").json()
    assert (summary["failures"], summary["successes"], summary["state"]) == (2, 0, "stopped")


def test_several_at_once_and_a_lost_answer(http: Http) -> None:
    new(http, parallel_trials=3)
    assert [subsequent(http)[1] for _ in range(2)] == ["1", "2"]
    assert subsequent(http) == (200, "0")
    tell(http, trial_number=1)
    assert subsequent(http) == (200, "3")
