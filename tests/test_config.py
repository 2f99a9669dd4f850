"""batch.config: defaults, layers, and a sentence for everything that is wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmark.config import QUICKSTART, Config, LoadedConfig, SlurmOptions, load_config
from benchmark.config_keys import MetaflowOptions
from benchmark.errors import ConfigError

ROOT = Path(__file__).parents[1]
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
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(
    file: object = None,
    environment: dict[str, str] | None = None,
    overrides: dict[str, Any] | None = None,
) -> LoadedConfig:
    """Load from a batch.config that holds `file`; a str is written as it is."""
    if file is not None:
        text = file if isinstance(file, str) else json.dumps(file)
        Path("batch.config").write_text(text, encoding="utf-8")
    return load_config(overrides=overrides, environment=environment or {})


def refused(*layers: Any, **keywords: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*layers, **keywords)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "pydantic" not in sentence
    return sentence


@pytest.mark.parametrize("key", Config.model_fields)
def test_default_is_as_designed(key: str) -> None:
    assert getattr(load({}).values, key) == DEFAULTS[key]


def test_no_key_of_the_design_is_lacking() -> None:
    assert set(DEFAULTS) == set(Config.model_fields)


def test_default_file_holds_every_field_with_its_default() -> None:
    values = json.loads((ROOT / "batch.config.default").read_text(encoding="utf-8"))
    assert values == DEFAULTS | {"slurm": {}, "metaflow": {}}
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
    values = load({}, {f"AUTOML_BENCHMARK_{key.upper()}": "0123"}).values
    assert getattr(values, key) == "0123"


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


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_file_is_refused_with_what_to_do(text: str) -> None:
    assert "is empty; copy batch.config.default" in refused(text)


@pytest.mark.parametrize("text", ["{", "cores = 2", '{"cores": 2,}', "[" * 100_000])
def test_what_is_not_json_is_refused_with_the_file(text: str) -> None:
    assert "batch.config is not JSON" in refused(text)


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ('"a"', "str"), ("3", "int")])
def test_json_that_is_no_object_is_refused(text: str, kind: str) -> None:
    assert re.search(rf"batch\.config holds an? {kind}\b.*object", refused(text))


def test_a_folder_in_place_of_the_file_is_refused() -> None:
    Path("batch.config").mkdir()
    assert "batch.config is a folder" in refused()


def test_bytes_that_are_no_text_are_refused() -> None:
    Path("batch.config").write_bytes(b'{"job_name": "\xff\xfe"}')
    assert "batch.config is no UTF-8 text" in refused()


def test_a_byte_order_mark_is_no_fault() -> None:
    Path("batch.config").write_bytes(b"\xef\xbb\xbf" + b'{"cores": 1}')
    assert load().values.cores == 1


def test_a_named_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no configuration file mine\.config"):
        load_config("mine.config", environment={})


def test_quickstart_exactly_without_a_file() -> None:
    loaded = load()
    assert loaded.quickstart
    assert loaded.file is None
    for key in ("studies", "seeds", "cores", "runtime", "hard_limit", "compute"):
        assert getattr(loaded.values, key) == QUICKSTART[key]
    assert loaded.values.store_url.rstrip("/") == "./runs"
    with_file = load({})
    assert not with_file.quickstart
    assert with_file.file == "batch.config"


def test_quickstart_not_with_a_named_file() -> None:
    Path("mine.config").write_text("{}", encoding="utf-8")
    assert not load_config("mine.config", environment={}).quickstart


def test_the_quickstart_by_its_name_beside_a_file() -> None:
    Path("batch.config").write_text('{"runtime": 77}')
    loaded = load_config("quickstart", environment={})
    assert (loaded.quickstart, loaded.file) == (True, None)
    assert loaded.values.runtime == QUICKSTART["runtime"]


def test_a_dangling_link_is_a_missing_file_not_the_quickstart() -> None:
    Path("batch.config").symlink_to("nowhere")
    refused()


def test_other_layers_lie_over_the_quickstart() -> None:
    loaded = load(None, {"AUTOML_BENCHMARK_RUNTIME": "20"}, {"cores": 2})
    assert loaded.quickstart
    assert (loaded.values.runtime, loaded.values.cores) == (20, 2)


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
