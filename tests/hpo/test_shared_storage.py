"""Studies on real services: PostgreSQL, S3, and an environment that a study declares."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.hpo.driver.loop import tune
from benchmark.hpo.spec.study_file import define
from benchmark.hpo.study.study import Study
from benchmark.store import open_store

ROOT = Path(__file__).parents[2]


def declared(**more: Any) -> dict[str, Any]:
    x = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [x],
        "trials": 4,
        "limits": {"time": 60, "memory": 300},
        "objective": {"command": ["echo", "{x}"]},
        **more,
    }


@pytest.mark.integration
def test_workers_on_postgresql(postgres: str, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    Study.begin(store, define(declared(trials=11, storage=postgres), tmp_path))
    line = [sys.executable, "-m", "benchmark.hpo.driver.worker", str(tmp_path / "store"), "s"]
    workers = [subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(3)]
    assert sum(worker.communicate()[0].count(b"\n") for worker in workers) == 11
    study = Study.open(store, "s")
    assert [trial.state.name for trial in study.optimizer.trials()] == ["COMPLETE"] * 11
    assert not list((tmp_path / "store" / "studies" / "s").glob("*journal*"))


def test_records_in_s3(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    study = Study.begin(open_store(s3), define(declared(trials=2), tmp_path))
    tuned = tune(study, Config(cores=1, memory=300, parallel=1, s3_bucket_root=s3))
    assert [record.status for record in tuned.records] == ["success"] * 2
    again = Study.open(open_store(s3), "s")
    assert (again.left, again.unfinished()) == (0, [])
    assert (tmp_path / "studies" / "s" / "optuna.journal").exists()


@pytest.mark.integration
def test_an_environment_of_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    (tmp_path / "own.py").write_text(
        "import colorama\ndef objective(t):\n    t.set_user_attr('major', 1)\n"
        "    assert colorama.__version__ == '0.4.6'\n    return t.suggest_float('x', 0, 1)\n"
    )
    environment = {"python": ">=3.11", "packages": ["colorama==0.4.6"]}
    values = declared(trials=2, objective="own.py:objective", environment=environment)
    del values["tunables"]
    store = open_store(str(tmp_path / "store"))
    study = Study.begin(store, define(values, tmp_path))
    assert "colorama==0.4.6" in study.run.manifest.conditions["environment"]["lock"]
    tuned = tune(study, Config(cores=1, memory=500, parallel=1))
    assert [record.status for record in tuned.records] == ["success"] * 2, tuned
    before = json.dumps(study.run.manifest.conditions)
    again = Study.begin(store, define(values | {"trials": 3}, tmp_path))
    assert again.run.manifest.conditions["environment"] == json.loads(before)["environment"]
