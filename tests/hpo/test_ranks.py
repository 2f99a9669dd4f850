"""MPI programs as trials: how they are started, and what their ranks are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import SetupError
from benchmark.execution.machine.mpi import MPI_VARIABLE, launcher
from benchmark.execution.runner import Runner
from benchmark.hpo.report.default_runs import CONFIRM, DEFAULT
from benchmark.hpo.report.repeats import BEST, default_tasks, pair_tasks
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.trial_import import import_rows
from benchmark.records.tasks import Ranks
from benchmark.store import Store

# As MPICH's, which takes four words of its own; it starts one rank.
MPIRUN = '#!/bin/sh\n[ "$1" = --version ] && exit\nshift 4\nRANKS=yes exec "$@"\n'
GPUS = Ranks(1, 2, gpus_per_rank=1)


@pytest.fixture
def launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """mpirun and srun on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("mpirun", "srun"):
        (folder / name).write_text(MPIRUN)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv(MPI_VARIABLE, raising=False)
    return folder


@pytest.fixture
def study(folder_store: Store, tmp_path: Path) -> Callable[..., Study]:
    def make(resources: dict[str, Any], **objective: Any) -> Study:
        x = {"name": "x", "value_type": "integer", "lower_bound": 0, "upper_bound": 0}
        values = {
            "name": "s",
            "direction": "minimize",
            "tunables": [x],
            "trials": 1,
            "limits": {"time": 200, "memory": 300},
            "resources": resources,
            "objective": {"command": ["sh", "-c", "echo $OMP_NUM_THREADS; test $RANKS"]}
            | objective,
        }
        return Study.begin(folder_store, define(values, tmp_path))

    return make


@pytest.mark.usefixtures("launchers")
@pytest.mark.parametrize("hooks", [{}, {"reset": "true"}])
def test_a_rank_has_its_own_number_of_threads(
    study: Callable[..., Study], hooks: dict[str, str]
) -> None:
    begun = study({"ranks_per_node": 2}, **hooks)
    (task,) = begun.ask()
    with Runner(begun.run) as runner:
        record = runner.execute(task)
    assert (record.status, record.metrics) == ("success", {"value": 1.0}), record.message


def test_one_rank_with_a_gpu_is_started_as_ranks_are(study: Callable[..., Study]) -> None:
    (task,) = study({"gpus_per_rank": 1}).ask()
    assert task.resources.mpi == Ranks(1, 1, gpus_per_rank=1)


def test_a_tunable_number_of_gpus_may_be_none(study: Callable[..., Study]) -> None:
    (task,) = study({"ranks_per_node": 2, "gpus_per_rank": "x"}).ask()
    assert task.resources.mpi == Ranks(1, 2, gpus_per_rank=0)


def test_repeats_of_the_default_have_its_own_number_of_ranks(
    folder_store: Store, tmp_path: Path
) -> None:
    procs = {"name": "procs", "value_type": "integer", "lower_bound": 1, "upper_bound": 8}
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [procs | {"default": 2}],
        "resources": {"ranks_per_node": "procs"},
        "objective": {"command": "true"},
    }
    begun = Study.begin(folder_store, define(values, tmp_path))
    import_rows(begun, [{"procs": 2, "value": 9}, {"procs": 8, "value": 3}])
    pairs = pair_tasks(begun.run, begun.definition, 2)
    tasks = [*pairs, *default_tasks(begun.run, begun.definition, 2)]
    found = {(task.labels[CONFIRM], task.payload["params"]["procs"]): task for task in tasks}
    assert {key: task.resources.mpi for key, task in found.items()} == {
        (BEST, 8): Ranks(1, 8),
        (DEFAULT, 2): Ranks(1, 2),
    }


@pytest.mark.usefixtures("launchers")
def test_gpus_are_srun_s_to_give() -> None:
    in_job = {"SLURM_JOB_ID": "7"}
    assert launcher(Ranks(1, 2), in_job)[0] == "mpirun"
    assert launcher(GPUS, in_job)[0] == "srun"
    for variables in ({}, in_job | {MPI_VARIABLE: "mpirun"}):
        with pytest.raises(SetupError, match="1 GPUs a rank, which only srun"):
            launcher(GPUS, variables)


@pytest.mark.parametrize(
    ("tunable", "said"),
    [
        ({"value_type": "double", "lower_bound": 1, "upper_bound": 4}, "from 1 to 4"),
        ({"value_type": "integer", "lower_bound": 0, "upper_bound": 4}, "whole numbers from 0 to"),
        ({"value_type": "categorical", "choices": [1, "two"]}, "1, 'two'"),
        ({"value_type": "categorical", "choices": [1, True]}, "1, True"),
    ],
)
def test_a_tunable_of_ranks_has_whole_numbers(tunable: dict[str, Any], said: str) -> None:
    values = {
        "name": "s",
        "direction": "minimize",
        "tunables": [{"name": "n"} | tunable],
        "objective": {"command": ["true"]},
        "resources": {"nodes": "n"},
    }
    with pytest.raises(StudyError, match="'resources' has the tunable 'n' as 'nodes'") as caught:
        define(values, Path())
    assert said in str(caught.value)
    define(values, Path(), stored=True)
    values["resources"] = {"gpus_per_rank": "n"}
    values["tunables"] = [{"name": "n", "value_type": "categorical", "choices": [0, 2]}]
    define(values, Path())
