"""Strangers who follow the documents: they write the files and type the commands as they stand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.config.cache import CACHE_VARIABLE
from benchmark.config.loading import PREFIX
from benchmark.hpo.spec.study_file import read_study
from benchmark.hpo.study.study import Study
from benchmark.store import open_store
from prove.program import FOREST, configure
from prove.villains import villains
from tests.support.documents import ROOT, blocks, commands, section


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of one's own, with a link to the program."""
    (tmp_path / "main.py").symlink_to(ROOT / "main.py")
    return tmp_path


def variables() -> dict[str, str]:
    """This process's without the program's own; the cache of environments stays."""
    return {k: v for k, v in os.environ.items() if k == CACHE_VARIABLE or PREFIX not in k}


def follow(words: list[str], folder: Path, code: int = 0) -> str:
    ended = subprocess.run(
        [sys.executable, "main.py", *words],
        cwd=folder,
        env=variables(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == code, f"{words}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


def follow_all(document: str, heading: str, folder: Path, **meant: str) -> list[str]:
    """What each command under a heading prints; `meant` says what stands for a word in capitals."""
    return [
        follow([meant.get(word, word) for word in words], folder)
        for block in section(document, heading)
        for words in commands(block.text)
    ]


def shell(line: str, folder: Path, **more: str) -> str:
    ended = subprocess.run(
        ["bash", "-c", f"set -e; {line}"],
        cwd=folder,
        env=variables() | more,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode == 0, f"{line}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout + ended.stderr


@pytest.mark.integration
@pytest.mark.skipif(
    not Path(sys.prefix, "bin/activate").exists(), reason="Python is not of a virtual environment"
)
def test_the_start_is_followed(folder: Path) -> None:
    """`make benchmark` with one of its frameworks, then all as it stands."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "examples").symlink_to(ROOT / "examples")
    (block,) = section("docs/index.md", "Start")
    benchmark, activate, *lines = block.typed
    assert activate == ". .venv/bin/activate"
    recipe = shell(f"{benchmark} -n -C {ROOT} PYTHON={sys.executable}", folder)
    makes = re.findall(r"python main\.py (.*)", recipe)
    assert [line.split()[0] for line in makes] == [
        "resume-compute",
        "fetch-results",
        "run-analysis",
    ]
    for line in makes:
        follow([*line.split(), "--framework", "constant"], folder)
    assert (folder / "report.html").exists()
    said = [shell(f"{activate}; {line}", folder) for line in lines]
    assert len(said) == 4
    assert "quickstart" in said[2]
    assert "constant" in said[2]
    assert "tree: 20 of 20 trials" in said[3]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_is_written(folder: Path) -> None:
    pytest.importorskip("shtab")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (block,) = section("docs/index.md", "Completion")
    install, *lines = block.typed
    assert install.startswith("pip install ")
    for line in lines:
        shell(line, folder, HOME=str(folder / "home"), PATH=path)
    written = folder / "home/.local/share/bash-completion/completions/main.py"
    assert "complete -" in written.read_text()
    assert "#compdef" in (folder / "home/.zfunc/_main.py").read_text()


@pytest.mark.integration
def test_the_guide_to_publishing_is_followed(folder: Path) -> None:
    """The one who publishes, and one who runs it again with the table that was published."""
    configure(folder, frameworks=["constant", FOREST])
    follow(["execute-compute"], folder)
    follow_all("docs/publishing.md", "Publish", folder)
    assert (folder / "results.csv").read_text().count("\n") == 17
    assert len(list((folder / "log").rglob("*.log"))) == 16
    assert {path.suffix for path in (folder / "tables").iterdir()} >= {".tex", ".md", ".parquet"}
    (folder / "compiled_results.csv").rename(folder / "published.csv")
    check = "Check a published table"
    follow_all("docs/publishing.md", check, folder, RUN="default")
    recompute = next(one.text for one in section("docs/publishing.md", check) if "pd." in one.text)
    assert (
        subprocess.run([sys.executable, "-c", recompute], cwd=folder, check=False).returncode == 0
    )
    table = (folder / "published.csv").read_text()
    (folder / "published.csv").write_text(table.replace("0.", "0.1", 1))
    assert (
        subprocess.run([sys.executable, "-c", recompute], cwd=folder, check=False).returncode == 1
    )
    (folder / "published.csv").write_text(table)
    again = "Rerun a benchmark published with this program"
    *_, compared = follow_all("docs/publishing.md", again, folder)
    assert "changes since published.csv" in compared
    assert "again" in (folder / "compiled_results.csv").read_text()


@pytest.mark.integration
def test_the_guide_to_tuning_is_followed(folder: Path) -> None:
    (folder / "examples").symlink_to(ROOT / "examples")
    tuned, listed, _, best, *_ = follow_all("docs/tuning.md", "Five minutes", folder)
    shown = next(
        block for block in blocks(ROOT / "docs/tuning.md") if block.text.startswith("Verdict")
    )
    said = re.sub(r"trial \d+", r"trial \\d+", shown.text.partition(" Best")[0]).replace("(", r"\(")
    assert re.search(said.replace(")", r"\)"), tuned), tuned
    assert "30/30" in listed
    assert "cache_kb=" in best
    text = (ROOT / "docs/tuning.md").read_text()
    sentence = text[text.index("An export has") :].partition("\n\n")[0]
    files = re.findall(r"`([\w-]+\.\w+)`", sentence)
    assert len(files) == 6
    assert [name for name in files if not (folder / "out" / name).exists()] == []
    assert list((folder / "report-sqlite").glob("*.html"))
    pilot = "Pilot: many short tasks, MPI programs"
    meant = {"studies/NAME": "studies/sqlite"}
    (states,) = follow_all("docs/clusters.md", pilot, folder, **meant)
    assert states.count("JOB_FINISHED") >= 30


@pytest.mark.integration
def test_a_directory_is_followed(folder: Path) -> None:
    heading = "A directory with config.json"
    made, tuned, again = follow_all("docs/tuning.md", heading, folder, NAME="my-study")
    assert "my-study/config.json" in made
    assert "30 of 30 trials" in tuned
    assert "30 of 30 trials" in again


@pytest.mark.slow
def test_data_are_imported(folder: Path) -> None:
    Study.begin(open_store(str(folder / "runs")), read_study(ROOT / "examples/sqlite/study.yaml"))
    (folder / "known.csv").write_text("tps,cache\n812.5,4096\n640,512\n")
    row = {"config": {"cpu": 2}, "results": {"load": [{"p99": 80}]}}
    (folder / "export.json").write_text(json.dumps({"runs": [row]}))
    study = {
        "name": "load",
        "direction": "minimize",
        "objective": {"command": "./load {cpu}", "value": "p99"},
        "tunables": [{"name": "cpu", "value_type": "integer", "lower_bound": 1, "upper_bound": 4}],
    }
    (folder / "study.yaml").write_text(json.dumps(study))
    (folder / "load").write_text("#!/bin/sh\n")
    (folder / "load").chmod(0o755)
    columns, paths = follow_all("docs/tuning.md", "Data that you have already", folder)
    assert "sqlite: 2 of 2 rows imported" in columns
    assert "load: 1 of 1 row imported" in paths.replace("rows", "row")


@pytest.mark.integration
def test_task_files_are_followed(folder: Path) -> None:
    """Tasks that time out are named, run again, and deleted: that asks, so `--yes` is added."""
    configure(folder, **villains(folder, "sleep"), runtime=2, hard_limit=4, max_attempts=1)
    follow(["execute-compute", "--dataset", "cpu"], folder)
    (block,) = section("docs/user-guide.md", "Task files")
    export, again, delete = commands(block.text)
    assert "1 task" in follow(export, folder)
    assert "timeout" in follow(again, folder)
    attempts = folder.rglob("runs/default/attempts/**/000*.json")
    assert len([path for path in attempts if "aside" not in path.name]) == 2
    follow([*delete, "--yes"], folder)
    assert list(folder.glob("runs/default/out/**/*.json")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "passed_over",
    [
        pytest.param({"run-analysis"}, id="quick"),
        pytest.param(set(), id="whole", marks=pytest.mark.integration),
    ],
)
def test_the_guide_to_own_data_is_followed(folder: Path, passed_over: set[str]) -> None:
    for block in blocks(ROOT / "docs" / "own-data.md"):
        if block.file:
            (folder / block.file).write_text(block.text)
        for words in commands(block.text):
            if words[0] not in passed_over:
                follow(words, folder)
    assert len((folder / "compiled_results.csv").read_text().splitlines()) == 3
    assert (folder / "report.html").exists() != bool(passed_over)


@pytest.mark.integration
def test_the_readme_is_followed(folder: Path) -> None:
    """The user's own benchmark of the README, in its order, its refusal included."""
    own = [block for block in blocks(ROOT / "README.md") if "first" in block.text]
    (folder / "batch.config").write_text(own[0].text)
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Your own benchmark") : text.index("## Tuning a system")]
    *taken, refused = commands(section)
    assert len(taken) == 5
    for words in taken:
        follow(words, folder)
    assert "other conditions" in section
    assert follow(refused, folder, code=2)
    assert len((folder / "compiled_results.csv").read_text().splitlines()) == 13
