"""docs/extending.md: its files are written and its commands run, as they stand, in their order."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.documents import Block
from tests.support.documents import blocks as blocks_of
from tests.support.plugins import FRAMEWORKS, install, install_example

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "extending.md"


def blocks() -> tuple[Block, ...]:
    return blocks_of(GUIDE)


def test_every_command_and_file_of_the_guide_is_understood() -> None:
    """What this test does not run, it would not notice."""
    text = GUIDE.read_text()
    lines = [line for line in text.splitlines() if line.startswith("./main.py ")]
    assert lines == [command for block in blocks() for command in block.commands]
    assert len(lines) >= 10
    assert {block.file for block in blocks()} == {
        None,
        "batch.config",
        "pyproject.toml",
        "methods/one-by-one/one-by-one.py",
    }
    for link in re.findall(r"\]\((\.\./[^)]+)\)", text):
        assert (GUIDE.parent / link).exists(), link


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A stranger who follows the guide: what each command printed, in a folder of their own."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / "main.py").symlink_to(ROOT / "main.py")
    printed = {"folder": str(folder)}
    for block in blocks():
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        for command in block.commands:
            words = [sys.executable, *shlex.split(command)]
            ended = run(words, folder)
            assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
            printed[command] = ended.stdout + ended.stderr
        if block.text.startswith("from benchmark import analysis"):
            ended = run([sys.executable, "-c", block.text], folder)
            assert ended.returncode == 0, ended.stderr
            printed["python"] = ended.stdout
    return printed


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("AUTOML_BENCHMARK_")}
    kept["AUTOML_BENCHMARK_CACHE"] = str(folder / "cache")
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.integration
def test_a_stranger_has_a_framework_in_the_results(followed: dict[str, str]) -> None:
    folder = Path(followed["folder"])
    table = rows(folder / "compiled_results.csv")
    mine = {row["MODEL"]: row for row in table if row["DATASET_ID"] == "penguins"}
    assert set(mine) == {"constant", "random-forest", "my-boost", "my-boost-10"}
    assert {row["STATUS"] for row in table} == {"success"}
    assert float(mine["my-boost"]["SCORE"]) < float(mine["constant"]["SCORE"])  # Log loss.
    assert mine["my-boost"]["SCORE"] != mine["my-boost-10"]["SCORE"]
    assert "my-boost-10" in (folder / "report.html").read_text()


@pytest.mark.integration
def test_versions_side_by_side(followed: dict[str, str]) -> None:
    manifest = json.loads((Path(followed["folder"]) / "runs/versions/manifest.json").read_text())
    assert manifest["frameworks"]["my-boost@1.7.2"]["version"] == "1.7.2"
    records = (Path(followed["folder"]) / "runs/versions/out").rglob("*.json")
    versions = {json.loads(path.read_text())["version"] for path in records}
    assert "1.7.2" in versions
    assert len(versions) == 2


@pytest.mark.integration
def test_the_own_dispatcher_carried_its_framework(followed: dict[str, str]) -> None:
    told = next(text for command, text in followed.items() if "--run own" in command)
    assert "Compute: ./methods/one-by-one for my-boost" in told
    assert "4 successes" in told
    assert "constant" in followed["python"]


@pytest.mark.slow
def test_a_package_brings_framework_and_dispatcher_and_a_broken_one_is_told(
    program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    site = install_example(tmp_path / "site")
    install(site, "ruin", {FRAMEWORKS: {"odd": "nowhere.at.all"}})
    keys = {"frameworks": ["nearest"], "studies": ["starter"], "seeds": [75], "cores": 1}
    keys |= {"memory": 1500, "runtime": 5, "hard_limit": 60, "job_queue_id": "q"}
    (tmp_path / "work" / "batch.config").write_text(json.dumps(keys))
    listed = program("frameworks", PYTHONPATH=str(site))
    assert "nearest" in listed.stdout
    assert listed.stderr.count("the package ruin") == 1
    ran = program("execute-compute", "--dataset", "cpu", PYTHONPATH=str(site))
    assert ran.returncode == 0, ran.stderr
    assert "Compute: one-by-one ('compute' is unset and 'job_queue_id' is set" in ran.stderr
    assert "nearest/cpu/75: rmse" in ran.stderr
    assert ran.stderr.count("the package ruin") == 1
    without = program("execute-compute", "--run", "other")
    assert without.returncode == 2
    assert 'There is no framework "nearest"' in without.stderr
