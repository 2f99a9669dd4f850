"""Which Java H2O runs on, where a machine has several."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from benchmark.runs.doctor.machine import java_search
from tests.frameworks.conftest import fake_java


@pytest.mark.parametrize("variable", ["JAVA_HOME", "H2O_JAVA_HOME", None])
def test_a_java_that_h2o_knows_comes_first(
    variable: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """H2O takes that of H2O_JAVA_HOME, then PATH's, and only then that of JAVA_HOME."""
    fake_java(tmp_path / "new", "21.0.1")
    good = fake_java(tmp_path / "home" / "bin", "17.0.2")
    search = java_search()
    monkeypatch.setattr(search, "PLACES", () if variable else (f"{tmp_path}/home/bin/java",))
    monkeypatch.setenv("PATH", str(tmp_path / "new"))
    for name in ("JAVA_HOME", "H2O_JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    search.choose()
    assert shutil.which("java") == str(good)
    assert "H2O_JAVA_HOME" not in os.environ


def test_an_unknown_java_of_h2os_own_variable_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_java(tmp_path / "new" / "bin", "21.0.1")
    good = fake_java(tmp_path / "old", "11.0.2")
    monkeypatch.setenv("H2O_JAVA_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "old"))
    search = java_search()
    search.choose()
    assert shutil.which("java") == str(good)
    assert "H2O_JAVA_HOME" not in os.environ
