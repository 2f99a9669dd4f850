"""AWS: requests of a submission of 10,000 tasks, and compile and status of as many in S3.

    .venv/bin/python perf/aws.py

Batch is the tests' double, which refuses what AWS refuses; S3 is a SeaweedFS server of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "perf")]

import scale  # noqa: E402
from figures import figure  # noqa: E402

from benchmark.compute.batch.batch import BatchDispatcher  # noqa: E402
from benchmark.runs.plan import existing  # noqa: E402
from benchmark.store import open_store  # noqa: E402
from tests.support import aws_double, batch_double, services  # noqa: E402
from tests.support.proxy import FaultyProxy  # noqa: E402

TASKS = 10_080
AIM_CALLS, AIM_RATIO, AIM_STATUS_S, AIM_REQUESTS = 30, 5, 5.0, 120


def submitted(url: str, folder: Path) -> tuple[Counter[str], float]:
    """The calls of one submission of all tasks of a framework, and the seconds that it took."""
    config = scale.configured(TASKS).model_copy(update=batch_double.CONFIGURATION)
    planned = existing(config, open_store(url))
    # Each name of a framework is an array of its own; here all tasks are of one.
    tasks = [
        replace(task, labels={**task.labels, "framework": "constant-0000"})
        for task in planned.tasks
    ]
    with batch_double.BatchDouble(folder) as double:
        double.slots = 0
        os.environ.update(aws_double.KEYS | _s3_keys())
        for service in ("BATCH", "ECR", "EC2", "PRICING"):
            os.environ[f"AWS_ENDPOINT_URL_{service}"] = double.endpoint
        double.make_queue()
        before = double.calls.copy()
        dispatcher = BatchDispatcher(planned.run, config)
        started = time.perf_counter()
        dispatcher.submit(tasks)
        seconds = time.perf_counter() - started
        return double.calls - before, seconds


def _s3_keys() -> dict[str, str]:
    return {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}


def look(s3: services.Seaweed, url: str, folder: Path, what: str) -> None:
    """The seconds of a status, and how many requests it makes; none goes to AWS Batch."""
    seconds = scale.measured("status", url, TASKS, folder)["seconds"]
    with FaultyProxy(s3.endpoint) as counting:
        os.environ["AWS_ENDPOINT_URL"] = counting.endpoint
        scale.measured("status", url, TASKS, folder)
        os.environ["AWS_ENDPOINT_URL"] = s3.endpoint
    print(
        f"status of {TASKS} tasks, {what}: {seconds:.1f} s (aim {AIM_STATUS_S:g}), "
        f"{len(counting.seen)} requests (aim {AIM_REQUESTS})"
    )
    figure(f"status of {TASKS:,} tasks, s3, {what}", seconds, "s", aim=AIM_STATUS_S)
    figure(f"its requests, {what}", len(counting.seen), "", aim=AIM_REQUESTS)


def main() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="perf-aws-") as name,
        services.serving(Path(name)) as s3,
    ):
        folder = Path(name)
        os.environ.update(services.variables(s3))
        url = f"s3://{services.BUCKET}/aws/"
        scale.measured("plan", url, TASKS, folder)
        calls, seconds = submitted(url, folder)
        print(f"submit {TASKS} tasks: {calls.total()} calls (aim {AIM_CALLS}), {seconds:.1f} s")
        print("  " + ", ".join(f"{number} {operation}" for operation, number in calls.items()))
        scale.measured("fill", url, TASKS, folder)
        ours = scale.measured("compile", url, TASKS, folder)["seconds"]
        loop = scale.measured("naive", url, TASKS, folder)["seconds"]
        print(f"compile {TASKS} records: {ours:.1f} s; boto3 one by one: {loop:.1f} s")
        print(f"  ratio {loop / ours:.1f} (aim {AIM_RATIO})")
        figure(f"calls to submit {TASKS:,} tasks", calls.total(), "", aim=AIM_CALLS)
        beside = {"peer": "boto3", "peer_value": loop}
        figure(f"compile {TASKS:,} records, s3", ours, "s", aim=loop / AIM_RATIO, **beside)
        look(s3, url, folder, "of which each record is read by itself")
        packed = scale.measured("pack", url, TASKS, folder)["seconds"]
        print(f"the driver packs {TASKS} records at once: {packed:.1f} s (it does as they come)")
        look(s3, url, folder, "packed")
        ours = scale.measured("compile", url, TASKS, folder)["seconds"]
        print(f"compile {TASKS} records, packed: {ours:.1f} s; ratio {loop / ours:.1f}")


if __name__ == "__main__":
    sys.exit(main())
