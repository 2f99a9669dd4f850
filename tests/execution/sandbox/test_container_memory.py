"""A container's own memory limit, met by a task before the watchdog sees it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.execution.sandbox.sandbox import Means, Sandbox
from benchmark.execution.worker.cgroups import PREFIX, Group, create
from tests.support.works import command

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
with Sandbox(means=sys.argv[3]) as sandbox:
    outcome = sandbox.run(work)
print(outcome.cause, outcome.message)
"""

STRANGER = """
import json, sys
from benchmark.execution.worker.cgroups import Group
Group(json.loads(sys.argv[1])).enter()
held = []
while True: held.append(b"x" * 2**24)
"""


@pytest.mark.integration
@pytest.mark.parametrize(
    ("promised_mb", "cause"),
    [(390, "memory"), (8000, "infrastructure")],
    ids=["as promised", "less than promised"],
)
def test_a_kill_by_the_containers_limit(promised_mb: int, cause: str) -> None:
    assert in_container(promised_mb, "subreaper").startswith(cause)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("promised_mb", "answer"),
    [
        (200, "memory It took more than its 200 MiB"),
        (8000, "infrastructure The kernel killed a process of it because memory outside of it had"),
    ],
    ids=["its own limit", "the container's limit"],
)
def test_a_task_with_a_group_is_blamed_for_its_own_limit_only(
    promised_mb: int, answer: str
) -> None:
    assert in_container(promised_mb, "cgroup").startswith(answer)


@pytest.mark.integration
@pytest.mark.parametrize("means", ["cgroup", "subreaper"])
def test_a_kill_of_a_stranger_is_no_word_on_a_task(means: Means) -> None:
    """While a task runs, a stranger is killed for memory in a group of its own."""
    stranger = [sys.executable, "-c", STRANGER]
    with container(50) as group, Sandbox(means=means) as sandbox:
        killed = subprocess.Popen([*stranger, json.dumps(group.folders)], cwd=ROOT)
        task = command("/bin/sh", "-c", f"while [ -e /proc/{killed.pid}/exe ]; do :; done")
        reaper = threading.Thread(target=killed.wait)
        reaper.start()
        outcome = sandbox.run(task)
        reaper.join()
        assert group.oom_kills() == 1
    assert killed.returncode == -signal.SIGKILL
    assert (outcome.cause, outcome.memory_kills) == (None, 0)


@pytest.mark.parametrize(("with_swap_mb", "is_its_own"), [(300, True), (100, False), (None, False)])
def test_a_task_of_which_a_part_was_swapped_out_is_at_its_own_limit(
    tmp_path: Path, with_swap_mb: int | None, is_its_own: bool
) -> None:
    """On cgroup v1, where 100 of 300 MB were in memory; without swap there are no such files."""
    peaks = {"memory": 100, "memory.memsw": with_swap_mb}
    for kind, peak in peaks.items():
        if peak is not None:
            (tmp_path / f"{kind}.max_usage_in_bytes").write_text(f"{peak * 2**20}\n")
            (tmp_path / f"{kind}.limit_in_bytes").write_text(f"{300 * 2**20}\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert Group({"memory": str(tmp_path)}).has_run_out() == is_its_own


@contextlib.contextmanager
def container(memory_mb: int) -> Iterator[Group]:
    """A control group around a task or a stranger."""
    name = f"{PREFIX}test-{secrets.token_hex(4)}"
    group = create(name, memory_mb, [min(os.sched_getaffinity(0))])
    if group is None:
        pytest.skip("control groups cannot be made here")
    try:
        yield group
    finally:
        group.kill()
        group.remove()


def in_container(promised_mb: int, means: str) -> str:
    """How a task ends that takes all memory, in a container of 400 MB."""
    with container(400) as group:
        done = subprocess.run(
            [sys.executable, "-c", INSIDE, json.dumps(group.folders), str(promised_mb), means],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    return done.stdout or done.stderr
