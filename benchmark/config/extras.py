"""The commands that start this program and install its extras, as a user can type them."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

NAME = "automl-benchmark"
ROOT = Path(__file__).absolute().parents[2]
_IS_CHECKOUT = (ROOT / "pyproject.toml").is_file()


def program() -> str:
    """The program's command: `./main.py` in a checkout, else the console script's name."""
    if Path(sys.argv[0] or "main.py").name == NAME or not _IS_CHECKOUT:
        return NAME
    return "./main.py"


def python_path() -> str:
    """PYTHONPATH by which another process imports this program too."""
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def install(extra: str) -> str:
    """The command to install an extra for this interpreter: from the checkout if there is one."""
    python = shlex.quote(sys.executable or "python3")
    if _IS_CHECKOUT:
        return f"{python} -m pip install -e {shlex.quote(f'{ROOT}[{extra}]')}"
    return f"{python} -m pip install {shlex.quote(f'{NAME}[{extra}]')}"
