"""The proof of the promises in its short form, and what a row comes to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import prove.__main__  # noqa: F401  all rows
from prove.kills import study_schedule
from prove.playground import ROLES, schedule
from prove.rows import PROMISES, ROWS, BrokenError, NotShownError, Row, Stage, played
from prove.table import markdown

ROOT = Path(__file__).parents[2]


def raised(error: Exception) -> str:
    raise error


@pytest.mark.parametrize(
    ("play", "figure", "verdict"),
    [
        (lambda stage: "9 of 9", "9 of 9", "holds"),
        (lambda stage: raised(BrokenError("8 of 9")), "8 of 9", "BROKEN"),
        (lambda stage: raised(NotShownError("no S3 | here")), r"no S3 \| here", "not shown"),
        (lambda stage: raised(KeyError("a")), "KeyError: 'a'", "BROKEN"),
    ],
)
def test_what_a_row_comes_to(tmp_path, play, figure, verdict):
    made = played(Row("one", 1, "nothing", play), Stage(tmp_path, 1, 1))
    (*_, line) = markdown([made], "head").splitlines()
    assert line == f"| 1. {PROMISES[1]} | nothing | {figure} | {verdict} |"


def test_a_seed_has_one_schedule(tmp_path):
    first, second, other = (
        schedule(Stage(tmp_path, seed, 9).dice("kills"), 9) for seed in (1, 1, 2)
    )
    assert first == second != other


def test_a_short_form_kills_every_kind_of_process(tmp_path):
    assert {kill.role for kill in study_schedule(Stage(tmp_path, 1, 12))} == set(ROLES)


def test_every_promise_has_a_row():
    done = subprocess.run(
        [sys.executable, "-m", "prove", "--list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "study-kills" in done.stdout


@pytest.mark.integration
def test_the_promises_hold(tmp_path):
    table = tmp_path / "table.md"
    done = subprocess.run(
        [sys.executable, "-m", "prove", "--kills", "12", "--markdown", table],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    lines = table.read_text(encoding="utf-8").splitlines()
    shown = {line.split(".")[0] for line in lines if line.endswith("| holds |")}
    assert shown == {f"| {number}" for number in PROMISES}, done.stderr


def test_the_page_of_the_promises_has_each_row():
    page = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    assert found == {row.name for row in ROWS}
