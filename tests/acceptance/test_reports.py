"""What commands tell: --json and nothing else, narrowed to the tasks that are meant."""

from __future__ import annotations

import csv
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import ROOT, Program, refused, run_main, tree


def facts(ended: subprocess.CompletedProcess[str]) -> Any:
    """The JSON on standard output; it holds nothing else, and no NaN."""
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], {"tasks": 2, "success": 2}),
        (["status", "--dataset", "cpu"], {"tasks": 1, "success": 1}),
        (["status", "--cause", "timeout"], {"tasks": 0, "success": 0}),
        (["fetch-results", "--dataset", "cpu"], {"tasks": 1, "success": 1, "failure": 0}),
        (["fetch-results", "--format", "amlb", "--seed", "75"], {"success": 2}),
        (["export-failures", "left"], {"file": "left", "tasks": 0}),
        (["export-failures", "left", "--cause", "memory"], {"file": "left", "tasks": 0}),
        (["get-logs", "--dataset", "cpu"], {"folder": "log/default", "logs": 1}),
        (["get-logs", "--cause", "framework"], {"logs": 0}),
        (["resume-compute", "--dataset", "cpu"], {"tasks": 1, "had_results": 1, "ran": 0}),
        (["resume-compute", "--dataset", "cpu", "--cause", "timeout"], {"tasks": 0, "ran": 0}),
    ],
    ids=" ".join,
)
def test_json_of_a_finished_run(
    typed: Program, finished: Path, arguments: list[str], expected: dict[str, Any]
) -> None:
    told = facts(typed(finished, *arguments, "--json"))
    assert {key: told[key] for key in expected} == expected


def test_json_of_lists(typed: Program, finished: Path) -> None:
    assert "constant" in [row["name"] for row in facts(typed(finished, "frameworks", "--json"))]
    told = facts(typed(finished, "doctor", "--json"))
    assert told["exit_code"] == 0
    assert {"level", "subject", "message", "mend"} <= told["findings"][0].keys()


def test_a_narrowed_table_keeps_its_ids(typed: Program, finished: Path) -> None:
    def ids(*arguments: str) -> dict[str, str]:
        assert typed(finished, "fetch-results", *arguments).returncode == 0
        with (finished / "compiled_results.csv").open(newline="") as file:
            return {row["DATASET_ID"]: row["ID"] for row in csv.DictReader(file)}

    whole = ids()
    assert sorted(whole) == ["cpu", "penguins"]
    for name, number in whole.items():
        assert ids("--dataset", name) == {name: number}


@pytest.mark.slow
def test_analysis_compiles_what_it_needs(typed: Program, finished: Path, undrawn: None) -> None:
    """Without a table, of a named run, narrowed; with a home that nobody can write to."""
    table = finished / "compiled_results.csv"
    table.unlink(missing_ok=True)
    homeless = {"HOME": "/proc/nowhere", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": ""}
    ended = run_main(finished, "run-analysis", "--json", "--dataset", "cpu", **homeless)
    told = facts(ended)
    assert list(told["leaderboards"]) == ["regression"]
    # The classic figures, which are PDFs too, compare: there are none of one framework alone.
    assert {Path(path).suffix for path in told["figures"]} == {".png"}
    assert all((finished / path).is_file() for path in told["figures"])
    assert "matplotlib" not in ended.stderr.lower()
    assert "2 tasks of run 'default'" in ended.stderr
    table.write_text(table.read_text().replace(",default,", ",other,"))
    again = typed(finished, "run-analysis", "--run", "default", "--dataset", "penguins")
    assert again.returncode == 0, again.stderr
    assert ",other," not in table.read_text()
    assert typed(finished, "run-analysis", "--run", "gone").returncode == 2


@pytest.mark.slow
def test_analysis_against_another_run(typed: Program, finished: Path, undrawn: None) -> None:
    """A change is told on every door; exit code 1 only where it was asked for."""
    assert typed(finished, "fetch-results", "--output", "now.csv").returncode == 0
    fields = ("SCORE", "RMSE", "AUC", "LOGLOSS")
    with (finished / "now.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update(STATUS="failure", CAUSE="timeout", **dict.fromkeys(fields, ""))
    with (finished / "worse.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    words = ["run-analysis", "--results", "worse.csv", "--against", "default", "--export", "tables"]
    told = facts(typed(finished, *words, "--json"))
    assert told["change"]["regressions"] == [
        "constant fails on 2 tasks that it had a score on.",
    ]
    assert {Path(path).suffix for path in told["tables"]} == {".tex", ".md", ".parquet", ".csv"}
    assert all((finished / path).is_file() for path in told["tables"])
    failed = typed(finished, *words, "--fail-on-regression")
    assert failed.returncode == 1, failed.stderr
    assert "regression: constant fails on 2 tasks" in failed.stdout
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "Changes since default" in page
    assert "<b>1 regression</b>" in page
    same = [*words[:2], "now.csv", "--against", "now.csv", "--fail-on-regression"]
    assert typed(finished, *same).returncode == 0
    refused(typed(finished, "run-analysis", "--fail-on-regression"), "--against RUN")
    refused(typed(finished, *words[:4], "gone"), "no run 'gone'", "default")


@pytest.mark.slow
def test_several_files_are_told_apart_with_merge(
    typed: Program, finished: Path, undrawn: None
) -> None:
    assert typed(finished, "fetch-results", "--output", "one.csv").returncode == 0
    other = (finished / "one.csv").read_text().replace(",5.0,60.0,", ",9.0,60.0,")
    (finished / "two.csv").write_text(other.replace(",default,", ",longer,"))
    words = ["run-analysis", "--results", "one.csv", "--results", "two.csv", "--json"]
    refused(typed(finished, *words), "--merge", "5, 9")
    boards = facts(typed(finished, *words, "--merge"))["leaderboards"]
    names = {row["framework"] for board in boards.values() for row in board}
    assert names == {"constant (5)", "constant (9)"}


@pytest.mark.slow
def test_a_command_that_reads_writes_nothing_into_the_store(finished: Path) -> None:
    before = tree(finished / "runs")
    for command in (["status"], ["fetch-results"], ["get-logs"], ["export-failures", "left"]):
        assert run_main(finished, *command).returncode == 0
    assert tree(finished / "runs") == before


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["status", "--json"], ["frameworks", "--json"]])
def test_a_report_to_a_full_disk(finished: Path, arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, ROOT / "main.py", *arguments],
            cwd=finished,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: Standard output cannot be written: No space left on device; free some disk space "
        "or redirect it elsewhere.\n"
    )


@pytest.mark.slow
def test_a_log_on_a_full_disk_ends_no_run(finished: Path) -> None:
    arguments = ("resume-compute", "--run", "quiet", "--dataset", "cpu", "--json")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, ROOT / "main.py", *arguments],
            cwd=finished,
            stdout=subprocess.PIPE,
            stderr=full,
            text=True,
            check=False,
        )
    assert (
        facts(subprocess.CompletedProcess([], ended.returncode, ended.stdout, ""))["success"] == 1
    )


@pytest.mark.slow
def test_clean_s3_shows_and_asks(typed: Program, finished: Path) -> None:
    """On a terminal, with a run of its own to lose: kept after a no, deleted after a yes."""
    run = finished / "runs" / "asked"
    assert typed(finished, "resume-compute", "--run", "asked", "--dataset", "cpu").returncode == 0
    (run / "notes.txt").write_text("mine")
    before = tree(run)
    kept = cleaned(finished, "n")
    assert kept.returncode == 1, kept.stderr
    assert "Nothing was deleted" in kept.stderr
    assert tree(run) == before
    deleted = cleaned(finished, "y")
    assert deleted.returncode == 0, deleted.stderr
    assert "Nothing was deleted" not in deleted.stderr
    assert list(tree(run)) == ["notes.txt"]
    assert (finished / "runs/default/manifest.json").exists()


def cleaned(folder: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """The end of `clean-s3` whose question was answered; it has listed what is to be deleted."""
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    try:
        ended = subprocess.run(
            [sys.executable, ROOT / "main.py", "clean-s3", "--run", "asked"],
            cwd=folder,
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "run 'asked': 5 objects" in ended.stderr
    assert "asked/notes.txt" in ended.stderr
    return ended
