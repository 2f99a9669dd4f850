"""A container's own memory limit, met by a task before the watchdog sees it."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.execution.worker.cgroups import PREFIX, create

ROOT = Path(__file__).parents[3]
INSIDE = """
import json, os, sys
from benchmark.execution.worker.cgroups import Group
Group(json.loads(sys.argv[1])).enter()
from pathlib import Path
from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.work import Limits, Work
hog = "held = []\\nwhile True: held.append(bytearray(os.urandom(1)) * 2**24)"
MEMORY_MB = int(sys.argv[2])
argv = [sys.executable, "-c", "import os\\n" + hog]
work = Work(python=Path(sys.executable), entry={"argv": argv}, limits=Limits(300, MEMORY_MB, 1))
with Sandbox(means="subreaper") as sandbox:
    outcome = sandbox.run(work)
print(outcome.cause, outcome.message)
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("promised_mb", "cause"),
    [(390, "memory"), (8000, "infrastructure")],
    ids=["as promised", "less than promised"],
)
def test_a_kill_by_the_containers_limit(promised_mb: int, cause: str) -> None:
    group = create(f"{PREFIX}test-{secrets.token_hex(4)}", 400, [min(os.sched_getaffinity(0))])
    if group is None:
        pytest.skip("control groups cannot be made here")
    try:
        done = subprocess.run(
            [sys.executable, "-c", INSIDE, json.dumps(group.folders), str(promised_mb)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.stdout.startswith(cause), done.stdout + done.stderr
    finally:
        group.kill()
        group.remove()
