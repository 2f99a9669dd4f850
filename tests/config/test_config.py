"""batch.config: defaults, layers, and a sentence for everything that is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmark.config.loading import Config, load_config
from benchmark.config.method_options import (
    AwsOptions,
    KubernetesOptions,
    MetaflowOptions,
    RayOptions,
    SlurmOptions,
)
from tests.support.configurations import load, refused
from tests.support.documents import ROOT

DEFAULTS: dict[str, Any] = {
    "studies": [[130, "regression"], [135, "classification"]],
    "cores": 2,
    "memory": 3500,
    "runtime": 10800,
    "hard_limit": 12600,
    "s3_bucket_root": None,
    "s3_folder": None,
    "openml_api_key": None,
    "repo_ssh_key": None,
    "ec2_ssh_key": None,
    "job_queue_id": None,
    "job_definition_id": None,
    "job_name": None,
    "ecr_repo": None,
    "cluster_image": None,
    "ec2_template": None,
    "cluster_size": 100,
    "cluster_type": "c4.xlarge",
    "run": "default",
    "frameworks": None,
    "frameworks_path": [],
    "datasets": [],
    "seeds": 10,
    "split": "holdout",
    "metric": {},
    "compute": None,
    "parallel": None,
    "max_attempts": 3,
    "max_cost": None,
    "instance_types": [],
    "on_demand": False,
    "slurm": SlurmOptions(),
    "metaflow": MetaflowOptions(),
    "kubernetes": KubernetesOptions(),
    "ray": RayOptions(),
    "aws": AwsOptions(),
}


@pytest.mark.parametrize("key", Config.model_fields)
def test_default_is_as_designed(key: str) -> None:
    assert getattr(load({}).values, key) == DEFAULTS[key]


def test_no_key_of_the_design_is_lacking() -> None:
    assert set(DEFAULTS) == set(Config.model_fields)


def test_default_file_holds_every_field_with_its_default() -> None:
    values = json.loads((ROOT / "batch.config.default").read_text(encoding="utf-8"))
    assert values == DEFAULTS | {
        "slurm": {},
        "metaflow": {},
        "kubernetes": {},
        "ray": {},
        "aws": {},
    }
    assert list(values) == list(Config.model_fields)


def test_default_file_loads_as_the_defaults() -> None:
    loaded = load_config(str(ROOT / "batch.config.default"), environment={})
    assert loaded.values == Config()
    assert not loaded.quickstart


def test_layers_in_their_order() -> None:
    file = {"cores": 3, "memory": 3000, "runtime": 30}
    environment = {"AUTOML_BENCHMARK_MEMORY": "4000", "AUTOML_BENCHMARK_RUNTIME": "40"}
    values = load(file, environment, {"runtime": 50}).values
    assert (values.cores, values.memory, values.runtime) == (3, 4000, 50)
    assert values.hard_limit == 12600


def test_a_value_not_given_on_the_command_line_hides_nothing() -> None:
    assert load({"parallel": 2}, None, {"parallel": None}).values.parallel == 2


def test_the_environment_reads_json_and_text() -> None:
    environment = {
        "AUTOML_BENCHMARK_FRAMEWORKS": '["constant"]',
        "AUTOML_BENCHMARK_RUN": "evening",
        "AUTOML_BENCHMARK_ON_DEMAND": "true",
        "AUTOML_BENCHMARK_CACHE": "/somewhere",
    }
    values = load({}, environment).values
    assert [entry.name for entry in values.frameworks or []] == ["constant"]
    assert values.run == "evening"
    assert values.on_demand is True


@pytest.mark.parametrize("key", ["openml_api_key", "job_name", "run", "cluster_type"])
def test_text_in_the_environment_stays_text(key: str) -> None:
    for text in ("0123", "1e-400"):
        values = load({}, {f"AUTOML_BENCHMARK_{key.upper()}": text}).values
        assert getattr(values, key) == text


TEXTS = [
    key for key, value in DEFAULTS.items() if value is None and "_" in key and key != "max_cost"
]


@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("empty", [None, ""])
def test_null_and_empty_both_mean_unset(key: str, empty: str | None) -> None:
    assert getattr(load({key: empty}).values, key) is None


@pytest.mark.parametrize("key", DEFAULTS)
def test_null_means_the_default_for_every_key(key: str) -> None:
    assert getattr(load({key: None}).values, key) == DEFAULTS[key]


@pytest.mark.parametrize("key", DEFAULTS)
def test_empty_text_means_the_default_for_every_key(key: str) -> None:
    assert getattr(load({key: ""}).values, key) == DEFAULTS[key]


def test_null_and_empty_in_a_higher_layer_unset_a_lower_one() -> None:
    assert load({"job_name": "mine"}, {"AUTOML_BENCHMARK_JOB_NAME": ""}).values.job_name is None
    assert load({"job_name": "mine"}, {"AUTOML_BENCHMARK_JOB_NAME": "null"}).values.job_name is None
    assert load({"job_name": "mine"}, None, {"job_name": ""}).values.job_name is None


def test_an_unknown_key_in_the_file_suggests_the_nearest() -> None:
    sentence = refused({"runtme": 5})
    assert "batch.config" in sentence
    assert "'runtme'" in sentence
    assert "'runtime'" in sentence


def test_an_unknown_key_in_the_environment_names_the_variable() -> None:
    sentence = refused({}, {"AUTOML_BENCHMARK_RUNTME": "5"})
    assert "AUTOML_BENCHMARK_RUNTME" in sentence
    assert "'runtime'" in sentence


def test_an_unknown_key_on_the_command_line_names_it() -> None:
    sentence = refused({}, None, {"frameworks_pth": []})
    assert "command line" in sentence
    assert "'frameworks_path'" in sentence


def test_an_unknown_key_far_from_all_points_to_the_list() -> None:
    assert "batch.config.default" in refused({"zzzzqqqq": 1})


@pytest.mark.parametrize(
    ("place", "layers"),
    [
        ("batch.config", ({"cores": 0},)),
        ("AUTOML_BENCHMARK_CORES", ({}, {"AUTOML_BENCHMARK_CORES": "0"})),
        ("the command line", ({}, None, {"cores": 0})),
    ],
)
def test_an_impossible_value_names_its_place(place: str, layers: tuple[Any, ...]) -> None:
    sentence = refused(*layers)
    assert sentence.startswith(place)
    assert "'cores' is 0" in sentence


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"runtime": 60, "hard_limit": 59}, ["hard_limit", "59", "60"]),
        ({"s3_folder": "/mine/"}, ["s3_folder", '"/mine/"', '"mine/"']),
        ({"s3_folder": "mine"}, ["s3_folder", '"mine"', '"mine/"']),
        ({"s3_folder": "mine//"}, ["s3_folder", '"mine/"']),
        ({"s3_folder": "../mine/"}, ["s3_folder"]),
        ({"seeds": [1, 2, 1]}, ["seeds", "twice"]),
        ({"seeds": []}, ["seeds"]),
        ({"seeds": 0}, ["seeds"]),
        ({"seeds": -1}, ["seeds"]),
        ({"seeds": [-1]}, ["seeds"]),
        ({"seeds": [2**32]}, ["seeds"]),
        ({"seeds": True}, ["seeds"]),
        ({"seeds": [True]}, ["seeds"]),
        ({"seeds": "ten"}, ["seeds"]),
        ({"frameworks": ["constant", "constant"]}, ["frameworks", "constant", "twice", "as"]),
        ({"frameworks": ["constant", {"name": "rf", "as": "constant"}]}, ["frameworks", "twice"]),
        ({"frameworks": "constant"}, ["frameworks", "constant"]),
        ({"frameworks": [3]}, ["frameworks", "3"]),
        ({"frameworks": [{"nam": "constant"}]}, ["frameworks", "nam"]),
        ({"studies": [[130]]}, ["studies", "130"]),
        ({"studies": [[130, "clustering"]]}, ["studies", "clustering"]),
        ({"studies": ["stater"]}, ["studies", "stater"]),
        ({"studies": 130}, ["studies"]),
        ({"studies": [[True, "regression"]]}, ["studies", "true"]),
        ({"split": "bootstrap"}, ["split", "bootstrap", "holdout"]),
        ({"cores": True}, ["cores", "true"]),
        ({"cores": 1.5}, ["cores", "1.5"]),
        ({"cores": "2"}, ["cores", '"2"']),
        ({"cores": -1}, ["cores", "-1"]),
        ({"memory": True}, ["memory", "true"]),
        ({"memory": -5}, ["memory", "-5"]),
        ({"runtime": True}, ["runtime", "true"]),
        ({"hard_limit": True}, ["hard_limit", "true"]),
        ({"runtime": 0}, ["runtime", "0"]),
        ({"runtime": -1}, ["runtime", "-1"]),
        ({"runtime": "soon"}, ["runtime", "soon"]),
        ({"runtime": "1_000"}, ["runtime", '"1_000"; write a number']),
        ({"runtime": "015"}, ["runtime", '"015"; write a number']),
        ({"max_cost": " 5"}, ["max_cost", '" 5"; write a number']),
        ({"kubernetes": {"reserve_s": float("inf")}}, ["kubernetes", "reserve_s", "Infinity"]),
        (
            {"frameworks": [{"name": "flaml", "params": {"a": [float("nan")]}}]},
            ["frameworks", "params", "not finite or too large"],
        ),
        ({"parallel": 0}, ["parallel", "0"]),
        ({"parallel": True}, ["parallel", "true"]),
        ({"max_attempts": 0}, ["max_attempts", "0"]),
        ({"max_cost": -1}, ["max_cost", "-1"]),
        ({"max_cost": 0}, ["max_cost", "0"]),
        ({"max_cost": True}, ["max_cost", "true"]),
        ({"cluster_size": -1}, ["cluster_size", "-1"]),
        ({"on_demand": "perhaps"}, ["on_demand", "perhaps"]),
        ({"metric": {"clustering": "auc"}}, ["metric", "clustering"]),
        ({"compute": "local"}, ["compute", "local"]),
        ({"run": "../x"}, ["run", "../x"]),
        ({"run": "a/../x"}, ["run", "a/../x"]),
        ({"run": "/x"}, ["run", "/x"]),
        ({"run": "x/"}, ["run", "x/"]),
        ({"run": ".x"}, ["run", ".x"]),
        ({"run": "a b"}, ["run", "a b"]),
        ({"run": "a\n"}, ["run"]),
        ({"run": "é"}, ["run"]),
        ({"run": "x" * 65}, ["run"]),
        ({"run": "datasets"}, ["run", "datasets"]),
        ({"run": "datasets/x"}, ["run", "datasets"]),
        ({"run": "code"}, ["run", "code"]),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)
def test_impossible_values_are_refused_by_name(values: dict[str, Any], named: list[str]) -> None:
    sentence = refused(values)
    for word in named:
        assert word in sentence


def test_a_number_as_text_is_one_of_json() -> None:
    values = load({"runtime": "1e3", "max_cost": "2.50"}).values
    assert (values.runtime, values.max_cost) == (1000.0, 2.5)


@pytest.mark.parametrize("key", ["runtime", "hard_limit", "max_cost"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(key: str, number: str) -> None:
    assert key in refused(f'{{"{key}": {number}}}')


def test_the_store_keeps_datasets_and_code_but_not_names_like_them() -> None:
    assert load({"run": "datasets2"}).values.run == "datasets2"


def test_a_key_that_stands_twice_is_refused_with_its_name() -> None:
    sentence = refused('{"cores": 1, "cores": 2}')
    assert '"cores"' in sentence
    assert "twice" in sentence


def test_secrets_are_not_shown() -> None:
    loaded = load({"openml_api_key": "s3cr3t", "repo_ssh_key": "s3cr3t", "ec2_ssh_key": "s3cr3t"})
    assert "s3cr3t" not in repr(loaded)
    assert "s3cr3t" not in str(loaded.values)
    assert loaded.values.openml_api_key == "s3cr3t"


def test_a_secret_of_the_wrong_type_is_not_shown_in_the_error() -> None:
    assert "s3cr3t" not in refused({"openml_api_key": ["s3cr3t"]})


def test_several_faults_are_all_told() -> None:
    sentence = refused({"cores": 0, "memory": 1})
    assert "'cores'" in sentence
    assert "'memory'" in sentence


@pytest.mark.parametrize(
    ("root", "folder", "url"),
    [
        (None, None, "./runs/"),
        ("bucket", None, "s3://bucket/"),
        ("bucket", "mine/", "s3://bucket/mine/"),
        ("/data/results", None, "/data/results/"),
        ("./here/", "mine/", "./here/mine/"),
        ("s3://bucket", None, "s3://bucket/"),
        (".", None, "./"),
    ],
)
def test_where_results_go(root: str | None, folder: str | None, url: str) -> None:
    assert Config(s3_bucket_root=root, s3_folder=folder).store_url == url


PLAIN: list[tuple[dict[str, Any], str]] = [
    ({"cores": "x"}, "'cores' is \"x\"; write a whole number"),
    ({"cores": 10**400}, "write a number of at most 1,000,000,000"),
    ({"memory": 3}, "'memory' is 3; write a number of at least 16"),
    ({"runtime": "a"}, "'runtime' is \"a\"; write a number."),
    ({"run": 5}, "'run' is 5; write a text"),
    ({"frameworks": "x"}, "'frameworks' is \"x\"; write a list"),
    ({"frameworks": [None]}, "'frameworks[0]' is null; write a name"),
    ({"frameworks": [{"name": "constant", "params": 5}]}, '["params"]\' is 5; write an object'),
    ({"on_demand": "yes"}, "'on_demand' is \"yes\"; write true or false"),
    ({"slurm": {"pilot": 5}}, "'slurm[\"pilot\"]' is 5; write an object"),
    ({"split": 5}, "'split' is 5; write 'holdout', 'cv' or 'openml'"),
    ({"frameworks": ["a\x1bb"]}, '"a\\u001bb", which is not a framework\'s name'),
    ({"frameworks": [{"name": "rf", "as": "\u202eab"}]}, '"\\u202eab", which is not a name'),
    ({"frameworks": [{"name": "rf", "as": "=1+1"}]}, '"=1+1", which is not a name'),
    ({"frameworks": [{"name": "rf", "as": "x" * 101}]}, "at most 100 printable characters"),
    ({"s3_bucket_root": "a\x00/"}, '"a\\u0000/", which holds a character that cannot be printed'),
    ({"a\x1bkey": 1}, "unknown key 'a\\u001bkey'"),
]


@pytest.mark.parametrize(("values", "words"), PLAIN, ids=[str(values)[:40] for values, _ in PLAIN])
def test_a_wrong_value_is_told_in_plain_words(values: dict[str, Any], words: str) -> None:
    sentence = refused(values)
    assert words in sentence
    assert sentence.isprintable()
    assert not any(word in sentence for word in ("nput should", "valid", "instance", "Entry"))
