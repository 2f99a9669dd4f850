"""Docker: the engine by its SDK, and the docker program where the SDK cannot do it.

Images are looked for, named, pushed and removed by the SDK. They are built by `docker build`: the
SDK speaks to the classic builder only, which has no secrets, and a CA file or an index with a
password would stay in what it leaves.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.extras import install
from benchmark.errors import BenchmarkError

_BUILTIN_BUILDKIT = 23


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers: the SDK's client, and the program that builds with it."""

    client: Any
    program: Path
    url: str

    @property
    def variables(self) -> dict[str, str]:
        """What the program needs to speak to the same engine, and to load what it builds there."""
        return {
            "DOCKER_HOST": self.url,
            "DOCKER_BUILDKIT": "1",
            "BUILDX_BUILDER": "default",
            "NO_COLOR": "1",
        }


def connect(variables: Mapping[str, str] | None = None) -> Engine:
    """The engine that DOCKER_HOST names, else the one of this machine.

    Raises:
        BenchmarkError: the SDK, the engine or a program that can build is not there.
    """
    variables = os.environ if variables is None else variables
    try:
        from docker.client import DockerClient
        from docker.errors import DockerException
    except ImportError:
        raise BenchmarkError(
            f"The package docker (Docker's SDK) is not installed; run `{install('docker')}`."
        ) from None
    url = variables.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        client = DockerClient.from_env(environment={**variables, "DOCKER_HOST": url})
        client.ping()
    except (DockerException, OSError, ValueError) as error:
        raise BenchmarkError(
            f"Docker does not answer at {url}: {_reason(error)}; start it, or name another with "
            "DOCKER_HOST."
        ) from None
    return Engine(client, find_program(variables.get("PATH", os.defpath)), url)


def find_program(path: str) -> Path:
    """The first docker program on PATH that builds with BuildKit.

    Raises:
        BenchmarkError: there is none; the sentence says what is wanting.
    """
    seen: list[Path] = []
    for folder in dict.fromkeys(path.split(os.pathsep)):
        program = Path(folder or ".", "docker")
        if os.access(program, os.X_OK) and program.is_file():
            seen.append(program)
            if _builds(program):
                return program
    if seen:
        raise BenchmarkError(
            f"{seen[0]} has no buildx, which builds images with secrets; install Docker's buildx "
            "plugin (docker-buildx-plugin, docker-buildx)."
        )
    raise BenchmarkError("There is no docker program on PATH; install Docker's command line.")


def _builds(program: Path) -> bool:
    """Whether it has buildx, or is so old that BuildKit is built in."""
    if _said(program, "buildx", "version") is not None:
        return True
    version = re.search(r"version (\d+)\.", _said(program, "--version") or "")
    return version is not None and int(version[1]) < _BUILTIN_BUILDKIT


def _said(program: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            [str(program), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _reason(error: Exception) -> str:
    """What is at the bottom of the SDK's nested messages."""
    text = str(error)
    found = re.findall(r"(?:FileNotFoundError|\w+Error)\(\d+, '([^']+)'\)", text)
    return (found[-1] if found else text.splitlines()[0])[:200].rstrip(".")
