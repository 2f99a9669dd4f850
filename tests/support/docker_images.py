"""Images that the tests of one engine share: built once, by `init-compute`."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import PREFIX
from tests.support.docker_engine import BASE

ROOT = Path(__file__).parents[2]
# Where and of what images are built here.
PLACE = ("--base", BASE, "--network", "host")
PASSWORD = "not-for-the-history"
TOML = """description = "an own framework"
python = "{python}"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""
# It takes too much for a regression; for classes it waits to be let go, and each is as likely.
LET_GO = "/tmp/let-go"
GREEDY = f"""
import os
import time

import numpy as np

def fit(train, problem, limits):
    if problem.type == "regression":
        held = []
        for _ in range(400):
            held.append(bytearray(10_000_000))
            if 10 * len(held) > limits.memory_mb + 100:
                time.sleep(60)  # A watchdog that is late has time.
        return held
    while not os.path.exists("{LET_GO}"):
        time.sleep(0.05)
    return sorted(train[problem.target].astype(str).unique())

def predict(model, frame, problem):
    if problem.type == "regression":
        raise RuntimeError("nothing was taken")
    return dict(
        predictions=np.full(len(frame), model[0], dtype=object),
        probabilities=np.full((len(frame), len(model)), 1 / len(model)),
        classes=model,
    )

def describe(model):
    return dict()
"""


@pytest.fixture(scope="session")
def work(docker: Any) -> Path:
    """A folder with a configuration and two own frameworks; what tests build in is shared."""
    folder: Path = docker.folder / "work"
    for name, python in (("greedy", ">=3.11,<3.14"), ("ancient", "==3.6.*")):
        (folder / "own" / name).mkdir(parents=True)
        (folder / "own" / name / "framework.toml").write_text(TOML.format(python=python))
        (folder / "own" / name / "adapter.py").write_text(GREEDY)
    configuration = {"frameworks": ["constant"], "frameworks_path": [str(folder / "own")]}
    (folder / "batch.config").write_text(json.dumps(configuration))
    return folder


@pytest.fixture(scope="session")
def init(docker: Any, work: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`main.py init-compute --json` with arguments."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=work,
            env=variables(docker),
            capture_output=True,
            text=True,
            timeout=2400,
            check=False,
        )

    return call


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "main.py"), "init-compute", "--json", *PLACE, *arguments]


def variables(docker: Any) -> dict[str, str]:
    """The index comes with a password, unless this machine has an index of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    index = f"https://somebody:{PASSWORD}@pypi.org/simple"
    return {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} | kept | docker.variables


@pytest.fixture(scope="session")
def image(init: Callable[..., Any]) -> Callable[[str], str]:
    """The name of a framework's image, built if it is not there."""

    @functools.cache
    def name(framework: str) -> str:
        done = init("--framework", framework)
        assert done.returncode == 0, done.stderr
        (facts,) = json.loads(done.stdout)
        print(f"{framework}: {facts['image']} {facts['size_mb']:.0f} MB")
        return str(facts["image"])

    return name
