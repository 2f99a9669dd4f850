"""AWS Batch whose jobs are containers: a real engine pulls the image, runs it and kills it.

with ContainerBatch(folder, docker) as batch:
    os.environ["AWS_ENDPOINT_URL_BATCH"] = batch.endpoint
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.batch_double import BatchDouble
from tests.support.batch_job import Job
from tests.support.docker_engine import Docker

LABEL = "aws-batch-double"
# The credentials of a container's role, as the SDK's own variables.
_ROLE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED")


class ContainerBatch(BatchDouble):
    """A container for each attempt of a job; the kernel holds it to its memory."""

    def __init__(self, folder: Path, docker: Docker) -> None:
        super().__init__(folder)
        self._docker = docker

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for container in self.containers():
            container.remove(force=True)

    def containers(self) -> list[Any]:
        """Those that are there, whatever their state."""
        found: list[Any] = self._docker.client.containers.list(
            all=True, filters={"label": f"{LABEL}={self.endpoint}"}
        )
        return found

    def container(self, job: Job) -> Any:
        """That of a job's last attempt."""
        return self._docker.client.containers.get(_name(job))

    def _pulled(self, image: str) -> str | None:
        from docker.errors import APIError

        repository, _, tag = image.rpartition(":")
        try:
            self._docker.client.images.pull(repository, tag)
        except APIError as error:
            return f"Error response from daemon: {error.explanation}"
        return None

    def _container(self, job: Job, told: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        told = {name: os.environ[name] for name in _ROLE if name in os.environ} | told
        memory = f"{self._memory_mb(job)}m"
        command = [str(self._docker.engine.program), "run", "--name", _name(job)]
        command += ["--label", f"{LABEL}={self.endpoint}", "--network", "host"]
        command += ["--memory", memory, "--memory-swap", memory]
        for name in told:  # The values stand on no command line.
            command += ["--env", name]
        command += [job.definition["containerProperties"]["image"], *job.overrides["command"]]
        return command, os.environ | self._docker.variables | told

    def _is_over(self, job: Job) -> bool:
        return False  # The kernel looks.

    def _kill(self, job: Job) -> None:
        """With its container, which a machine that is lost takes with it."""
        super()._kill(job)
        with _gone():
            self._docker.client.api.remove_container(_name(job), force=True)

    def _bury(self, job: Job) -> None:
        with _gone():
            container = self.container(job)
            if container.attrs["State"]["OOMKilled"]:
                job.ends_with = "memory"
            container.remove()


def _name(job: Job) -> str:
    return Path(job.stream).stem


def _gone() -> suppress:
    """What has no container (any more) needs none removed."""
    from docker.errors import NotFound

    return suppress(NotFound)
