"""AWS Batch that runs jobs for real: moto's server with the jobs mended to behave as AWS does.

Queues, compute environments and job definitions are moto's. Jobs are ours: containers are processes
that run docker/entrypoint.py, with the array's index, memory and time limits, retries, reasons,
states of parents and children, pages, and the limits that AWS refuses.

    with BatchDouble(folder) as batch:
        os.environ["AWS_ENDPOINT_URL_BATCH"] = batch.endpoint
"""

from __future__ import annotations

import contextlib
import fnmatch
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws_double import KEYS, REGION, AwsDouble, RefusalError
from tests.support.batch_job import ENDED, Job
from tests.support.process_trees import kill_tree, tree_mb

ROOT = Path(__file__).parents[2]
CONFIGURATION = {"job_queue_id": "bench", "ecr_repo": "registry.example/bench"}
_STOP_S = 20.0
_START_S = 0.3
_TICK_S = 0.05
# Looking through /proc is dear; where a test sets a limit it is done at every tick.
_WEIGH_S = 2.0


def client_error(message: str) -> RefusalError:
    return RefusalError(400, "ClientException", message)


class BatchDouble(AwsDouble):
    """Queues and definitions of moto's, jobs of ours. `slots` containers run side by side."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.slots = 2
        self.absent_images: set[str] = set()
        self.container_memory_mb: int | None = None
        self.time_scale = 1.0
        self.jobs: dict[str, Job] = {}
        self.setup: Counter[str] = Counter()
        self._threads.append(threading.Thread(target=self._schedule))

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for job in self._runnable():
            if job.process and job.process.poll() is None:
                self._kill(job)
                job.process.wait()

    def make_queue(self, name: str = "bench", state: str = "ENABLED") -> str:
        """A queue with a compute environment; returns its ARN."""
        iam, batch = self.client("iam"), self.client()
        with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName="service", AssumeRolePolicyDocument="{}")
        role = iam.get_role(RoleName="service")["Role"]["Arn"]
        environment = batch.create_compute_environment(
            computeEnvironmentName=f"{name}-machines",
            type="UNMANAGED",
            state="ENABLED",
            serviceRole=role,
        )["computeEnvironmentArn"]
        return batch.create_job_queue(
            jobQueueName=name,
            state=state,
            priority=1,
            computeEnvironmentOrder=[{"order": 0, "computeEnvironment": environment}],
        )["jobQueueArn"]

    def lose_host(self, job: Job) -> None:
        """The machine of a running job goes, with everything on it."""
        with self._lock:
            job.ends_with = "Host EC2 (instance i-0f00ba4) terminated."
            self._kill(job)

    def running(self) -> list[Job]:
        with self._lock:
            return [job for job in self._runnable() if job.status == "RUNNING"]

    # The interface

    def _backend(self) -> Any:
        from moto.batch.models import batch_backends

        return batch_backends["123456789012"][REGION]

    def _describejobdefinitions(self, asked: dict[str, Any]) -> dict[str, Any]:
        """moto knows no name:revision here."""
        backend = self._backend()
        if named := asked.get("jobDefinitions"):
            found = [one for name in named if (one := backend.get_job_definition(name))]
        else:
            name, status = asked.get("jobDefinitionName"), asked.get("status")
            found = backend.describe_job_definitions(name, None, status)
        return {"jobDefinitions": [one.describe() for one in found]}

    def _submitjob(self, asked: dict[str, Any]) -> dict[str, Any]:
        backend = self._backend()
        definition = backend.get_job_definition(asked["jobDefinition"])
        if definition is None or definition.status != "ACTIVE":
            raise client_error(f"Job Definition {asked['jobDefinition']} is INACTIVE or missing.")
        queue = backend.get_job_queue(asked["jobQueue"])
        if queue is None:
            raise client_error(f"Job Queue {asked['jobQueue']} does not exist.")
        if queue.state != "ENABLED":
            raise client_error(f"Job Queue {asked['jobQueue']} is {queue.state}.")
        size = asked.get("arrayProperties", {}).get("size")
        if size is not None and not 2 <= size <= 10_000:
            raise client_error("Array size must be between 2 and 10,000.")
        common = {
            "name": asked["jobName"],
            "queue": queue.arn,
            "definition": definition.describe(),
            "overrides": asked.get("containerOverrides", {}),
        }
        job = Job(id=str(uuid.uuid4()), **common)
        for index in range(size or 0):
            job.children.append(Job(id=f"{job.id}:{index}", index=index, **common))
        self.jobs[job.id] = job
        return {"jobId": job.id, "jobName": job.name}

    def _describejobs(self, asked: dict[str, Any]) -> dict[str, Any]:
        if len(asked["jobs"]) > 100:
            raise client_error("You can describe up to 100 jobs.")
        found = [job for name in asked["jobs"] if (job := self._find(name))]
        return {"jobs": [job.described() | {"attempts": job.ended} for job in found]}

    def _listjobs(self, asked: dict[str, Any]) -> dict[str, Any]:
        if ("jobQueue" in asked) == ("arrayJobId" in asked):
            raise client_error("Exactly one of jobQueue and arrayJobId is needed.")
        filters, status = asked.get("filters"), asked.get("jobStatus")
        if "arrayJobId" in asked:
            parent = self._find(asked["arrayJobId"])
            jobs = list(parent.children) if parent else []
        else:
            queue = self._backend().get_job_queue(asked["jobQueue"])
            jobs = [job for job in self.jobs.values() if queue and job.queue == queue.arn]
        if filters:
            names = [value.lower() for value in filters[0]["values"]]
            jobs = [job for job in jobs if job.name.lower() in names]
        else:
            jobs = [job for job in jobs if job.state == (status or "RUNNING")]
        most = min(asked.get("maxResults", 100), 1000 if status and not filters else 100)
        start = int(asked.get("nextToken") or 0)
        page: dict[str, Any] = {
            "jobSummaryList": [j.described() for j in jobs[start : start + most]]
        }
        if start + most < len(jobs):
            page["nextToken"] = str(start + most)
        return page

    def _terminatejob(self, asked: dict[str, Any]) -> dict[str, Any]:
        job = self._find(asked["jobId"])
        for one in [job, *job.children] if job else []:
            if one.status in ENDED:
                continue
            one.terminated = asked["reason"]
            if one.process:
                one.stop_at = time.monotonic() + _STOP_S
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.process.pid, signal.SIGTERM)
            elif not one.children:
                one.status, one.status_reason = "FAILED", asked["reason"]
        return {}

    def _getlogevents(self, asked: dict[str, Any]) -> dict[str, Any]:
        lines = (self.folder / asked["logStreamName"]).read_text().splitlines()
        return {"events": [{"timestamp": 0, "message": line} for line in lines]}

    def _find(self, name: str) -> Job | None:
        parent, _, index = name.partition(":")
        job = self.jobs.get(parent)
        return job.children[int(index)] if job and index else job

    # The machines

    def _runnable(self) -> Iterator[Job]:
        for job in list(self.jobs.values()):
            yield from job.children or [job]

    def _schedule(self) -> None:
        while not self._over.wait(_TICK_S):
            with self._lock:
                jobs = list(self._runnable())
                for job in jobs:
                    if job.process:
                        self._look_after(job)
                free = self.slots - sum(1 for job in jobs if job.process)
                for job in [job for job in jobs if job.status == "RUNNABLE"][: max(0, free)]:
                    self._start(job)

    def _start(self, job: Job) -> None:
        container = job.definition["containerProperties"]
        job.attempts += 1
        job.reason = job.exit_code = job.ends_with = None
        job.started = 0.0
        if refused := self._pulled(container["image"]):
            job.reason = f"CannotPullContainerError: {refused}"
            self._attempt_ended(job, "Task failed to start")
            return
        told = {one["name"]: one["value"] for one in container.get("environment", [])}
        told |= {one["name"]: one["value"] for one in job.overrides.get("environment", [])}
        told["AWS_BATCH_JOB_ID"] = job.id
        if job.index is not None:
            told["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        command, variables = self._container(job, told)
        with (self.folder / job.stream).open("wb") as output:
            job.process = subprocess.Popen(
                command,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )
        job.status, job.started = "RUNNING", time.monotonic()
        if self.container_memory_mb:
            self._enforce_from_the_start(job)

    def _enforce_from_the_start(self, job: Job) -> None:
        """A kernel does not wait for the next look: too much is too much as the program starts."""
        assert job.process is not None
        while job.process.poll() is None and time.monotonic() < job.started + _START_S:
            if self._is_over(job):
                self._enforce(job)
                return
            time.sleep(0.005)

    def _pulled(self, image: str) -> str | None:
        """Why there is no such image; None where there is."""
        return f"manifest for {image} not found" if image in self.absent_images else None

    def _container(self, job: Job, told: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        """What runs it to its end, a command and its variables. `told` are the job's own."""
        command = [sys.executable, str(ROOT / "docker/entrypoint.py"), *job.overrides["command"]]
        return command, _role() | {"PYTHONPATH": str(ROOT)} | told

    def _kill(self, job: Job) -> None:
        assert job.process is not None
        kill_tree(job.process.pid)

    def _bury(self, job: Job) -> None:
        """A container has ended; `ends_with` is "memory" where it was the kernel."""

    def _look_after(self, job: Job) -> None:
        assert job.process is not None
        code = job.process.poll()
        if code is None:
            self._enforce(job)
            return
        self._bury(job)
        job.process = None
        job.exit_code = code if code >= 0 else 128 - code
        if job.ends_with and job.ends_with.startswith("Host EC2"):
            job.exit_code = None
        elif job.ends_with == "memory":
            job.reason = "OutOfMemoryError: Container killed due to memory usage"
            job.ends_with = None
        self._attempt_ended(
            job, job.ends_with or job.terminated or "Essential container in task exited"
        )

    def _enforce(self, job: Job) -> None:
        now = time.monotonic()
        limit_s = job.definition["timeout"]["attemptDurationSeconds"] * self.time_scale
        if job.terminated is not None and now > job.stop_at:
            self._kill(job)
        elif now - job.started > limit_s:
            job.ends_with = "Job attempt duration exceeded timeout"
            self._kill(job)
        elif now >= job.weighed + (0.0 if self.container_memory_mb else _WEIGH_S) and self._is_over(
            job
        ):
            job.ends_with = "memory"
            self._kill(job)

    def _is_over(self, job: Job) -> bool:
        assert job.process is not None
        job.weighed = time.monotonic()
        return tree_mb(job.process.pid) > self._memory_mb(job)

    def _memory_mb(self, job: Job) -> int:
        needs = job.definition["containerProperties"]["resourceRequirements"]
        asked = next(int(need["value"]) for need in needs if need["type"] == "MEMORY")
        return self.container_memory_mb or asked

    def _attempt_ended(self, job: Job, status_reason: str) -> None:
        job.status_reason = status_reason
        job.ended.append(job.told_of_attempt())
        if job.exit_code == 0:
            job.status = "SUCCEEDED"
            return
        strategy = job.definition["retryStrategy"]
        final = job.terminated is not None or "exceeded timeout" in status_reason
        again = (
            not final and job.attempts < strategy["attempts"] and self._is_retried(job, strategy)
        )
        job.status = "RUNNABLE" if again else "FAILED"

    def _is_retried(self, job: Job, strategy: dict[str, Any]) -> bool:
        """AWS tries again what no condition matches."""
        facts = {
            "onStatusReason": job.status_reason or "",
            "onReason": job.reason or "",
            "onExitCode": "" if job.exit_code is None else str(job.exit_code),
        }
        for condition in strategy.get("evaluateOnExit", []):
            patterns = {key: value for key, value in condition.items() if key != "action"}
            if all(fnmatch.fnmatchcase(facts[key], value) for key, value in patterns.items()):
                return str(condition["action"]).upper() == "RETRY"
        return True


def _role() -> dict[str, str]:
    """What a container has beside the job's own variables: the credentials of its role."""
    told = ("AWS_ENDPOINT", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_BATCH")
    return {name: value for name, value in os.environ.items() if not name.startswith(told)}


@contextlib.contextmanager
def serving(double: BatchDouble, aws: pytest.MonkeyPatch) -> Iterator[BatchDouble]:
    """The double with the queue `bench`, and the SDK's variables set for it."""
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    double.folder.mkdir()
    for name, value in KEYS.items():
        aws.setenv(name, os.environ.get(name, value))
    with double:
        for service in ("BATCH", "ECR", "EC2", "IAM", "STS", "PRICING", "CLOUDWATCH_LOGS"):
            aws.setenv(f"AWS_ENDPOINT_URL_{service}", double.endpoint)
        double.make_queue()
        double.setup = double.calls.copy()
        yield double


@pytest.fixture
def batch(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[BatchDouble]:
    """A running double that drivers of this process look at often."""
    from benchmark.compute.batch.batch import BatchDispatcher
    from benchmark.compute.cluster import Pace

    quick = Pace(0.2, 0.3, settle_s=0.1, stuck_s=0.5, find_s=1.0, patience_s=600.0)
    aws.setattr(BatchDispatcher, "pace", quick)
    with serving(BatchDouble(tmp_path / "containers"), aws) as double:
        yield double
