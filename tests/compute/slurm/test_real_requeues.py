"""Requeues by a real Slurm: `scontrol requeue` of a running task, again and again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.compute import submissions
from benchmark.records import results
from tests.compute.slurm.test_real_cluster import PATIENCE_S, driver, idle, opened, until
from tests.support.slurm_cluster import SMALL_CLUSTER, SlurmCluster, missing

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(missing()), reason=missing())]
STUDY = """
name: requeued
direction: maximize
algorithm: grid
trials: 1
tunables:
  - {name: x, value_type: integer, lower_bound: 1, upper_bound: 1}
limits: {time: 300, memory: 200, cores: 1}
objective: {command: [sh, -c, "echo started >> STARTS; exec sleep 250"]}
"""
MOST = 3


def requeue(cluster: SlurmCluster, job: str) -> None:
    """Have Slurm start a job again at once; by itself it waits for two minutes."""
    cluster.call("scontrol", "requeue", job)
    cluster.call("scontrol", "update", f"jobid={job}", "starttime=now")


@pytest.mark.parametrize("flags", [[], ["--no-requeue"]])
def test_a_task_that_slurm_requeues_is_started_max_attempts_times(
    slurm: SlurmCluster, tmp_path: Path, flags: list[str]
) -> None:
    """Also where Slurm may not, and a user ends the job in place of that."""
    starts = tmp_path / "starts"
    (tmp_path / "study.yaml").write_text(STUDY.replace("STARTS", str(starts)))
    values = {"compute": {"*": "slurm"}, "slurm": SMALL_CLUSTER | {"flags": flags}}
    (tmp_path / "batch.config").write_text(json.dumps(values | {"max_attempts": MOST}))

    def started() -> int:
        return len(starts.read_text().splitlines()) if starts.exists() else 0

    with driver(tmp_path, "tune", "study.yaml") as tuning:
        jobs = set()
        for number in range(1, MOST + 1):
            until(lambda number=number: started() == number, tmp_path, tuning)
            run = opened(tmp_path, "studies/requeued")
            assert run is not None
            (job,) = (one.job for one in submissions.load(run) if one.job)
            jobs.add(job)
            if flags:
                slurm.call("scancel", job)
            else:
                requeue(slurm, job)
        assert tuning.wait(PATIENCE_S) == 1, (tmp_path / "driver.log").read_text()[-3000:]
    assert len(jobs) == (MOST if flags else 1)
    assert started() == MOST
    assert run is not None
    last = results.last_attempt(run, "0")
    assert last is not None
    assert last[1] is not None
    assert (last[0].number, str(last[1].cause)) == (MOST, "interrupted")
    assert [str(ended.cause) for ended in results.earlier_ends(run)] == ["interrupted"] * 2
    assert results.current_record(run, "0") is None
    idle(slurm, tmp_path)
