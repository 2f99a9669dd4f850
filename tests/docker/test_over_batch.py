"""A whole run over AWS Batch whose jobs are containers, from the images' build to the logs.

The engine, the registry, the kernel's kills for memory and the S3 are real. It stands behind the
tests of images, of which one needs an engine that has built none.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.jobs import INDEX_VARIABLE, own_key
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.records.tasks import Run
from benchmark.store import Store, open_store
from tests.support.batch_containers import ContainerBatch
from tests.support.batch_double import serving
from tests.support.batch_job import Job
from tests.support.docker_images import LET_GO, PLACE, variables

pytestmark = pytest.mark.integration

PATIENCE_S = 1200.0
MEMORY_MB = 700


@pytest.fixture
def containers(
    docker: Any, tmp_path: Path, s3: str, aws: pytest.MonkeyPatch
) -> Iterator[ContainerBatch]:
    """AWS Batch whose containers have the task's memory and no reserve: the kernel is first."""
    batch = ContainerBatch(tmp_path / "containers", docker)
    batch.slots = 3
    batch.container_memory_mb = MEMORY_MB
    # As for most users: what they may do they cannot ask.
    denied = (403, "AccessDenied")
    batch.fault = lambda name, _: denied if name == "simulateprincipalpolicy" else None
    with serving(batch, aws):
        yield batch


@pytest.fixture
def main(
    docker: Any,
    registry: str,
    work: Path,
    s3: str,
    tmp_path: Path,
    program: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """main.py beside a configuration for Batch; optuna's image is in no registry."""
    bucket, folder = s3.removeprefix("s3://").split("/", 1)
    values = {
        "compute": {"*": "batch"},
        "job_queue_id": "bench",
        "ecr_repo": f"{registry}/automl-benchmark",
        "s3_bucket_root": bucket,
        "s3_folder": folder,
        "studies": ["starter"],
        "frameworks": ["constant", "greedy", "optuna"],
        "frameworks_path": [str(work / "own")],
        "seeds": [75, 76],
        "cores": 1,
        "memory": MEMORY_MB,
        "runtime": 10,
        "hard_limit": 300,
        "max_attempts": 2,
    }
    (tmp_path / "work" / "batch.config").write_text(json.dumps(values))
    return lambda *arguments: program(
        *arguments, "--json", timeout_s=PATIENCE_S, **variables(docker)
    )


def began(batch: ContainerBatch, store: Store, key: str, attempt: int, driver: Future[Any]) -> Job:
    """The job that runs a task, when the task has begun this attempt."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and not driver.done():
        for job in batch.running():
            name = job.overrides["command"][-1]
            index = {} if job.index is None else {INDEX_VARIABLE: str(job.index)}
            begun = len(store.list(f"default/attempts/{key}"))
            with suppress(BenchmarkError):  # the list of a job whose tasks have ended is gone
                if begun == attempt and own_key(store, "default", name, index) == key:
                    return job
        time.sleep(0.1)
    told = driver.result(0) if driver.done() else "it still waits"
    raise AssertionError(f"{key} has not begun: {told}")


def test_a_run_in_containers_with_a_lost_host_kills_and_an_image_that_is_absent(
    containers: ContainerBatch,
    docker: Any,
    registry: str,
    s3: str,
    main: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    prepared = main("init-compute", *PLACE, "--framework", "constant", "--framework", "greedy")
    assert prepared.returncode == 0, prepared.stderr
    (built,) = json.loads(prepared.stdout)["images"]
    assert built["frameworks"] == ["constant", "greedy"]  # They have the same environment.
    image = f"{registry}/{built['image']}"
    docker.client.images.remove(image)  # So that it comes from the registry.
    store = open_store(s3)
    narrowed = ("--dataset", "penguins", "--dataset", "cpu")
    with ThreadPoolExecutor(1) as pool:
        driver = pool.submit(main, "resume-compute", *narrowed)
        lost = began(containers, store, "greedy/penguins/75", 1, driver)
        containers.lose_host(lost)
        killed = began(containers, store, "greedy/penguins/76", 1, driver)
        containers.container(killed).kill()
        for key in ("greedy/penguins/75", "greedy/penguins/76"):
            again = began(containers, store, key, 2, driver)
            assert containers.container(again).exec_run(["touch", LET_GO]).exit_code == 0
        done = driver.result()
    assert done.returncode == 1, done.stderr
    run = Run.open(store, "default")
    found = {record.task: record for record in results.records(run)}
    greedy = {key: found[key] for key in found if key.startswith("greedy/cpu/")}
    assert len(found) == 8
    assert {(one.cause, one.attempt) for one in greedy.values()} == {(Cause.MEMORY, 1)}
    assert {one.status for key, one in found.items() if key not in greedy} == {"success"}
    seconds = [key for key, one in found.items() if one.attempt == 2]
    assert sorted(seconds) == ["greedy/penguins/75", "greedy/penguins/76"]
    ended = {one.task: one for one in results.earlier_ends(run)}
    assert "Host EC2" in ended["greedy/penguins/75"].message
    assert "killed from outside" in ended["greedy/penguins/76"].message
    assert {one.cause for one in ended.values()} == {Cause.INFRASTRUCTURE}
    absent = [one for one in results.last_attempts(run, _optuna(run)).values() if one]
    assert {one.cause for one in absent} == {Cause.SETUP}
    assert all("CannotPullContainerError: Error response" in one.message for one in absent)
    children = [child for job in containers.jobs.values() for child in job.children or [job]]
    ran = {child.definition["containerProperties"]["image"] for child in children}
    assert len(ran) == 2
    assert image in ran
    while containers.running():  # The last container writes its record before it ends.
        time.sleep(0.05)
    assert containers.containers() == []
    assert (lost.attempts, lost.status) == (2, "SUCCEEDED")
    assert (killed.attempts, killed.exit_code, killed.reason) == (1, 137, None)
    for_memory = [child for child in children if "OutOfMemoryError" in (child.reason or "")]
    assert len(for_memory) == 2
    assert main("get-logs", *narrowed).returncode == 0
    logs = tmp_path / "work" / "log" / "default"
    assert len(list(logs.glob("pass/constant/*/*.log"))) == 4
    assert len(list(logs.glob("fail/greedy/cpu-regression-7?/1.log"))) == 2
    (outside,) = logs.glob("fail/greedy/penguins-classification-76/1.log")
    assert "Essential container in task exited" in outside.read_text()
    (pulling,) = logs.glob("fail/optuna/cpu-regression-75/1.log")
    assert f"{registry}/automl-benchmark" in pulling.read_text()


def _optuna(run: Run) -> list[str]:
    return [task.key for task in run.tasks if task.key.startswith("optuna/")]
