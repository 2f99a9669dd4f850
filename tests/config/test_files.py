"""Files of batch.config: missing, unreadable, and the quickstart without one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmark.config.loading import QUICKSTART, load_config
from benchmark.errors import ConfigError
from tests.support.configurations import load, refused


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
    assert "batch.config is not UTF-8 text" in refused()


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
