"""Frameworks of other packages: found by entry point, never imported, broken ones told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.config.plugins import extensions
from benchmark.files.removal import remove_tree
from benchmark.frameworks import get, scan
from tests.support.plugins import FRAMEWORKS, PACKAGE, install, install_example


def test_a_package_brings_a_framework_and_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(install_example(tmp_path))
    before = set(sys.modules)
    found = scan()
    assert found.frameworks["nearest"].folder == tmp_path / "automl_plugin" / "nearest"
    assert found.frameworks["nearest"].lock == get("random-forest").lock
    assert get("Nearest") == found.frameworks["nearest"]
    assert not {name for name in set(sys.modules) - before if name.startswith("automl_plugin")}
    assert not [text for text in found.warnings if "automl" in text]


def test_what_is_installed_or_removed_later_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    assert extensions(FRAMEWORKS) == []
    install(tmp_path, "late", {FRAMEWORKS: {"late": "late_package"}})
    assert [extension.package for extension in extensions(FRAMEWORKS)] == ["late"]
    assert remove_tree(tmp_path / "late-1.0.dist-info") is None
    assert extensions(FRAMEWORKS) == []


def test_without_the_package_there_is_none() -> None:
    assert "nearest" not in scan().frameworks


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nowhere.at.all", "nowhere.at.all, which is not installed"),
        ("empty_package", "There is no framework.toml"),
        ("broken_package", "lacks the key"),
        ("taken_package", "is taken by"),
        ("sys", "is not in a single folder (sys)"),
    ],
)
def test_a_broken_one_is_a_warning_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    texts = {
        "empty_package": None,
        "broken_package": 'description = "x"\n',
        "taken_package": 'name = "constant"\ndescription = "x"\nversion_of = "numpy"\n',
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        # Whoever imports it learns it here.
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('it was imported')\n")
        (tmp_path / name / "adapter.py").write_text("pass\n")
        (tmp_path / name / "requirements.lock").write_text("numpy==2.4.6\n")
        if text:
            (tmp_path / name / "framework.toml").write_text(text)
    install(tmp_path, "ruin", {FRAMEWORKS: {"odd": value}})
    monkeypatch.syspath_prepend(tmp_path)
    found = scan()
    told = [text for text in found.warnings if "of the package ruin" in text]
    assert len(told) == 1
    assert words in told[0]
    assert {"constant", "random-forest"} <= set(found.frameworks)


def test_own_folders_come_before_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(install_example(tmp_path / "site"))
    home = tmp_path / "own" / "nearest"
    home.mkdir(parents=True)
    (home / "framework.toml").write_text(
        'description = "mine"\nversion_of = "numpy"\nenvironment = "random-forest"\n'
    )
    (home / "adapter.py").write_text("pass\n")
    found = scan([tmp_path / "own"])
    assert found.frameworks["nearest"].folder == home
    assert [text for text in found.warnings if "is taken by" in text]


@pytest.mark.integration
def test_the_example_package_installs_for_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uv makes of its pyproject.toml is what the other tests assume."""
    from benchmark.frameworks.uv import find_uv

    site, source = tmp_path / "site", tmp_path / "source"
    shutil.copytree(PACKAGE, source)  # A build leaves files in the folder that it builds.
    command = [str(find_uv()), "pip", "install", "--no-deps", "--target", str(site)]
    subprocess.run([*command, str(source)], check=True, capture_output=True)
    monkeypatch.syspath_prepend(site)
    assert scan().frameworks["nearest"].folder.is_relative_to(site)
    points = extensions("automl_benchmark.dispatchers")
    assert [(one.name, one.package) for one in points] == [("one-by-one", "automl-plugin")]
