"""status --watch as a user sees it: on a terminal, left with Ctrl-C or ended, and in a log."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.store import open_store
from tests.acceptance.conftest import ROOT, run_main

SHOWN, LEFT, CURSOR = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"


def test_lines_in_a_log(finished: Path) -> None:
    ended = run_main(finished, "status", "--watch")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "2/2 with result: 2 success; done\n"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_the_terminal_is_left_as_it_was(
    finished: Path, tmp_path: Path, number: int, code: int
) -> None:
    """While another drives a run that has tasks left."""
    folder = shutil.copytree(finished, tmp_path / "watched")
    for kind in ("out", "attempts"):
        next((folder / "runs" / "default" / kind).rglob("cpu/**/*.json")).unlink()
    ours, theirs = pty.openpty()
    with open_store(str(folder / "runs")).lock("driver-default"):
        watching = subprocess.Popen(
            [sys.executable, ROOT / "main.py", "status", "--watch"],
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm-256color"},
        )
        os.close(theirs)
        seen = b""
        while b"(running)" not in seen:
            seen += os.read(ours, 65536)
        watching.send_signal(number)
        seen += _rest(ours)
        assert watching.wait(60) == code
    os.close(ours)
    assert seen.count(SHOWN) == seen.count(LEFT) == 1
    assert seen.rindex(CURSOR) > seen.index(SHOWN)
    after = seen[seen.index(LEFT) :]
    # Ctrl-C leaves the last state on the screen; what ends the program leaves nothing.
    assert (b"(running)" in after) == (number == signal.SIGINT)
    assert b"Traceback" not in after


def _rest(terminal: int) -> bytes:
    """All that comes until the program has closed its side."""
    seen = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:
            return seen
        if not more:
            return seen
        seen += more
