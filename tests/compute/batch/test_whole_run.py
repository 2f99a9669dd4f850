"""A whole run over AWS Batch and a real S3, whatever happens on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmark.records import results
from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.support.batch_double import CONFIGURATION, BatchDouble

ROOT = Path(__file__).parents[3]
DATASETS = ("penguins", "cpu", "concrete", "auto-mpg", "diabetes-progression")
SEEDS = [1, 2, 3, 4, 5]
PATIENCE_S = 400.0
DRIVER = """
import sys
from benchmark.parallel import record_reader
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.cluster import Pace
from benchmark.config.loading import load_config
from benchmark.runs.execute import execute
from benchmark.store import open_store
from benchmark.records.tasks import Run

url, config = sys.argv[1:]
BatchDispatcher.pace = Pace(store_s=0.5, engine_s=0.5, settle_s=0.2, find_s=1.0, patience_s=600.0)
run = Run.open(open_store(url), "default")
waiting = record_reader.without_result(run)
summary = execute(run, load_config(config).values, waiting)
print(dict(summary.causes), summary.faults)
"""


@contextmanager
def driver(url: str, config: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver in a process of its own, which is gone when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, url, str(config)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.integration
def test_25_tasks_a_lost_host_a_killed_driver_and_a_throttled_api(
    s3: str, batch: BatchDouble, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_plan(open_store(s3), DATASETS, seeds=SEEDS, studies=["embedded"], max_attempts=2)
    assert len(plan.tasks) == 25
    config = tmp_path / "batch.config"
    config.write_text(json.dumps(CONFIGURATION | {"compute": {"*": "batch"}, "max_attempts": 2}))
    end = time.monotonic() + PATIENCE_S
    with driver(s3, config):
        while not (batch.running() and len(list(results.records(plan.run))) >= 3):
            assert time.monotonic() < end
            time.sleep(0.1)
        lost = batch.running()[0]
        batch.lose_host(lost)
    throttled = [(429, "TooManyRequestsException")] * 5
    batch.fault = lambda name, number: throttled.pop() if throttled else None
    with driver(s3, config) as second:
        told, _ = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 0
    assert told.endswith("} []\n"), told
    assert throttled == []
    found = list(results.records(plan.run))
    assert sorted(record.task for record in found) == sorted(task.key for task in plan.tasks)
    assert {record.status for record in found} == {"success"}
    (job,) = batch.jobs.values()
    assert len(job.children) == 25
    assert lost.attempts == 2
    assert batch.calls["submitjob"] == 1
    while batch.running():  # The last container writes its record before it ends.
        assert time.monotonic() < end
        time.sleep(0.05)
    assert job.state == "SUCCEEDED"


@pytest.mark.slow
def test_the_command_runs_a_task_over_batch(
    s3: str,
    batch: BatchDouble,
    program: Callable[..., subprocess.CompletedProcess[str]],
    command: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    bucket, folder = s3.removeprefix("s3://").split("/", 1)
    values = CONFIGURATION | {
        "s3_bucket_root": bucket,
        "s3_folder": folder,
        "studies": ["starter"],
        "frameworks": ["constant"],
        "seeds": [75],
        "cores": 1,
        "memory": 1500,
        "runtime": 5,
        "hard_limit": 60,
        "compute": {"*": "batch"},
    }
    (tmp_path / "work" / "batch.config").write_text(json.dumps(values))
    done = program("execute-compute", "--dataset", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["tasks"], facts["success"]) == (1, 1)
    batch.client().update_job_queue(jobQueue="bench", state="DISABLED")
    refused = command("resume-compute", "--dataset", "penguins")
    assert refused.returncode == 2
    assert "queue bench is disabled" in refused.stderr
    assert batch.calls["submitjob"] == 1
