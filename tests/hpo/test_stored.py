"""A store that an earlier commit wrote is read, its study resumed and its tasks run.

The folder `stored` has, by commit: a study of a command with two records and a trial that was asked
and not run, and a study of a framework with one such trial.
"""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import pytest

import benchmark
from benchmark.execution.runner import Runner
from benchmark.execution.work import load_evaluation
from benchmark.hpo import InOrder, read_study
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.benchmark_evaluation import BenchmarkTrialEvaluation
from benchmark.store import Store, open_store

STORED = Path(__file__).parent / "stored"


@pytest.fixture(params=sorted(path.name for path in STORED.iterdir()))
def stored(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(str(shutil.copytree(STORED / request.param, tmp_path / "store")))


def test_a_study_of_an_earlier_commit_is_resumed(stored: Store, warm: None) -> None:
    study = Study.open(stored, "command")
    task = study.run.task("2")  # As `python -m benchmark.execution STORE RUN TASK` reads it.
    assert task.evaluation == "benchmark.hpo.trials.evaluation:TrialEvaluation"
    assert [one.key for one in study.unfinished()] == ["2"]
    with Runner(study.run) as runner:
        record = runner.execute(task)
        assert (record.status, study.tell(record)) == ("success", True)
        (new,) = study.ask(4)
        assert study.tell(runner.execute(new))
    again = Study.open(stored, "command")
    assert (again.left, again.unfinished()) == (0, [])
    assert again.progress.best == {"x": 4.758467595057327}


def test_the_evaluation_of_a_framework_study_is_found(stored: Store) -> None:
    task = Study.open(stored, "framework").run.task("0")
    assert task.evaluation == "benchmark.hpo.trials.benchmark_evaluation:BenchmarkTrialEvaluation"
    assert isinstance(load_evaluation(task.evaluation), BenchmarkTrialEvaluation)


def test_moved_modules_are_imported_under_their_earlier_names() -> None:
    for before, now in benchmark.MOVED.items():
        assert importlib.import_module(before) is importlib.import_module(now)
    moved = importlib.import_module("benchmark.hpo.study.task_order").InOrder
    assert (moved, importlib.import_module("benchmark.hpo.spec.study_file").read_study) == (
        InOrder,
        read_study,
    )
    for name, cls in (("tasks", "Task"), ("results", "Record"), ("config", "Config")):
        assert hasattr(importlib.import_module(f"benchmark.{name}"), cls)
    with pytest.raises(ModuleNotFoundError, match=r"benchmark\.hpo\.nowhere"):
        importlib.import_module("benchmark.hpo.nowhere")
