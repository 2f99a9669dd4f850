"""Images and fleets have the packages of docker/task-requirements.txt; tasks import no others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from benchmark.runs.plan import Plan
from benchmark.store import open_store
from tests.support.documents import ROOT

LISTED = [
    line
    for line in (ROOT / "docker/task-requirements.txt").read_text().splitlines()
    if not line.startswith("#")
]
# What a container starts, what a task and a trial name as their evaluation, and who starts them.
MODULES = (
    *("benchmark.execution.__main__", "benchmark.execution.evaluation", "benchmark.store.bucket"),
    *("benchmark.execution.own_metric", "benchmark.compute.jobs", "benchmark.compute.pilot.slot"),
    *("benchmark.hpo.trials.evaluation", "benchmark.hpo.sandboxed.python_trial"),
    *("benchmark.compute.slurm.slurm_wrapper", "benchmark.compute.pilot.pilot_wrapper"),
    "benchmark.compute.baremetal.baremetal_wrapper",
)
LAZY = ("boto3", "botocore.session", "optuna", "requests", "sklearn.metrics")
PROGRAM = """
import importlib, sys
from importlib.util import find_spec
modules, lazy = (words.split(",") for words in sys.argv[1:])
for name in modules:
    importlib.import_module(name)
print([name for name in [*lazy, "matplotlib"] if find_spec(name) is None])
"""


def needed(names: list[str]) -> dict[str, Distribution]:
    """These distributions and what they need, by name."""
    found: dict[str, Distribution] = {}
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop()).lower()
        if name not in found:
            found[name] = distribution(name)
            wanted = map(Requirement, found[name].requires or ())
            here = (one for one in wanted if not one.marker or one.marker.evaluate({"extra": ""}))
            names += [one.name for one in here]
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with these packages alone, as in an image, and the program."""
    folder = tmp_path_factory.mktemp("site")
    installed = Path(sysconfig.get_path("purelib"))
    for one in needed(list(LISTED)).values():
        for top in {file.parts[0] for file in one.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(installed / top)
    (folder / "benchmark").symlink_to(ROOT / "benchmark")
    return folder


def alone(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-S", *words]
    variables = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_the_versions_are_those_of_the_whole_program() -> None:
    text = (ROOT / "requirements.txt").read_text()
    pinned = set(re.findall(r"^([\w-]+)==", text, flags=re.MULTILINE))
    assert needed(list(LISTED)).keys() <= pinned


@pytest.mark.slow
def test_what_runs_in_an_image_is_imported_with_its_packages_alone(site: Path) -> None:
    done = alone(site, "-c", PROGRAM, ",".join(MODULES), ",".join(LAZY))
    assert (done.stdout, done.stderr) == ("['matplotlib']\n", "")


@pytest.mark.integration
def test_a_trial_that_is_a_benchmark_is_imported_with_its_packages_alone(site: Path) -> None:
    done = alone(site, "-c", "import benchmark.hpo.trials.benchmark_evaluation")
    assert done.stderr == ""


@pytest.mark.integration
def test_a_task_runs_with_its_packages_alone(
    site: Path, make_plan: Callable[..., Plan], tmp_path: Path
) -> None:
    plan = make_plan(open_store(str(tmp_path / "store")))
    for task in plan.tasks:
        words = (plan.run.store.url, plan.run.name, task.key)
        done = alone(site, "-m", "benchmark.execution", *words)
        assert done.stderr == ""
        assert json.loads(done.stdout)["status"] == "success"
