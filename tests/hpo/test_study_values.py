"""Values of a study file: each is read exactly or rejected, and all faults are in one answer."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from benchmark.hpo.formats.project import read_project
from benchmark.hpo.spec.documents import read_document
from benchmark.hpo.spec.study_file import StudyError, define, read_study
from benchmark.store import Store

X = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}


def study(**changes: Any) -> dict[str, Any]:
    objective = {"command": ["run", "{x}"], **changes.pop("objective", {})}
    start = {"name": "s", "direction": "minimize", "tunables": [X]}
    return start | {"objective": objective} | changes


def faults_of(values: dict[str, Any]) -> list[str]:
    with pytest.raises(StudyError) as caught:
        define(values, Path())
    said = str(caught.value)
    return said.splitlines()[1:] if "\n" in said else [said.removeprefix("The study: ")]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"trials": True}, "'trials' is true; write a whole number from 1 to 10^12."),
        ({"trials": "5"}, "'trials' is '5'; write a whole number"),
        ({"trials": 5.0}, "'trials' is 5.0; write a whole number"),
        ({"trials": 10**400}, "0…; write a whole number from 1 to 10^12."),
        ({"seed": float("inf")}, "'seed' is Infinity; write a whole number from 0 to 2^32-1."),
        ({"direction": [["minimize"]]}, "'direction' of 'value_0' is ['minimize']"),
        ({"directions": ["minimize"]}, "has 'direction' and 'directions'; leave one out"),
        ({"tunables": 5}, "'tunables' is 5; write a list of tunables."),
        ({"forbidden": False}, "'forbidden' is false; write a list of expressions"),
        ({"initial": 0}, "'initial' is 0; write a list of points"),
        ({"resources": False}, "'resources' is False; it takes nodes"),
        ({"resources": {"time_s": "5"}}, "'resources' has '5' as 'time_s'"),
        ({"pruner": 0}, "'pruner' is 0"),
        ({"tune_layers": "in_trun"}, "'tune_layers' is 'in_trun'; did you mean 'in_turn'?"),
        ({"limits": {"cores": True}}, "'limits' has true as 'cores'; write a whole number"),
        ({"limits": {"memory": 1500.0}}, "'limits' has 1500.0 as 'memory'; write a whole number"),
        ({"limits": {"time": "5"}}, "'limits: time': '5' is not a number with a unit such as s."),
        ({"stop": {"cost": float("nan")}}, "'stop' has NaN as 'cost'; write a finite number."),
        ({"stop": {"cost": 10**400}}, "as 'cost'; write a number of at most 1.8e308."),
        ({"tunables": [X | {"unit": ["s"]}]}, "['s'] is not a unit"),
        ({"tunables": [X | {"layer": True}]}, "The tunable 'x' has True as 'layer'; write a text."),
        (
            {"objective": {"command": ["run", {"x": None}]}},
            "has {\"x\": null}, which is not one word; write '{x}'.",
        ),
        ({"objective": {"prepare": ["run", float("inf")]}}, "'prepare' has Infinity, which is not"),
        ({"objective": {"reset": ["a\0b"]}}, "'reset' has \"a\\u0000b\", which is not one word"),
        (
            {"objective": {"wait_ready": {"command": [["a"]]}}},
            "'wait_ready: command' has [\"a\"], which is not one word",
        ),
        ({"objective": {"environment": {"A": [1]}}}, "'environment' has [1] as 'A'"),
        ({"objective": {"environment": {1: "a"}}}, "'environment' has 1, which cannot name"),
        ({"objective": {"environment": {"A=B": 1}}}, 'has "A=B", which cannot name a variable'),
        ({"objective": {"files": False}}, "'files' is False; write a list of str values."),
        ({"objective": {"files": ["a\0b"]}}, "'files' has \"a\\u0000b\"; write names"),
        ({"objective": {"hosts": ""}}, "'hosts' has \"\"; write names that are not empty."),
        ({"pruner": {"patience": 3}}, "'pruner' has no 'name'; write {name: NAME}"),
        ({"tunables": [X | {"name": "a\0b"}]}, "'=' or a control character, or none"),
        (
            {"tunables": [X | {"default": 0}], "safe": {"margin": "10%", "step": {"x": 10**400}}},
            "write a share of the range",
        ),
        ({"objective": {"wait_ready": {"http": "http://["}}}, "is no address: Invalid IPv6 URL"),
        ({"objective": {"wait_ready": {"port": "db:" + "9" * 5000}}}, "has the port '999"),
        ({"objective": {"prune_codes": -1}}, "'prune_codes' has -1; write whole numbers from 0"),
        ({"objective": {"value": [1]}}, "'value' has [1] instead of an expression"),
        (
            {"objective": {"metrics": {"json": "stdout", "select": {"a": "(" * 3000}}}},
            "it is nested too deeply",
        ),
        (
            {"objective": {"failure": float("inf")}},
            "'failure' has Infinity instead of an expression",
        ),
    ],
)
def test_a_wrong_value_is_rejected_with_one_sentence(changes: dict[str, Any], said: str) -> None:
    (fault,) = (
        faults_of(study(**changes))
        if "tunables" not in changes
        else faults_of(study(objective={"command": ["run"]}, **changes))
    )
    assert said in fault


def test_every_fault_of_a_part_is_in_one_answer() -> None:
    stop = {"time": -1, "cost": "5", "failures": 1.0, "no_improvment": 3}
    limits = {"time": "5 parsecs", "memory": 0, "cores": -1}
    found = faults_of(study(name="a b", stop=stop, limits=limits, layer_trials=0))
    assert len(found) == 9
    for said in ("'a b'", "'time'", "'cost'", "'failures'", "'no_improvement'?", "parsecs"):
        assert sum(said in fault for fault in found) == 1, (said, found)


def test_the_name_of_a_pruner_is_a_text() -> None:
    first, second = faults_of(study(pruner={"name": ["median"]}))
    assert "'pruner' is ['median']; did you mean 'median'?" in first
    assert "'pruner' has no effect beside 'command'" in second


@pytest.mark.parametrize(
    ("benchmark", "said"),
    [
        ({"framework": 5}, ["5 as 'framework'; write its name", "no 'datasets'; write a list"]),
        ({"framework": "f", "datasets": ["a", 1]}, ["has [\"a\", 1] as 'datasets'; write a list"]),
        (
            {"framework": "f", "datasets": "a", "seeds": 0, "split": "hold", "runtime": True},
            [
                "0 as 'seeds'; write how many",
                "true as 'runtime'",
                "'hold' as 'split'; did you mean",
            ],
        ),
        (
            {"framework": "f", "datasets": "a", "seeds": [-1], "metric": {"a": 1}},
            ["[-1] as 'seeds'", "as 'metric'; write keys and values."],
        ),
    ],
)
def test_faults_of_a_benchmark(benchmark: dict[str, Any], said: list[str]) -> None:
    values = study(direction="maximize") | {"objective": {"benchmark": benchmark}}
    for part, fault in zip(said, faults_of(values), strict=True):
        assert fault.removeprefix("- ").startswith("'benchmark' has ")
        assert part in fault


def test_half_of_a_surrogate_pair_in_json_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    text = json.dumps(study(objective={"command": ["run", "\U0001f600"]}))
    file.write_text(text)
    assert read_study(file).objective.argv == ("run", "\U0001f600")
    file.write_text(text.replace("\\ude00", ""))
    with pytest.raises(StudyError, match="half of a surrogate pair"):
        read_study(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "s.yaml",
            """
            name: s
            direction: minimize
            tunables: [{name: command, value_type: double, lower_bound: 0, upper_bound: 1.50}]
            initial: [{command: 1.10}]
            environment: {python: 3.10, packages: []}
            objective:
              command: [run, 1.10, 1e-5, 0x1F, 7, true, ~, 1e400, 1e-400]
              environment: {VERSION: 1.10, PORT: 80, 1: a}
              prepare: [run, &v 2.50]
              reset: [run, *v]
              wait_ready: {command: [up, 1.0], timeout: 5.0}
            """,
        ),
        (
            "s.json",
            """{"name": "s", "direction": "minimize", "tunables": [{"name": "command",
            "value_type": "double", "lower_bound": 0, "upper_bound": 1.50}],
            "initial": [{"command": 1.10}], "environment": {"python": 3.10, "packages": []},
            "objective": {"command": ["run", 1.10, 1e-5, "0x1F", 7, true, null, 1e400, 1e-400],
            "environment": {"VERSION": 1.10, "PORT": 80, "1": "a"}, "prepare": ["run", 2.50],
            "reset": ["run", 2.50], "wait_ready": {"command": ["up", 1.0], "timeout": 5.0}}}""",
        ),
    ],
)
def test_words_of_commands_are_as_they_are_written(tmp_path: Path, name: str, text: str) -> None:
    """`1.10` is a version, and 1.1 another one."""
    file = tmp_path / name
    file.write_text(textwrap.dedent(text))
    values = read_document(file)
    objective = values["objective"]
    assert objective["command"][:6] == ["run", "1.10", "1e-5", "0x1F", 7, True]
    assert objective["command"][6:] == [None, "1e400", "1e-400"]
    assert list(objective["environment"].values()) == ["1.10", 80, "a"]
    assert (objective["prepare"], objective["reset"]) == (["run", "2.50"], ["run", "2.50"])
    assert objective["wait_ready"] == {"command": ["up", 1.0], "timeout": 5.0}
    assert values["environment"]["python"] == "3.10"
    assert (values["initial"], values["tunables"][0]["upper_bound"]) == ([{"command": 1.1}], 1.5)


@pytest.mark.parametrize("name", ["s.yaml", "s.json"])
def test_a_number_that_would_be_0_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text('{"command": [1e-400], "tunables": [{"lower_bound": 0.0}, {"step": -1e-400}]}')
    with pytest.raises(StudyError, match="'-1e-400' is too near to 0 for a floating-point number"):
        read_document(file)


def test_a_stored_study_may_have_what_an_earlier_version_took() -> None:
    objective = {"command": ["run", ["{x}"]], "files": "", "prune_codes": False, "constraints": 0}
    objective |= {"environment": {1: [2]}}
    optional = dict.fromkeys(("forbidden", "initial", "secrets", "resources", "pruner"), False)
    values = study(objective=objective, **optional) | {"tunables": [X | {"layer": 1}]}
    values |= {"directions": ["maximize"]}
    definition = define(values, Path(), stored=True)
    assert definition.objective.argv == ("run", "['{x}']")
    assert (definition.space.tunables[0].layer, definition.directions) == (1, {"value": "minimize"})
    assert definition.source == values


def said_lines(caught: pytest.ExceptionInfo[StudyError], *parts: str) -> bool:
    """Whether each line of the answer has its part."""
    first, *lines = str(caught.value).splitlines()
    assert len(lines) == len(parts), lines
    return f"has {len(parts)} faults:" in first and all(map(str.__contains__, lines, parts))


def test_all_faults_of_a_search_space_are_in_one_answer(tmp_path: Path) -> None:
    file = tmp_path / "search_space.json"
    space = {"experiment_name": "e", "total_trails": 5, "total_trials": 0, "trials": 7}
    space |= {"direction": "minimise", "tunables": [X | {"lower_bound": 2}]}
    file.write_text(json.dumps({"operation": "EXP_TRIAL_GENERATE_NEW", "search_space": space}))
    with pytest.raises(StudyError) as caught:
        read_study(file, {"objective": {"command": "run"}})
    assert said_lines(
        caught,
        "'total_trials' and 'trials' are the same; leave one out.",
        "'total_trails'; did you mean 'total_trials'?",
        "'minimise'; did you mean 'minimize'?",
        "swap them.",
    )
    file.write_text(json.dumps({key: space[key] for key in space if key != "trials"}))
    with pytest.raises(StudyError, match="'total_trials' is 0; write a whole number from 1"):
        read_study(file, {"objective": {"command": "run"}})


def test_all_faults_of_a_directory_are_in_one_answer(tmp_path: Path, folder_store: Store) -> None:
    config = {"n_trials": "5", "n_trails": 5, "direction": "minimize", "directions": ["maximize"]}
    config |= {"max_parallelism": 0.5, "pruner": "medan", "tunables": [X | {"lower_bound": 2}]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StudyError) as caught:
        read_project(tmp_path, folder_store, {})
    assert said_lines(
        caught,
        "objective_fn.py cannot be read",
        "'n_trials' is '5'; write a whole number",
        "'max_parallelism' is 0.5; write a whole number",
        "'direction' and 'directions'; leave one out.",
        "swap them.",
        "'pruner' is 'medan'; did you mean 'median'?",
    )
    (tmp_path / "config.json").write_text(json.dumps({"n_trails": 5, "compute_pool": "a"}))
    (tmp_path / "objective_fn.py").write_text("def objective(trial): return 1.0\n")
    ignored = read_project(tmp_path, folder_store, {}).ignored
    assert ignored == ("n_trails (did you mean 'n_trials'?)", "compute_pool")


def test_all_faults_of_named_files_are_in_one_answer(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"tunables: [{json.dumps(X)}]\nforbiden: []\n")
    layers = tmp_path / "s.json"
    layers.write_text(json.dumps(study(tunables=None, layers=["a.yaml"], trials=0)))
    with pytest.raises(StudyError) as caught:
        read_study(layers)
    assert said_lines(caught, "did you mean 'forbidden'?", "'trials' is 0")
    named = study(tunables=None, layers=["a.yaml", 5, "b.yaml"]) | {
        "objective": {"application": "c"}
    }
    layers.write_text(json.dumps(named))
    with pytest.raises(StudyError) as caught:
        read_study(layers)
    assert said_lines(
        caught, "'layers' holds 5", "b.yaml cannot be read", "no application 'c'", "'forbidden'?"
    )
