"""The tutorials, followed as they stand; that of Slurm is followed in the tests of Slurm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.tutorials import TUTORIALS, follow


@pytest.mark.integration
@pytest.mark.parametrize("name", ["benchmark.md", "framework.md", "service.md", "optuna.md"])
def test_a_tutorial_is_followed(name: str, tmp_path: Path) -> None:
    follow(name, tmp_path)


def test_every_tutorial_is_followed_by_a_test() -> None:
    text = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    missing = [path.name for path in TUTORIALS.glob("*.md") if f'"{path.name}"' not in text]
    assert missing == []
