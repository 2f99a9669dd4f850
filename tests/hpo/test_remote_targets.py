"""Trials that run on other machines: `cores: 0`, and as many at a time as there are hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.local.local import slots
from benchmark.config.loading import Config
from benchmark.execution.machine.cores import usable_cores
from benchmark.hpo.driver import launch
from benchmark.hpo.driver.loop import tune
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.store import Store
from tests.support.small_studies import shell, with_objective

MANY = len(usable_cores()) + 1
LIMITS = {"time": 60, "memory": 100, "cores": 0}


def remote(folder: Path, objective: dict[str, Any], **more: Any) -> StudyDefinition:
    return define(with_objective(objective, **{"limits": LIMITS, "parallel": MANY} | more), folder)


@pytest.mark.slow
def test_more_trials_than_cores_at_a_time(folder_store: Store, tmp_path: Path) -> None:
    """Each waits for all others to have begun."""
    seen = f"touch {tmp_path}/trial-$HPO_TRIAL"
    wait = f"until [ $(ls -d {tmp_path}/trial-* | wc -l) = {MANY} ]; do sleep 0.05; done"
    definition = remote(tmp_path, {"command": shell(f"{seen}; {wait}; echo 1")}, trials=MANY)
    study = Study.begin(folder_store, definition)
    method, config = launch.prepared(definition, Config(), study.files)
    records = tune(study, config, method).records
    assert [record.status for record in records] == ["success"] * MANY


@pytest.mark.parametrize(
    ("hosts", "parallel"), [([], MANY), (["a"], 1), ([f"h{n}" for n in range(MANY + 3)], MANY)]
)
def test_hosts_limit_how_many_run(tmp_path: Path, hosts: list[str], parallel: int) -> None:
    definition = remote(tmp_path, {"command": ["true"], "hosts": hosts})
    _, config = launch.prepared(definition, Config(), {})
    assert slots(config) == [usable_cores()] * parallel


@pytest.mark.parametrize("cores", [-1, 0.5, False, "0.5 cores"])
def test_what_is_no_number_of_cores(tmp_path: Path, cores: Any) -> None:
    with pytest.raises(StudyError, match="or 0 for trials that share all cores"):
        remote(tmp_path, {"command": ["true"]}, limits={"cores": cores})


def test_what_needs_cores_here(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="MPI ranks need cores"):
        remote(tmp_path, {"command": ["true"]}, resources={"nodes": 1})
    objective = {"benchmark": {"framework": "random-forest", "datasets": "penguins"}}
    with pytest.raises(StudyError, match="a benchmark and MPI"):
        remote(tmp_path, objective, direction="maximize")


def test_only_this_machine_shares_its_cores(tmp_path: Path) -> None:
    definition = remote(tmp_path, {"command": ["true"]})
    with pytest.raises(StudyError, match="share this machine's cores, and would run by slurm"):
        launch.prepared(definition, Config(compute={"*": "slurm"}), {})
