"""clean-s3 and studies: all of a study goes, so that the next of its name begins anew."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.compute.pilot.lists import Lists, Place
from benchmark.execution.runner import Runner
from benchmark.hpo.driver import control
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.deletion import forget
from benchmark.hpo.study.study import Study
from benchmark.runs.clean import clean, find
from benchmark.store import Store, open_store

Program = Callable[..., subprocess.CompletedProcess[str]]
X = {
    "name": "x",
    "value_type": "double",
    "lower_bound": 0,
    "upper_bound": 1,
    "default": 0.5,
}
DECLARED = {
    "name": "s",
    "direction": "minimize",
    "tunables": [X],
    "trials": 4,
    "seed": 1,
    "algorithm": "random",
    "limits": {"time": 200, "memory": 300},
    "objective": {"command": [sys.executable, "-c", "print({x})"]},
}
# What other ways of running leave, or a kill: workers, references, jobs of Slurm's.
BESIDE = [
    "workers/0a1b2c3d4e5f.json",
    "references/penguins/75.json",
    "references/predictions/constant/penguins/75.parquet",
    "references/predictions/constant/penguins/75/0001.parquet",
    "trials/3/predictions/random-forest/penguins/75.parquet",
    "trials/3/predictions/random-forest/penguins/75/0002.parquet",
    "tasks/confirm-3-best-0.json",
    "out/confirm-3-default-0.json",
    "attempts/confirm-3-default-0/0001.json",
    "warm_start.json",
    "artifacts/3/0001/plots/a%20b.png",
    "jobs/h2o-1.json",
    "jobs/h2o-1.job.json",
    "jobs/h2o-1.log",
]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.chdir(tmp_path)
    return open_store(str(tmp_path / "store") if request.param == "folder" else "memory://")


def trial(store: Store, folder: Path) -> Study:
    """A study with a file of its own, after a trial whose restore hook failed."""
    (folder / "own.py").write_text("print(1)")
    objective = {
        "command": [sys.executable, "own.py"],
        "prepare": ["true"],
        "restore": ["false"],
    }
    study = Study.begin(store, define({**DECLARED, "objective": objective}, folder))
    with Runner(study.run) as runner:
        study.tell(runner.execute(study.ask()[0]))
    return study


def test_all_of_a_study_that_ran_goes(store: Store, tmp_path: Path) -> None:
    study = trial(store, tmp_path)
    control.request(study.run, "pause")
    lists = Lists(study.run)
    name = lists.add(study.ask(1), {})
    assert lists.claim(Place(name, 0), "7")
    lists.begin("7")
    for path in BESIDE:
        store.put(f"studies/s/{path}", b"{}")
    found = find(store)
    kinds = {path.split("/")[2] for path in found.runs["studies/s"]}
    assert kinds >= {"attempts", "files", "logs", "origin.json", "out", "tasks", "unrestored"}
    assert found.left == []
    clean(store, found, forget)
    assert store.list() == []
    assert list(tmp_path.rglob("optuna.journal*")) == []
    assert Study.begin(store, study.definition).optimizer.trials() == []


@pytest.mark.slow
def test_a_study_of_a_user_s_begins_anew(
    program: Program, command: Program, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    (work / "s.json").write_text(json.dumps({**DECLARED, "trials": 1}))
    for _ in range(2):
        ended = program("tune", "s.json")
        assert ended.stderr.count("trial 0:") == 1, ended.stderr
        cleaned = json.loads(command("clean-s3", "--yes", "--json").stdout)
        assert (list(cleaned["runs"]), cleaned["left"]) == (["studies/s"], [])
        assert [path for path in (work / "runs").iterdir() if path.name[0] != "."] == []
