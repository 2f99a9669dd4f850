"""How an extra of this package is installed, as a command that works from anywhere."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

NAME = "automl-benchmark"


def install(extra: str) -> str:
    """The command for the interpreter that runs: from the checkout where there is one."""
    root = Path(__file__).absolute().parents[1]
    python = shlex.quote(sys.executable or "python3")
    if (root / "pyproject.toml").is_file():
        return f"{python} -m pip install -e {shlex.quote(f'{root}[{extra}]')}"
    return f"{python} -m pip install {shlex.quote(f'{NAME}[{extra}]')}"
