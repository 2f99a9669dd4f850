"""The container example on a real Docker engine: limits bind, and no container is left."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.docker_engine import BASE, Docker

EXAMPLES = Path(__file__).parents[2] / "examples"
Program = Callable[..., subprocess.CompletedProcess[str]]


def containers(docker: Docker) -> set[str]:
    """All that the engine has, stopped ones and those of other tests too."""
    return {container.id for container in docker.client.containers.list(all=True)}


@pytest.mark.integration
def test_the_limits_of_a_container(program: Program, docker: Docker) -> None:
    """Those with little memory may be killed for it; all are gone afterwards."""
    before = containers(docker)
    study = ("tune", str(EXAMPLES / "container"), "--trials", "4", "--json")
    ended = program(*study, HPO_IMAGE=BASE, **docker.variables)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["told"] == 4
    assert told["success"] >= 1, ended.stderr
    assert containers(docker) == before


@pytest.mark.integration
def test_a_killed_container_is_removed(program: Program, docker: Docker, tmp_path: Path) -> None:
    before = containers(docker)
    values = yaml.safe_load((EXAMPLES / "container" / "study.yaml").read_text())
    folder = tmp_path / "container"
    shutil.copytree(EXAMPLES / "container", folder)
    server = (folder / "server.py").read_text()
    (folder / "server.py").write_text(server.replace("SECONDS = 3.0", "SECONDS = 600.0"))
    values["limits"]["time"] = 8
    (folder / "study.yaml").write_text(json.dumps(values))
    ended = program("tune", str(folder), "--trials", "1", HPO_IMAGE=BASE, **docker.variables)
    assert "hard limit of 8 s" in ended.stderr, ended.stderr
    assert containers(docker) == before
