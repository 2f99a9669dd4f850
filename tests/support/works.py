"""Work for the sandbox, and what is left of it."""

import sys
from pathlib import Path

from benchmark.execution.work import Limits, Work

PYTHON = Path(sys.executable)


def command(*argv: str, hard_limit_s: float = 20, memory_mb: float = 300) -> Work:
    return Work(
        python=PYTHON, entry={"argv": list(argv)}, limits=Limits(hard_limit_s, memory_mb, 1)
    )


def python(code: str, **limits: float) -> Work:
    return command(sys.executable, "-c", code, **limits)
