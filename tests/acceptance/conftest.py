"""The program as a user drives it, and a finished run to look at."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.store.objects import LOCKS
from prove.program import ROOT, run_main
from tests.support.made_once import copy_of

__all__ = ["ROOT", "run_main"]

Program = Callable[..., subprocess.CompletedProcess[str]]
CONFIG: dict[str, Any] = {
    "studies": ["starter"],
    "frameworks": ["constant"],
    "seeds": [75],
    "cores": 1,
    "memory": 1000,
    "runtime": 5,
    "hard_limit": 60,
    "max_attempts": 1,
    "compute": {"*": "local"},
    "parallel": 1,  # Each runner is a process that imports what measures.
}


def refused(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, nothing on standard output, one sentence that has the words."""
    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert "a bug in this program" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, ended.stderr
    assert ended.stderr.splitlines()[-1] == lines[0]
    assert len(lines[0]) < 1000
    for word in words:
        assert word in lines[0], lines[0]


def execute(folder: Path) -> None:
    (folder / "batch.config").write_text(json.dumps(CONFIG))
    ended = run_main(folder, "execute-compute", "--dataset", "penguins", "--dataset", "cpu")
    assert ended.returncode == 0, ended.stderr
    assert "2 successes" in ended.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a batch.config and a run of constant on penguins and cpu: the module's copy."""
    return copy_of(tmp_path_factory, "finished", execute)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, but for the store's locks."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and LOCKS not in path.parts
    }
