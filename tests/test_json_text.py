"""JSON that people and tools write: each key once, without its byte order mark."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize("number", ["1e-400", "-1E-999", "0.00001e-330", "2.5e-324000"])
def test_a_number_that_would_be_0_is_refused(number: str) -> None:
    with pytest.raises(json_text.VanishingNumberError, match=f"'{number}' is too near to 0 for a"):
        json_text.load(f'{{"a": [1, {number}]}}')
    assert json_text.load(number, numbers=str) == number
    assert json_text.load(number, rounded=True) == 0
    assert json_text.load("[0.0, -0e-5, 5e-324]") == [0.0, 0.0, 5e-324]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((text, 'the key "a" occurs twice') for text in TWICE[:2]),
        ('{"a": [1e-400]}', "'1e-400' is too near to 0 for a floating-point number"),
    ],
)
def test_wherever_people_write_json(
    text: str, said: str, tmp_path: Path, folder_store: Store
) -> None:
    (tmp_path / "batch.config").write_text(text, encoding="utf-8-sig")
    with pytest.raises(ConfigError, match=said):
        load_config(str(tmp_path / "batch.config"), environment={})
    with pytest.raises(ConfigError, match=rf"AUTOML_\w+ is not JSON: {said}"):
        load_config(None, environment={"AUTOML_BENCHMARK_COMPUTE": text})
    with pytest.raises(ConfigError, match=f"--set compute is not JSON: {said}"):
        _pair(f"compute={text}")
    (tmp_path / "config.json").write_text(text, encoding="utf-8-sig")
    with pytest.raises(StudyError, match=said):
        read_project(tmp_path, folder_store, {})
