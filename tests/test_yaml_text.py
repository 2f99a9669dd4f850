"""YAML that unfolds to more than it says, and what stays allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from benchmark import yaml_text
from benchmark.data import Catalogue
from benchmark.errors import ConfigError
from benchmark.hpo.documents import StudyError, read_document

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_aliases_are_read() -> None:
    assert yaml_text.load("a: &x {n: 1}\nb: *x\nc: {<<: *x}") == {
        **{"a": {"n": 1}, "b": {"n": 1}},
        "c": {"n": 1},
    }
    assert yaml_text.load("") is None


@pytest.mark.parametrize("text", [BOMB, "a: &a [*a]", "a: &a {b: *a}"])
def test_what_unfolds_without_end_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(yaml.YAMLError, match="unfold"):
        yaml_text.load(text)
    file = tmp_path / "bomb.yaml"
    file.write_text(text)
    with pytest.raises(StudyError, match="unfold") as raised:
        read_document(file)
    assert len(str(raised.value)) < 1000
    with pytest.raises(ConfigError, match="unfold"):
        Catalogue([], [str(file)]).names()


def test_tags_build_nothing() -> None:
    with pytest.raises(yaml.YAMLError, match="python/object"):
        yaml_text.load("!!python/object/apply:os.system ['true']")
