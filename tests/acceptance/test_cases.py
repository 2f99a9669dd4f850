"""Inputs on which earlier versions gave wrong answers, each with its own check, where they are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = sorted((ROOT.parent / "shared" / "cases").glob("[0-9]*"))


@pytest.mark.integration
@pytest.mark.soak
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_input_that_was_misread_is_read_right(case: Path) -> None:
    ended = subprocess.run(
        [sys.executable, case / "check.py"],
        env={**os.environ, "CODE": str(ROOT), "PY": sys.executable},
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
