"""One run over AWS Batch and a fleet at once, whatever happens on the way."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmark.records import results
from benchmark.runs.costs.spending import machines_paid
from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.support.aws_double import REGION
from tests.support.batch_double import BatchDouble
from tests.support.fleet_double import FleetDouble, told_to_machines
from tests.support.proxy import FaultyProxy

ROOT = Path(__file__).parents[2]
PATIENCE_S = 1500.0
DRIVER = """
import sys
from tests.support.fleet_double import pace
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.cluster import Pace
from benchmark.parallel import record_reader
from benchmark.config.loading import load_config
from benchmark.runs.execute import execute
from benchmark.store import open_store
from benchmark.records.tasks import Run

BatchDispatcher.pace = Pace(store_s=1.0, engine_s=1.0, settle_s=0.2, find_s=1.0, patience_s=400.0)
BaremetalDispatcher.pace = pace()
run = Run.open(open_store(sys.argv[1]), "default")
waiting = record_reader.without_result(run)
summary = execute(run, load_config(sys.argv[2]).values, waiting)
print(dict(summary.causes), summary.faults)
"""


class CloudDouble(BatchDouble, FleetDouble):
    """AWS Batch and EC2 in one account."""


@pytest.fixture
def cloud(
    tmp_path: Path, s3: str, proxy: FaultyProxy, aws: pytest.MonkeyPatch
) -> Iterator[CloudDouble]:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    folder = tmp_path / "cloud"
    folder.mkdir()
    aws.setenv("AWS_REGION", REGION)
    aws.setenv("AWS_DEFAULT_REGION", REGION)
    aws.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    with CloudDouble(folder) as double:
        for service in ("BATCH", "ECR", "EC2", "PRICING", "CLOUDWATCH_LOGS", "SQS"):
            aws.setenv(f"AWS_ENDPOINT_URL_{service}", double.endpoint)
        double.variables = told_to_machines()
        double.make_queue()
        yield double


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


def planned(
    s3: str, cloud: CloudDouble, make_plan: Callable[..., Plan], path: Path, **changes: Any
) -> Plan:
    """`a` goes to Batch, the others to the fleet; the configuration is written to a file."""
    labels = changes.pop("labels")
    frameworks = [{"name": "constant", "as": label} for label in labels]
    datasets = changes.pop("datasets")
    plan = make_plan(
        open_store(s3), datasets, frameworks=frameworks, studies=["embedded"], **changes
    )
    config = {
        "job_queue_id": "bench",
        "ecr_repo": "registry.example/bench",
        "ec2_template": cloud.make_template(),
        "instance_types": ["c5.large"],
        "cluster_size": 5,
        "parallel": 1,
        "compute": {"a": "batch", "*": "baremetal"},
        "frameworks": frameworks,
        "cores": 1,
        "memory": 1500,
        "runtime": 5,
        "hard_limit": 60,
        "max_attempts": 8,
    }
    path.write_text(json.dumps(config))
    return plan


def nothing_left(cloud: CloudDouble, plan: Plan) -> None:
    end = time.monotonic() + 600
    while cloud.running():  # The last container writes its record before it ends.
        assert time.monotonic() < end
        time.sleep(0.05)
    assert cloud.living() == []
    assert "QueueUrls" not in cloud.client("sqs").list_queues()
    assert plan.run.store.get(f"{plan.run.name}/fleet.json") is None


@pytest.mark.integration
def test_frameworks_go_to_their_methods_in_one_run(
    s3: str, cloud: CloudDouble, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    config = tmp_path / "batch.config"
    plan = planned(s3, cloud, make_plan, config, labels=("a", "b"), datasets=("cpu", "penguins"))
    with driver(s3, config) as running:
        told, _ = running.communicate(timeout=PATIENCE_S)
    assert told == "{'success': 4} []\n"
    hosts = {record.task[0]: "instance" in record.host for record in results.records(plan.run)}
    assert hosts == {"a": False, "b": True}
    nothing_left(cloud, plan)


@pytest.mark.integration
@pytest.mark.soak
def test_300_tasks_with_machines_lost_a_store_out_of_reach_and_the_driver_killed_twice(
    s3: str,
    cloud: CloudDouble,
    proxy: FaultyProxy,
    make_plan: Callable[..., Plan],
    tmp_path: Path,
) -> None:
    config = tmp_path / "batch.config"
    names = [one["name"] for one in _embedded() if one["name"] not in ("diamonds", "ames")]
    plan = planned(
        s3,
        cloud,
        make_plan,
        config,
        labels=("a", "b", "c", "d", "e", "f"),
        datasets=tuple(names[:10]),
        seeds=[1, 2, 3, 4, 5],
    )
    assert len(plan.tasks) == 300
    for share in (0.25, 0.6):
        with driver(s3, config) as running:
            _trouble(cloud, proxy, plan, round(300 * share), running)
    throttled = [(429, "TooManyRequestsException")] * 20
    cloud.fault = lambda name, _: (
        throttled.pop() if throttled and name in ("describejobs", "listjobs") else None
    )
    with driver(s3, config) as last:
        told, _ = last.communicate(timeout=PATIENCE_S)
    assert told.endswith("} []\n"), told
    found = list(results.records(plan.run))
    assert sorted(one.task for one in found) == sorted(task.key for task in plan.tasks)
    assert {one.status for one in found} == {"success"}
    nothing_left(cloud, plan)
    print(f"\n{len(cloud.instances)} machines, {_shares(cloud, plan)}")


def _shares(cloud: CloudDouble, plan: Plan) -> str:
    """What the time of the fleet's machines, which run one task at a time, went to.

    A task's cost is its share of a machine: of two cores it takes one, and nobody takes the other.
    """
    machines_s = machines_paid(plan.run) / float(cloud.price) * 3600
    ended = {
        "results": list(results.records(plan.run)),
        "attempts made again": list(results.earlier_ends(plan.run)),
    }
    took_s = {
        what: sum(one.total_s or 0.0 for one in records if "instance" in one.host)
        for what, records in ended.items()
    }
    rest_s = machines_s - sum(took_s.values())
    assert rest_s > 0 < took_s["results"]
    took_s["start, waiting and attempts without a word"] = rest_s
    told = ", ".join(f"{what} {time_s / machines_s:.0%}" for what, time_s in took_s.items())
    return f"{machines_s:.0f} s paid: {told}"


def _trouble(
    cloud: CloudDouble,
    proxy: FaultyProxy,
    plan: Plan,
    until: int,
    running: subprocess.Popen[str],
) -> None:
    """Machines are lost, with notice and without, and S3 fails once for ten seconds."""
    dice = random.Random(until)
    end, began = time.monotonic() + PATIENCE_S, time.monotonic()
    out_at: float | None = None
    lost_at = time.monotonic() + 5
    while (done := len(plan.run.store.list(f"{plan.run.name}/out"))) < until:
        assert time.monotonic() < end, f"{done} of {until}"
        assert running.poll() is None
        now = time.monotonic()
        if now > lost_at and cloud.living():
            lost_at = now + 20
            one = dice.choice(cloud.living())
            (cloud.give_notice if dice.random() < 0.5 else cloud.take_away)(one)
        if now > lost_at - 10 and dice.random() < 0.1 and (jobs := cloud.running()):
            cloud.lose_host(dice.choice(jobs))
        if out_at is None and now > began + 12:
            out_at = now
            proxy.fault = lambda *_, ends=now + 10: (
                "503 SlowDown" if time.monotonic() < ends else None
            )
        time.sleep(0.5)


def _embedded() -> list[dict[str, Any]]:
    suite = json.loads((ROOT / "benchmark/data/embedded/suite.json").read_text())
    return list(suite)
