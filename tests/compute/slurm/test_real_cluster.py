"""Whole runs and studies on a real Slurm, whatever happens on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from benchmark.compute import submissions
from benchmark.compute.cluster import Request
from benchmark.compute.slurm.commands import Slurm
from benchmark.config.method_options import SlurmOptions
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.records.tasks import Run
from benchmark.store import open_store
from prove.processes import with_mark
from tests.support.slurm_cluster import SMALL_CLUSTER, SlurmCluster, missing
from tests.support.tutorials import follow

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(missing()), reason=missing())]
ROOT = Path(__file__).parents[3]
PATIENCE_S = 400.0
# Slurm starts a requeued job after two minutes, and finds a lost node after half a minute.
QUEUE_S = 400.0
VALUES = {
    "studies": ["starter"],
    "frameworks": ["constant"],
    "seeds": 8,
    "cores": 1,
    "memory": 1000,
    "runtime": 5,
    "hard_limit": 60,
    # A task on a lost node is assigned again after hard_limit + reserve_s.
    "slurm": SMALL_CLUSTER | {"reserve_s": 30},
}
STUDY = """
name: line
direction: maximize
algorithm: random
trials: 60
parallel: 8
tunables:
  - {name: x, value_type: double, lower_bound: 0, upper_bound: 1}
limits: {time: 60, memory: 500, cores: 1}
objective: {command: "echo '{\\"score\\": {x}}'"}
"""
PROGRAM = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char** argv) {
  int rank, one = 1, sum = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Reduce(&one, &sum, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
  fprintf(stderr, "on %s\\n", getenv("SLURMD_NODENAME") ? getenv("SLURMD_NODENAME") : "no node");
  if (rank == 0) printf("{\\"score\\": %d}\\n", sum * atoi(argv[1]));
  MPI_Finalize();
  return 0;
}
"""
RANKS = """
name: ranks
direction: maximize
algorithm: grid
trials: 6
parallel: 4
tunables:
  - {name: x, value_type: integer, lower_bound: 1, upper_bound: 3}
  - {name: n, value_type: integer, lower_bound: 1, upper_bound: 2}
limits: {time: 60, memory: 500, cores: 1}
resources: {nodes: n, ranks_per_node: n}
objective: {command: "./sum {x}"}
"""


@contextmanager
def driver(work: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with (work / "driver.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "main.py"), *words], cwd=work, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def opened(work: Path, name: str = "default") -> Run | None:
    store = open_store(str(work / "runs"))
    has = store.get(f"{name}/manifest.json") is not None
    return Run.open(store, name) if has else None


def until(
    true: Callable[[], object], work: Path, process: subprocess.Popen[bytes] | None = None
) -> None:
    """Wait for it; without sense once the driver has ended that it depends on."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        is_over = process is not None and process.poll() is not None
        assert not is_over and time.monotonic() < end, (work / "driver.log").read_text()[-3000:]
        time.sleep(0.2)


def count(work: Path, name: str = "default") -> int:
    return len(open_store(str(work / "runs")).list(f"{name}/out"))


def ends(work: Path) -> set[str]:
    """The causes of all attempts that have ended."""
    run = opened(work)
    assert run is not None
    last = [results.last_attempt(run, task.key) for task in run.tasks]
    now = {str(found[1].cause) for found in last if found is not None and found[1] is not None}
    return now | {str(ended.cause) for ended in results.earlier_ends(run)}


def whole(work: Path) -> Run:
    """The run, of which every task has one result, a success."""
    run = opened(work)
    assert run is not None
    found = list(results.records(run))
    assert Counter(record.task for record in found) == Counter(task.key for task in run.tasks)
    assert len(found) == 64
    assert [record for record in found if record.status != "success"] == []
    return run


def has_begun_on(node: str) -> bool:
    """Whether a task is at work on a node, so that its attempt has begun and has no end yet.

    A worker below a worker holds a task or is one; the first alone waits for one.
    """
    workers: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            is_worker = b"benchmark/execution/worker" in (entry / "cmdline").read_bytes()
            variables = (entry / "environ").read_bytes().split(b"\0")
            if is_worker and f"SLURMD_NODENAME={node}".encode() in variables:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                workers[int(entry.name)] = int(after_name[1])
    return any(parent in workers for parent in workers.values())


def open_attempts(work: Path, elements: set[tuple[str, str]]) -> dict[str, int]:
    """The attempts without an end of array elements, by task."""
    run = opened(work)
    assert run is not None
    keys = {one.job: one.keys for one in submissions.load(run, "Slurm")}
    found = {}
    for job, index in elements:
        last = results.last_attempt(run, keys[job][int(index)]) if job in keys else None
        if last is not None and last[1] is None:
            found[last[0].task] = last[0].number
    return found


def frozen_at_work(cluster: SlurmCluster, work: Path, node: str) -> dict[str, int] | None:
    """Stop a node in the middle of a task; without one it goes on, and None is returned.

    Returns:
        The attempts of the elements that have stopped in them, by task; none for a pilot's.
    """
    if not has_begun_on(node):  # stopped again and again, it would never begin
        return None
    elements = cluster.freeze(node)
    begun = open_attempts(work, elements)
    if has_begun_on(node) and (begun or not elements):
        return begun
    cluster.unfreeze(node)
    return None


def stopped_at_work(
    cluster: SlurmCluster, work: Path, node: str, process: subprocess.Popen[bytes]
) -> dict[str, int]:
    """Stop a node in the middle of a task; the attempts that have stopped, by task."""
    found: list[dict[str, int] | None] = []

    def is_stopped() -> bool:
        found.append(frozen_at_work(cluster, work, node))
        return found[-1] is not None

    until(is_stopped, work, process)
    return found[-1] or {}


def cancel_at_work(
    cluster: SlurmCluster, work: Path, node: str, process: subprocess.Popen[bytes]
) -> None:
    """Cancel the jobs of a node while one of their tasks is running, as a user would by hand.

    A task that has its result in memory when it is cancelled still records it: then the next ones
    are cancelled.
    """
    until(lambda: is_interrupted(cluster, work, node, process), work, process)


def is_interrupted(
    cluster: SlurmCluster, work: Path, node: str, process: subprocess.Popen[bytes]
) -> bool:
    """Cancel what runs on a node; whether one of its tasks ended by that."""
    begun = stopped_at_work(cluster, work, node, process)
    try:
        look = ("squeue", "-h", "-r", "-t", "R", "-w", node, "-o", "%F_%K")
        cluster.call("scancel", *cluster.call(*look).split())
        # The task must not end before Slurm's signal reaches it, which is after scancel's return.
        cluster.wake_daemons(node)
        until(lambda: not cluster.is_frozen(node), work)
    finally:
        cluster.unfreeze(node)
    run = opened(work)
    assert run is not None
    assert begun
    until(lambda: all(results.attempt_at(run, *one)[1] for one in begun.items()), work)
    ended = [results.attempt_at(run, *one)[1] for one in begun.items()]
    return any(one is not None and one.cause == "interrupted" for one in ended)


def idle(cluster: SlurmCluster, work: Path) -> None:
    """Nothing of the run is left: no job, no process."""
    end = time.monotonic() + QUEUE_S
    while queue := cluster.call("squeue", "-h", "-o", "%i %T %r %R %S"):
        assert time.monotonic() < end, f"{queue}\n{cluster.call('sinfo', '-N', '-l')}"
        cluster.return_drained()
        time.sleep(0.2)
    while left := with_mark(str(work)):
        assert time.monotonic() < end, left
        time.sleep(0.2)


@pytest.mark.parametrize("method", ["slurm", "pilot"])
def test_a_run_in_which_everything_dies_once(
    slurm: SlurmCluster, tmp_path: Path, method: str
) -> None:
    """A node, the controller and the driver are killed, and a job is cancelled by hand."""
    (tmp_path / "batch.config").write_text(json.dumps(VALUES | {"compute": {"*": method}}))
    with driver(tmp_path, "execute-compute") as first:
        until(lambda: count(tmp_path) >= 3, tmp_path, first)
        # What has stopped keeps the run from its end, however fast the machine is.
        stopped_at_work(slurm, tmp_path, "n3", first)
        if method == "slurm":
            cancel_at_work(slurm, tmp_path, "n2", first)
        slurm.lose_node("n3")
        until(lambda: count(tmp_path) >= 8, tmp_path, first)
        # A killed controller forgets what it has not saved: the driver must know of it by then.
        until(lambda: method == "pilot" or "interrupted" in ends(tmp_path), tmp_path, first)
    slurm.kill("slurmctld")
    with driver(tmp_path, "resume-compute") as second:
        # The second driver begins while no controller answers.
        log = tmp_path / "driver.log"
        until(lambda: "Trying again for" in log.read_text() or second.poll() is not None, tmp_path)
        slurm.start("slurmctld")
        slurm.start("n3")
        until(lambda: slurm.return_drained() or second.poll() is not None, tmp_path)
        assert second.wait(PATIENCE_S) == 0, (tmp_path / "driver.log").read_text()[-3000:]
    run = whole(tmp_path)
    causes = {str(ended.cause) for ended in results.earlier_ends(run)}
    assert causes <= {"interrupted", "infrastructure"}
    assert method == "pilot" or "interrupted" in causes  # what was cancelled
    # What the node had was left open and run again by a requeue, or told of by Slurm.
    left = [task.key for task in run.tasks if results.unended(run, task.key)]
    assert left or "infrastructure" in causes
    idle(slurm, tmp_path)


@pytest.mark.parametrize("method", ["slurm", "pilot"])
def test_a_study_whose_driver_is_killed(slurm: SlurmCluster, tmp_path: Path, method: str) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    values = {"compute": {"*": method}, "slurm": SMALL_CLUSTER}
    (tmp_path / "batch.config").write_text(json.dumps(values))
    with driver(tmp_path, "tune", "study.yaml") as first:
        until(lambda: count(tmp_path, "studies/line") >= 5, tmp_path, first)
        first.send_signal(signal.SIGKILL)
        first.wait()
    with driver(tmp_path, "tune", "--resume", "line") as second:
        assert second.wait(PATIENCE_S) == 0, (tmp_path / "driver.log").read_text()[-3000:]
    run = opened(tmp_path, "studies/line")
    assert run is not None
    found = list(results.records(run))
    assert sorted(int(record.task) for record in found) == list(range(60))
    assert {record.status for record in found} == {"success"}
    idle(slurm, tmp_path)


def test_ranks_on_two_nodes_beside_serial_trials(slurm: SlurmCluster, tmp_path: Path) -> None:
    (tmp_path / "sum.c").write_text(PROGRAM)
    subprocess.run(["mpicc", "sum.c", "-o", "sum"], cwd=tmp_path, check=True)
    study = RANKS.replace("limits", "forbidden: [n > 2]\nlimits")
    (tmp_path / "study.yaml").write_text(study)
    values = {"compute": {"*": "pilot"}, "slurm": SMALL_CLUSTER}
    (tmp_path / "batch.config").write_text(json.dumps(values))
    with driver(tmp_path, "tune", "study.yaml") as tuning:
        assert tuning.wait(PATIENCE_S) == 0, (tmp_path / "driver.log").read_text()[-3000:]
    run = opened(tmp_path, "studies/ranks")
    assert run is not None
    scores = {}
    for record in results.records(run):
        params = record.labels["params"]
        scores[params["x"], params["n"]] = record.metrics["value"]
        log = (run.store.get(str(record.log)) or b"").decode()
        nodes = {line for line in log.splitlines() if line.startswith("on n")}
        assert len(nodes) == params["n"]
    assert scores == {(x, n): x * n * n for x in (1, 2, 3) for n in (1, 2)}
    idle(slurm, tmp_path)


def test_a_node_writes_that_it_ended_a_job_at_its_limit(
    slurm: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm.variables.items():
        monkeypatch.setenv(name, value)
    commands = Slurm(SlurmOptions())
    log = tmp_path / "limit.log"
    request = Request("limit", 1, cores=1, memory_mb=100, time_s=60, log=str(log))
    job = commands.submit(request, "#!/bin/bash\nsleep 300\n")
    until(lambda: commands.present()[job][0].is_over, tmp_path)
    element = commands.present()[job][0]
    assert element.state == "TIMEOUT"
    assert commands.cause_of(element, log)[0] is Cause.TIMEOUT
    log.write_text("")  # as of a node that was lost
    assert commands.cause_of(element, log)[0] is Cause.INFRASTRUCTURE


def test_over_memory_and_over_time_are_results(slurm: SlurmCluster, tmp_path: Path) -> None:
    (tmp_path / "greedy.py").write_text(
        "import sys, time\n"
        "held = bytearray(400 * 2**20) if sys.argv[1] == 'memory' else time.sleep(600)\n"
        "held[::4096] = b'x' * len(held[::4096]); time.sleep(600)\n"
    )
    (tmp_path / "study.yaml").write_text(
        "name: greedy\ndirection: maximize\nalgorithm: grid\ntrials: 2\nparallel: 2\n"
        "tunables:\n  - {name: what, value_type: categorical, choices: [memory, time]}\n"
        "limits: {time: 40, memory: 200, cores: 1}\n"
        "objective: {command: 'python greedy.py {what}'}\n"
    )
    values = {"compute": {"*": "slurm"}, "slurm": SMALL_CLUSTER}
    (tmp_path / "batch.config").write_text(json.dumps(values))
    with driver(tmp_path, "tune", "study.yaml") as tuning:
        tuning.wait(PATIENCE_S)
    run = opened(tmp_path, "studies/greedy")
    assert run is not None
    causes = {r.labels["params"]["what"]: str(r.cause) for r in results.records(run)}
    assert causes == {"memory": "memory", "time": "timeout"}


def test_causes_come_from_accounting_when_the_controller_has_forgotten(tmp_path: Path) -> None:
    if any(os.access(f"/usr/sbin/{name}", os.X_OK) is False for name in ("slurmdbd", "mariadbd")):
        pytest.skip("slurmdbd and mariadb-server are not installed")
    with (
        SlurmCluster(tmp_path / "lab", accounting=True, min_job_age_s=2) as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in cluster.variables.items():
            patch.setenv(name, value)
        told = cluster.call("sbatch", "--parsable", "-o/dev/null", "--array=0-1", "--wrap=exit 3")
        until(lambda: not cluster.call("squeue", "-h", "-t", "all"), tmp_path)
        slurm = Slurm(SlurmOptions())
        # What accounting is told of an end comes later than squeue's silence.
        until(
            lambda: sum(one.is_over for one in slurm.past([told]).get(told, {}).values()) == 2,
            tmp_path,
        )
        element = slurm.past([told])[told][1]
        assert (element.state, element.code, element.is_over) == ("FAILED", "3:0", True)
        work = tmp_path / "work"
        work.mkdir()
        (work / "batch.config").write_text(json.dumps(VALUES | {"compute": {"*": "slurm"}}))
        with driver(work, "execute-compute") as run:
            until(lambda: count(work) >= 3, work, run)
            cancel_at_work(cluster, work, "n1", run)
            assert run.wait(PATIENCE_S) == 0, (work / "driver.log").read_text()[-3000:]
        ends = list(results.earlier_ends(whole(work)))
        assert {str(ended.cause) for ended in ends} == {"interrupted"}, [e.message for e in ends]
        idle(cluster, work)


def test_the_tutorial_is_followed(slurm: SlurmCluster, tmp_path: Path) -> None:
    follow("slurm.md", tmp_path, **slurm.variables)
    idle(slurm, tmp_path)
