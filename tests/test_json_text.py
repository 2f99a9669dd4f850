"""JSON that people and tools write: each key once, without its byte order mark."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.cli.session import _pair
from benchmark.config.loading import load_config
from benchmark.errors import ConfigError
from benchmark.files import json_text
from benchmark.hpo.formats.project import read_project
from benchmark.hpo.spec.documents import StudyError
from benchmark.store import Store

TWICE = (
    '{"a": 1, "a": 1}',
    '{"a": 1, "b": 2, "a": null}',
    '[{"x": {"a": 1, "\\u0061": 2}}]',
    '{"": 1, "": 2}',
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
@settings(max_examples=50)
def test_it_reads_what_json_reads(value: object) -> None:
    text = json.dumps(value)
    assert repr(json_text.load("\ufeff" + text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", TWICE)
def test_a_key_stands_once(text: str) -> None:
    with pytest.raises(json_text.RepeatedKeyError, match=r'the key "a?" occurs twice'):
        json_text.load(text)


@pytest.mark.parametrize("text", TWICE[:2])
def test_wherever_people_write_json(text: str, tmp_path: Path, folder_store: Store) -> None:
    (tmp_path / "batch.config").write_text(text, encoding="utf-8-sig")
    with pytest.raises(ConfigError, match=r'the key "a" occurs twice'):
        load_config(str(tmp_path / "batch.config"), environment={})
    with pytest.raises(ConfigError, match=r'AUTOML_\w+ is not JSON: the key "a" occurs twice'):
        load_config(None, environment={"AUTOML_BENCHMARK_COMPUTE": text})
    with pytest.raises(ConfigError, match=r'--set compute is not JSON: the key "a" occurs twice'):
        _pair(f"compute={text}")
    (tmp_path / "config.json").write_text(text, encoding="utf-8-sig")
    with pytest.raises(StudyError, match=re.escape('the key "a" occurs twice')):
        read_project(tmp_path, folder_store, {})
