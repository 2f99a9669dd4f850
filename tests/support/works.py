"""Work for the sandbox, and what is left of it."""

import sys
import uuid
from dataclasses import replace
from pathlib import Path

from benchmark.execution.sandbox.sandbox import Outcome, Sandbox
from benchmark.execution.work import Limits, Work
from prove.processes import with_mark

MEANS = ("cgroup", "namespace", "subreaper", "process-group")
PYTHON = Path(sys.executable)
NASTY = Path(__file__).with_name("nasty.py")


def command(*argv: str, hard_limit_s: float = 300, memory_mb: float = 300) -> Work:
    return Work(
        python=PYTHON, entry={"argv": list(argv)}, limits=Limits(hard_limit_s, memory_mb, 1)
    )


def python(code: str, **limits: float) -> Work:
    return command(sys.executable, "-c", code, **limits)


def nasty_at_its_limit(sandbox: Sandbox, limit_s: float, interpreter: Path = PYTHON) -> Outcome:
    """The tree that does not want to die, ended at its time limit with all of its processes.

    On a busy machine it may not be up by then; it gets more time until it was.
    """
    for factor in (1, 4, 16, 64):
        mark = uuid.uuid4().hex
        work = command(
            sys.executable, str(NASTY), mark, hard_limit_s=factor * limit_s, memory_mb=500
        )
        outcome = sandbox.run(replace(work, python=interpreter))
        assert with_mark(mark) == {}
        if b"up" in outcome.log:
            break
    return outcome
