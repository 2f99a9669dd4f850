"""A new framework's folder works as it stands; locking and what is refused."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.frameworks import get, locks, scan
from benchmark.frameworks.environments import canonical
from benchmark.frameworks.new import make
from benchmark.frameworks.registry import of_folder

Program = Callable[..., subprocess.CompletedProcess[str]]


def test_the_template_is_a_whole_framework(tmp_path: Path) -> None:
    folder = make("my-boost", tmp_path)
    framework = of_folder(folder)
    assert framework == scan([tmp_path]).frameworks["my-boost"]
    assert framework.lock.read_text() == get("random-forest").lock.read_text()
    known = locks.versions(framework.lock.read_text())
    for line in locks.requirements_of(framework).splitlines():
        name, _, version = line.partition("==")
        if not line.startswith("#"):
            assert not version or known[canonical(name)] == {version}
    assert "scikit-learn" in known


def test_the_template_is_no_framework_itself() -> None:
    assert "NAME" not in scan().frameworks
    assert not [text for text in scan().warnings if "template" in text]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a/b", "is not a valid name"),
        ("", "is not a valid name"),
        ("../up", "is not a valid name"),
        ("Constant", "is taken by"),
        ("there", "exists already"),
    ],
)
def test_what_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(BenchmarkError, match=words):
        make(name, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_name_that_another_one_beside_it_has_is_refused(tmp_path: Path) -> None:
    make("my-boost", tmp_path)
    with pytest.raises(BenchmarkError, match=r"taken by .*my-boost"):
        make("My_Boost", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["my-boost"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match=r"cannot be created: .*; name .* with --path\."):
        make("mine", tmp_path / "file")


def test_locking_keeps_what_need_not_change(
    program: Program, command: Program, tmp_path: Path
) -> None:
    """A lock is written for a folder that has none, then stays as it is."""
    folder = tmp_path / "work" / "small"
    folder.mkdir()
    (folder / "framework.toml").write_text('description = "x"\nversion_of = "threadpoolctl"\n')
    (folder / "adapter.py").write_text("pass\n")
    (folder / "requirements.in").write_text("threadpoolctl<3.6\n")
    assert "requirements.lock, which is missing" in command("frameworks", "check", "small").stderr
    ended = program("frameworks", "lock", "small", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["packages"] == 1
    first = (folder / "requirements.lock").read_text()
    assert locks.versions(first) == {"threadpoolctl": {"3.5.0"}}
    assert str(tmp_path) not in first
    (folder / "requirements.in").write_text("threadpoolctl\n")
    assert command("frameworks", "lock", "small").returncode == 0
    assert (folder / "requirements.lock").read_text() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new"], "needs a name"),
        (["new", "a/b"], "is not a valid name"),
        (["check", "./nowhere"], "There is no framework.toml in nowhere"),
        (["check", "constnt"], "did you mean constant"),
        (["lock", "random-forest"], "is part of the program"),
        (["make", "x"], "make"),
    ],
)
def test_wrong_use_is_one_sentence(command: Program, arguments: list[str], words: str) -> None:
    ended = command("frameworks", *arguments)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr
