"""The uv program: find it, call it, and report its errors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import SetupError


def find_uv() -> Path:
    """The uv program: the one beside this interpreter, else the one on PATH.

    Raises:
        SetupError: uv is not installed.
    """
    try:
        from uv import find_uv_bin

        return Path(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise SetupError("uv is not installed; run `pip install -r pre-requirements.txt`.")
    return Path(found)


def run_uv(arguments: list[str], folder: Path) -> str | None:
    """Call uv in a folder without a project, so that no project's settings reach it.

    Returns:
        None if it succeeded, else uv's own error message.
    """
    # uv leaves its build locks in the temporary folder.
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-uv-") as temporary:
        own = {"NO_COLOR": "1", "COLUMNS": "1000", "TMPDIR": temporary}
        done = subprocess.run(
            [str(find_uv()), *arguments],
            cwd=folder,
            env=clean_variables(os.environ) | own,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    if not done.returncode:
        return None
    return _message(done.stderr) or f"uv ended with exit code {done.returncode}"


def clean_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables without those that would point uv or Python to another environment."""
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON")
    return {key: value for key, value in environment.items() if key not in foreign}


def _message(stderr: str) -> str:
    """uv's error and its last cause, without passwords."""
    causes = re.findall(r"^\W*(?:error|cause|Caused by): *(.+)$", stderr, flags=re.MULTILINE)
    if not causes:
        causes = re.findall(r"╰─▶ *(.+(?:\n {6,}\S.*)*)", stderr)[:1]
    if not causes:
        causes = [line.strip() for line in stderr.splitlines() if line.strip()][-1:]
    because = re.findall(r"Because .+", causes[-1]) if causes else []
    parts = [
        " ".join(part.split()).rstrip(" .:") for part in because or (*causes[:1], *causes[-1:])
    ]
    return re.sub(r"://[^/@\s]+@", "://", ": ".join(dict.fromkeys(parts)))[:400]
