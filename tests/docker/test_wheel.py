"""The program from its wheel, in an environment of its own, far from any checkout."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.docker_images import PLACE, ROOT, variables

pytestmark = pytest.mark.integration

UV = Path(sys.executable).parent / "uv"


@pytest.fixture(scope="module")
def installed(
    docker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command of the installed wheel, run in an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    python = folder / "environment/bin/python"
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(source)], check=True)
    subprocess.run([UV, "build", "--quiet", "--wheel", "--out-dir", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [UV, "venv", "--quiet", "--python", sys.executable, python.parents[1]], check=True
    )
    install = [UV, "pip", "install", "--quiet", "--python", python, f"{wheel}[docker]"]
    subprocess.run([*install, "--constraint", ROOT / "requirements.txt"], check=True)
    work = folder / "work"
    work.mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python.with_name("automl-benchmark"), *arguments],
            cwd=work,
            env=variables(docker),
            capture_output=True,
            text=True,
            timeout=2400,
            check=False,
        )

    return run


def test_the_quickstart_runs(installed: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert installed("--help").stdout.startswith("usage: automl-benchmark COMMAND")
    narrow = ("--config", "quickstart", "--framework", "constant", "--dataset", "penguins")
    done = installed("resume-compute", *narrow, "--json")
    assert done.returncode == 0, done.stderr
    assert installed("fetch-results", *narrow).returncode == 0
    assert installed("run-analysis", "--config", "quickstart").returncode == 0


def test_an_image_is_built(
    docker: Any, installed: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = installed("init-compute", "--json", *PLACE, "--framework", "constant")
    assert done.returncode == 0, done.stderr
    (facts,) = json.loads(done.stdout)
    said = docker.client.containers.run(
        facts["image"], ["--help"], network_mode="host", remove=True
    )
    assert b"one task, named or by its place" in said
