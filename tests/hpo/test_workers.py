"""Workers of a study and the words that are left for them: pause, go on, stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.errors import ConditionsDifferError
from benchmark.execution.runner import Runner
from benchmark.hpo.driver import control, launch, local_workers
from benchmark.hpo.driver.local_workers import tune_by_workers
from benchmark.hpo.driver.worker import work, working
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials import restore_hooks
from benchmark.store import Store

ROOT = Path(__file__).parents[2]


def declared(**more: Any) -> dict[str, Any]:
    x = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [x],
        "seed": 1,
        "algorithm": "random",
        "limits": {"time": 200, "memory": 300},
        "objective": {"command": ["echo", "{x}"]},
        **more,
    }


class Ending(threading.Event):
    """An event that does something where a worker waits for it."""

    def __init__(self, instead: Callable[[], None]) -> None:
        super().__init__()
        self.waited = 0
        self._instead = instead

    def wait(self, timeout: float | None = None) -> bool:
        self.waited += 1
        self._instead()
        return self.is_set()


def test_a_worker_waits_while_paused_and_ends_when_told_to_stop(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "EVERY_S", 0.0)
    Study.begin(folder_store, define(declared(trials=9), tmp_path))
    with working(folder_store, "s") as study, Runner(study.run) as runner:
        done: list[str] = []

        def pause(record: Any) -> None:
            done.append(record.task)
            if len(done) == 1:
                control.request(study.run, "pause")

        paused = Ending(lambda: control.request(study.run, "go"))
        assert work(study, runner, paused, most=2, on_record=pause) == []
        assert (done, paused.waited) == (["0", "1"], 1)
        never = threading.Event()
        work(study, runner, never, on_record=lambda _: control.request(study.run, "stop"))
        assert len(study.optimizer.trials()) == 3
        # The word stands until somebody takes it back.
        work(study, runner, never)
        assert len(study.optimizer.trials()) == 3
        control.request(study.run, "go")
        work(study, runner, never)
        assert (len(study.optimizer.trials()), study.unfinished()) == (9, [])


def test_a_worker_that_joins_a_stopped_study_says_so(folder_store: Store, tmp_path: Path) -> None:
    study = Study.begin(folder_store, define(declared(trials=2), tmp_path))
    control.request(study.run, "stop")
    line = [sys.executable, "-m", "benchmark.hpo.driver.worker", folder_store.url, "s"]
    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "studies resume s lets workers go on" in ended.stderr


def test_who_leads_workers_follows_none_up_that_was_told_to_stop(
    folder_store: Store, tmp_path: Path, make_config: Callable[..., Config]
) -> None:
    values = declared(trials=500, max_parallelism=1, trials_per_task=1)
    study = Study.begin(folder_store, define(values, tmp_path))
    control.request(study.run, "stop")
    config = make_config(memory=300, hard_limit=200, parallel=1)
    tuned = tune_by_workers(study, config, lambda _: control.request(study.run, "stop"))
    assert tuned.stopped
    assert not tuned.interrupted
    again = Study.open(folder_store, "s")
    assert 1 <= len(again.optimizer.trials()) == len(tuned.records) < 500
    assert again.unfinished() == []


@pytest.mark.slow
def test_workers_know_what_has_changed_for_a_study(
    folder_store: Store, tmp_path: Path, make_config: Callable[..., Config]
) -> None:
    values = declared(trials=1, max_parallelism=1, trials_per_task=2)
    config = make_config(memory=300, hard_limit=200, parallel=1)
    study = Study.begin(folder_store, define(values, tmp_path))
    assert len(tune_by_workers(study, config).records) == 1
    more = Study.open(folder_store, "s", {"trials": 3})
    assert len(tune_by_workers(more, config).records) == 2
    assert Study.open(folder_store, "s").definition.trials == 3
    with pytest.raises(ConditionsDifferError, match="other values of limits"):
        Study.open(folder_store, "s", {"limits": {"time": 7, "memory": 300}})
    assert Study.open(folder_store, "s").definition.time_s == 200


def test_a_worker_that_crashes_is_a_fault(
    folder_store: Store,
    tmp_path: Path,
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "crashing.py").write_text(
        "from optuna.samplers import RandomSampler\n"
        "class Sampler(RandomSampler):\n"
        "    def sample_independent(self, *_):\n"
        "        raise RuntimeError('no idea')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    values = declared(trials=3, max_parallelism=1, algorithm="crashing:Sampler")
    study = Study.begin(folder_store, define(values, tmp_path))
    config = make_config(memory=300, hard_limit=200, parallel=1)
    tuned = tune_by_workers(study, config)
    assert (tuned.records, tuned.faults) == ([], ["RuntimeError: no idea"])


def test_workers_of_this_machine_are_no_compute_method_s(tmp_path: Path) -> None:
    definition = define(declared(max_parallelism=2), tmp_path)
    assert launch.prepared(definition, Config(), {})[0] == "local"
    with pytest.raises(StudyError, match=r"by slurm; .* tune --resume s --worker on each"):
        launch.prepared(definition, Config(compute={"*": "slurm"}), {})


@pytest.mark.slow
def test_interrupted_workers_put_back_what_their_trials_changed(
    folder_store: Store,
    tmp_path: Path,
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_workers, "CLOSE_S", 0.0)
    begun, put_back, left = (tmp_path / name for name in ("begun", "put_back", "left"))
    os.mkfifo(begun)
    objective = {
        "command": ["sh", "-c", f"echo > {begun}; sleep 600"],
        "restore": ["sh", "-c", f"sleep 1; touch {put_back}"],
    }
    values = declared(trials=1, max_parallelism=1, objective=objective)
    study = Study.begin(folder_store, define(values, tmp_path))
    # Of a process that is over, as a killed worker's.
    restore_hooks.mark(study.run, "7", restore_hooks.Hook(["touch", str(left)], {}, 5), "over")

    def interrupt() -> None:
        begun.read_text()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    config = make_config(memory=300, hard_limit=200, parallel=1)
    reported: list[str] = []
    on_stop = partial(reported.append, "Stopping")
    tuned = launch.drive(study, config, "local", None, on_stop=on_stop)
    assert (tuned.interrupted, tuned.faults, reported) == (True, [], ["Stopping"])
    assert put_back.exists()
    assert left.exists()
    assert not folder_store.list("studies/s/unrestored")
