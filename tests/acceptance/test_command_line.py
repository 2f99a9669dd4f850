"""main.py as a user drives it: by subprocess, in an empty folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmark.cli import COMMANDS
from tests.acceptance.conftest import Program, refused, run_main

GRID = ["--set", 'frameworks=["constant"]', "--set", 'studies=["starter"]']
GRID += ["--set", "runtime=5", "--set", "hard_limit=60"]
SMALL = [*GRID, "--dataset", "penguins"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


def test_help_lists_every_command(program: Program, work: Path) -> None:
    ended = program("--help")
    assert ended.returncode == 0
    for command in COMMANDS:
        assert f"\n  {command} " in ended.stdout
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(typed: Program, tmp_path: Path, command: str) -> None:
    ended = typed(tmp_path, command, "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith(f"usage: main.py {command}")
    assert typed(tmp_path, command.replace("-", "_"), "--help").stdout == ended.stdout


def test_perform_analysis_is_run_analysis(typed: Program, tmp_path: Path) -> None:
    help_text = typed(tmp_path, "run-analysis", "--help").stdout
    assert help_text
    assert typed(tmp_path, "perform-analysis", "--help").stdout == help_text
    assert typed(tmp_path, "perform_analysis", "--help").stdout == help_text


def test_an_unknown_command_is_refused(program: Program) -> None:
    refused(program("execute-computer"), "execute-computer")


def test_local_prints_the_record_and_leaves_nothing(program: Program, work: Path) -> None:
    ended = program("local", "constant", "penguins", "classification", "75", *GRID)
    assert ended.returncode == 0, ended.stderr
    record = json.loads(ended.stdout)
    assert record["task"] == "constant/penguins/75"
    assert record["status"] == "success"
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("name", ["../x", "/x", "datasets", "a b", ""])
@pytest.mark.parametrize("command", ["execute-compute", "status"])
def test_a_bad_name_of_a_run(typed: Program, tmp_path: Path, command: str, name: str) -> None:
    refused(typed(tmp_path, command, "--run", name), "run", name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_of_a_variable(program: Program) -> None:
    refused(program("status", AUTOML_BENCHMARK_RUNTME="3"), "AUTOML_BENCHMARK_RUNTME")


def test_a_store_that_cannot_be_written(program: Program, work: Path) -> None:
    (work / "runs").write_text("in the way")
    refused(program("execute-compute", *SMALL), "runs", "s3_bucket_root")


@pytest.mark.slow
def test_a_run_from_its_start_to_its_report(command: Program, work: Path, undrawn: None) -> None:
    """In this process; test_reports.py and others start each of these commands as a user would.

    The figures are drawn there.
    """
    first = command("execute-compute", *SMALL)
    assert first.returncode == 0, first.stderr
    assert "1 success" in first.stderr
    out = sorted(path for path in (work / "runs").rglob("out/**/*.json"))
    before = [path.read_bytes() for path in out]
    assert len(before) == 1

    refused(
        command("execute-compute", *SMALL), "'default'", "resume-compute", "--run", "--overwrite"
    )
    resumed = command("resume_compute", *SMALL)
    assert resumed.returncode == 0
    assert "nothing to run" in resumed.stderr
    assert [path.read_bytes() for path in out] == before

    told = command("status", "--json")
    assert told.returncode == 0
    status = json.loads(told.stdout)
    assert (status["tasks"], status["success"], status["without_result"]) == (1, 1, 0)
    assert status["by_framework"] == {"constant": {"success": 1}}

    grown = command("resume-compute", *GRID, "--dataset", "cpu")
    assert grown.returncode == 0, grown.stderr
    refused(command("resume-compute", *SMALL, "--set", "runtime=6"), "'runtime'", "--run")

    refused(command("fetch-results", "--output", "no/such/folder/t.csv"), "no/such/folder/t.csv")
    assert command("fetch-results").returncode == 0
    with (work / "compiled_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["ID"], row["DATASET_ID"], row["STATUS"]) for row in rows] == [
        ("0", "penguins", "success"),
        ("1", "cpu", "success"),
    ]

    analysed = command("perform-analysis")
    assert analysed.returncode == 0, analysed.stderr
    assert "<html" in (work / "report.html").read_text(encoding="utf-8").lower()

    again = command("execute-compute", *SMALL, "--overwrite")
    assert again.returncode == 0, again.stderr
    assert "1 success" in again.stderr


@pytest.mark.parametrize("arguments", [["status"], ["tune", "study.yaml"], ["doctor"]])
def test_a_deleted_working_directory_is_refused(work: Path, arguments: list[str]) -> None:
    work.mkdir()
    ended = run_main(work, *arguments, before=("sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh"))
    refused(ended, "working directory", "change to one that exists")


def test_a_working_directory_that_is_deleted_meanwhile_is_named(
    work: Path, typed: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> int:
        work.rmdir()
        return len(str(Path("runs").absolute()))

    work.mkdir()
    monkeypatch.setattr("benchmark.cli.runs.status.show_status", gone)
    refused(typed(work, "status"), "working directory", "change to one that exists")


def test_without_a_temporary_folder(
    work: Path, typed: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", None)
        patch.setattr("tempfile._candidate_tempdir_list", list)
        ended = typed(work, "doctor")
    refused(ended, "No usable temporary directory", "set TMPDIR to a folder")
