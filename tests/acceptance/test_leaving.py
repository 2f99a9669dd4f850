"""Ctrl-C on a terminal while jobs wait in a cluster: it asks what is to become of them."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from tests.support.slurm_double import SlurmDouble

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "run": ("execute-compute", "--framework", "constant", "--dataset", "cpu"),
    "study": ("tune", "study.json"),
}
CONFIG = {
    "compute": {"*": "slurm"},
    "cores": 1,
    "memory": 1500,
    "runtime": 5,
    "hard_limit": 60,
    "seeds": [75],
    "studies": ["starter"],
    "frameworks": ["constant"],
}
STUDY = {
    "name": "line",
    "direction": "minimize",
    "algorithm": "random",
    "trials": 1,
    "objective": {"command": ["echo", "{x}"]},
    "limits": {"time": 60, "memory": 1500, "cores": 1},
    "tunables": [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}],
}


def on_terminal(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """The program as the foreground of a terminal of its own, and our end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, ROOT / "main.py", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  one call
    )
    os.close(theirs)
    return process, ours


def read(ours: int, words: bytes = b"", seen: bytes = b"") -> bytes:
    """What the terminal shows until it shows the words, or until its end; not for ever."""
    while not words or words not in seen:
        assert select.select([ours], [], [], 120)[0], seen.decode(errors="replace")
        try:
            more = os.read(ours, 65536)
        except OSError:  # the other end is closed
            more = b""
        if not more:
            assert not words, seen.decode(errors="replace")
            return seen
        seen += more
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "answers", "left"),
    [
        ("run", [b"what?\n", b"l\n"], True),
        pytest.param("run", [b"c\n"], False, marks=pytest.mark.integration),
        ("run", [b"\x03"], False),
        pytest.param("study", [b"leave\n"], True, marks=pytest.mark.integration),
    ],
)
def test_what_is_answered_is_done(
    tmp_path: Path, slurm_double: SlurmDouble, command: str, answers: list[bytes], left: bool
) -> None:
    (tmp_path / "batch.config").write_text(json.dumps(CONFIG))
    (tmp_path / "study.json").write_text(json.dumps(STUDY))
    process, ours = on_terminal(tmp_path, *COMMANDS[command])
    try:
        while not slurm_double.jobs():
            assert process.poll() is None, read(ours).decode(errors="replace")
        os.write(ours, b"\x03")
        seen = b""
        for answer in answers:
            seen = read(ours, b"(Ctrl-C cancels) ")
            os.write(ours, answer)
        seen += read(ours)
        assert process.wait(60) == (0 if left else 1)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"Tasks on slurm can continue" in seen or len(answers) > 1
    assert (b"Left running on slurm" in seen) == left
    assert (b"Interrupted: " in seen) != left
    assert b"Traceback" not in seen
    (job,) = slurm_double.jobs()
    assert {state for state, _, _ in job["elements"]} == {"PENDING" if left else "CANCELLED"}
