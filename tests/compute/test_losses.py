"""300 tasks over every method while runners are killed at random: 300 records, nothing left."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.records import results
from benchmark.records.layout import OUT
from benchmark.records.tasks import Run
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.compute.test_dispatchers import FLEET
from tests.support import kubernetes_double
from tests.support.batch_double import CONFIGURATION
from tests.support.ray_cluster import SMALL_RAY
from tests.support.slurm_cluster import SMALL_CLUSTER

pytestmark = [pytest.mark.integration, pytest.mark.soak]

TASKS, KILLS = 300, 12
OPTIONS: dict[str, dict[str, Any]] = {
    "local": {},
    "slurm": {"slurm": SMALL_CLUSTER},
    "pilot": {"slurm": SMALL_CLUSTER},
    "batch": CONFIGURATION,
    "baremetal": FLEET,
    "metaflow": {},
    "kubernetes": kubernetes_double.CONFIGURATION,
    "ray": {"ray": SMALL_RAY},
}
NEEDS = {
    **{"slurm": "slurm", "pilot": "slurm", "batch": "batch", "baremetal": "fleet"},
    **{"kubernetes": "kubernetes", "ray": "ray_cluster"},
}
RUNNERS = (b"benchmark.execution", b"entrypoint.py", b"pilot.slot", b"slurm_wrapper")


def runners(store: str) -> list[int]:
    """The processes on this machine that run tasks of a store."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
            is_runner = any(word.endswith(RUNNERS) for word in words)
            if is_runner and any(store.encode() in word for word in words):
                found.append(int(entry.name))
    return found


@contextlib.contextmanager
def losses(run: Run, chance: random.Random) -> Iterator[list[int]]:
    """A runner is killed after some more records, so that no task is killed each time."""
    over, killed = threading.Event(), []

    def kill() -> None:
        due = 0
        while len(killed) < KILLS and not over.wait(chance.uniform(0.2, 0.8)):
            living = runners(run.store.url)
            if living and len(run.store.list(f"{run.name}/{OUT}")) > due:
                victim = chance.choice(living)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                due += TASKS // (2 * KILLS)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("method", OPTIONS)
def test_300_tasks_with_random_losses_leave_300_records_and_nothing_else(
    method: str,
    request: pytest.FixtureRequest,
    warm: None,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if method == "metaflow":
        pytest.importorskip("metaflow")
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = OPTIONS[method] | {"compute": {"*": method}, "max_attempts": 12}
    service = request.getfixturevalue(NEEDS[method]) if method in NEEDS else None
    store = open_store(str(tmp_path / "results"))
    if method == "baremetal":
        store = open_store(request.getfixturevalue("s3"))
        options["ec2_template"] = service.make_template()
    plan = make_plan(store, seeds=list(range(TASKS // 2)))
    with losses(plan.run, random.Random(23)) as killed:
        summary = execute(plan.run, make_config(**options), plan.tasks)
    assert summary.faults == []
    unlike = [one for one in summary.records.values() if one.status != "success"]
    assert [(one.task, one.cause, one.attempt, one.message) for one in unlike] == []
    assert summary.causes == {"success": TASKS}
    assert len(killed) > 3
    assert {record.task for record in results.records(plan.run)} == {t.key for t in plan.tasks}
    assert len(results.attempt_index(plan.run).last) == TASKS
    jobs = [path for path in store.list(f"{plan.run.name}/jobs") if not path.endswith(".log")]
    assert jobs == []
    end = time.monotonic() + 300
    while (left := runners(store.url)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []
    if method == "baremetal":
        assert service.living() == []
        assert "QueueUrls" not in service.client("sqs").list_queues()
