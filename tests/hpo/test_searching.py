"""How a study goes on: layers, stops, drift, order, open spaces, workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.dispatcher import Dispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.execution.runner import Runner
from benchmark.hpo.driver import launch
from benchmark.hpo.driver.loop import tune
from benchmark.hpo.driver.study_list import opened
from benchmark.hpo.driver.worker import working
from benchmark.hpo.spec.study_file import StudyError, define, read_study
from benchmark.hpo.study.study import Study
from benchmark.hpo.study.task_order import InOrder
from benchmark.hpo.study.trial_import import import_rows
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Task
from benchmark.store import Store, open_store
from tests.support.searches import A, B, declared, told

ROOT = Path(__file__).parents[2]


def test_layers_one_by_one(folder_store: Store, tmp_path: Path) -> None:
    definition = define(declared(trials=9, tune_layers="one_by_one", layer_trials=6), tmp_path)
    study = Study.begin(folder_store, definition)
    points = told(study, lambda p: p["a"] + p["b"])
    assert all(point["b"] == 3 for point in points[:6])
    best = min(point["a"] for point in points[:6])
    assert all(point["a"] == best for point in points[6:])
    assert [point["layer"] for point in points] == [None, *["os"] * 5, *["jvm"] * 3]


def test_imported_trials_take_no_layer_s_turn(folder_store: Store, tmp_path: Path) -> None:
    definition = define(declared(trials=4, tune_layers="one_by_one", layer_trials=2), tmp_path)
    study = Study.begin(folder_store, definition)
    rows = [{"a": 9, "b": b, "value": 90 + n} for n, b in enumerate((0, 1, 2))]
    assert import_rows(study, rows).imported == 3
    points = told(study, lambda p: p["a"] + p["b"])
    assert [point["layer"] for point in points] == [None, "os", "jvm", "jvm"]


@pytest.mark.parametrize("algorithm", ["optuna_tpe", "optuna_tpe_multivariate", "nsga2", "grid"])
def test_layers_in_turn_and_used_up(folder_store: Store, tmp_path: Path, algorithm: str) -> None:
    more = {"trials": 50, "tune_layers": "in_turn", "layer_trials": 2, "algorithm": algorithm}
    more["layers"] = {"os": [A | {"lower_bound": 6}], "jvm": [B]}
    study = Study.begin(folder_store, define(declared(**more), tmp_path))
    points = told(study, lambda p: p["a"] + p["b"])
    assert [point["layer"] for point in points[1:6]] == ["os", "jvm", "jvm", "os", "os"]
    assert len({(point["a"], point["b"]) for point in points}) == len(points) == 16


def test_layers_from_files(tmp_path: Path) -> None:
    (tmp_path / "os.yaml").write_text(json.dumps({"tunables": [A], "forbidden": ["a == 4"]}))
    (tmp_path / "x.json").write_text(json.dumps({"name": "jvm", "tunables": [B]}))
    file = tmp_path / "s.json"
    file.write_text(json.dumps(declared(layers=["os.yaml", "x.json"])))
    definition = read_study(file)
    assert [(t.name, t.layer) for t in definition.space.tunables] == [("a", "os"), ("b", "jvm")]
    assert definition.source["layers"] == {"os": [A], "jvm": [B]}
    assert [rule.text for rule in definition.space.forbidden] == ["a == 4"]
    file.write_text(json.dumps(declared(layers=["none.yaml"])))
    with pytest.raises(StudyError, match=r"none\.yaml cannot be read"):
        read_study(file)


def test_faults_of_a_search() -> None:
    bare = {"name": "c", "value_type": "categorical", "choices": [1, 2]}
    values = declared(layers={"os": [bare]}, tune_layers="in_turn", algorithm="cmaes")
    with pytest.raises(StudyError) as caught:
        define(values | {"stop": {"time": -1}, "default_every": 3}, Path())
    for said in ("fewer than two", "one space only", "give 'c' a 'default'", "-1", "default_every"):
        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("algorithm", "said"),
    [
        ({"name": "optuna_tpe", "n_startup_trial": 3}, "did you mean 'n_startup_trials'"),
        ({"name": "optuna_tpe", "n_startup_trials": 3.0}, "is 3.0; write a value of the type int"),
        ({"name": "optuna_tpe", "n_startup_trials": -1}, "is -1; write a number of at least 0."),
        ({"name": "optuna_tpe", "n_ei_candidates": 0}, "is 0; write a number of at least 1."),
        ({"name": "cmaes", "popsize": 1}, "is 1; write a number of at least 2."),
        ({"name": "optuna_tpe", "multivariate": True}, "has no option 'multivariate'; there are"),
        ({"name": "optuna_tpe", "gamma": "open"}, "has no option 'gamma'"),
        ({"name": "nsga2", "population_size": 1}, "rejects"),
        ({"name": "grid", "seed": 1}, "has no option 'seed'; it has none"),
        ({"name": "auto", "n_startup_trials": 3}, "takes no options"),
        ({"n_startup_trials": 3}, "write {name: NAME}"),
    ],
)
def test_options_of_an_algorithm_are_checked(algorithm: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(declared(algorithm=algorithm), Path())
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithm": {"name": "cmaes", "popsize": 1}}, "'popsize' of 'cmaes' is 1; write a"),
        ({"algorithm": {"name": "optuna_tpe", "n_ei_candidates": 0}}, "is 0; write a number of"),
        ({"pruner": {"name": "hyperband", "min_resource": 0}}, "'min_resource' of 'hyperband'"),
    ],
)
def test_a_stored_study_is_not_resumed_with_options_that_a_file_may_not_have(
    folder_store: Store, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    (tmp_path / "objective.py").write_text("def objective(trial):\n    return 1\n")
    values = declared(objective={"python": "objective.py:objective"}, **changes)
    Study.begin(folder_store, define(values, tmp_path, stored=True))
    _, definition = opened(folder_store, "s")
    with pytest.raises(StudyError, match="cannot be resumed as it is stored") as caught:
        launch.prepared(definition, Config(), {})
    assert said in str(caught.value)
    with pytest.raises(StudyError, match="cannot be resumed"), working(folder_store, "s"):
        pass


@pytest.mark.parametrize(
    ("key", "place"), [("n_jobs", "parallel"), ("timeout", "stop: {time: 1h}")]
)
def test_a_key_of_optuna_s_is_explained(key: str, place: str) -> None:
    with pytest.raises(StudyError, match=rf"unknown key '{key}'; it belongs in '{place}'\."):
        define(declared() | {key: 3}, Path())


def test_a_sampler_has_its_options(folder_store: Store, tmp_path: Path) -> None:
    algorithm = {"name": "optuna_tpe", "n_startup_trials": 3, "n_ei_candidates": 5}
    study = Study.begin(folder_store, define(declared(algorithm=algorithm), tmp_path))
    sampler = study.optimizer._shadow.study.sampler
    assert (sampler._n_startup_trials, sampler._n_ei_candidates) == (3, 5)  # type: ignore
    assert Study.open(folder_store, study.definition.name).definition.algorithm == "optuna_tpe"


def test_an_algorithm_that_sees_no_constraints_is_told() -> None:
    objective = {"command": ["true"], "constraints": ["value <= 1"]}
    definition = define(declared(algorithm="cmaes", objective=objective), Path())
    assert ["does not see the constraints" in said for said in definition.warnings] == [True]
    assert define(declared(objective=objective), Path()).warnings == []


@pytest.mark.parametrize(
    ("stop", "count", "said"),
    [
        ({"no_improvement": 3}, 4, "last 3 trials"),
        ({"time": 10}, 1, "10 s are used up"),
    ],
)
def test_stops(
    folder_store: Store, tmp_path: Path, stop: dict[str, Any], count: int, said: str
) -> None:
    study = Study.begin(folder_store, define(declared(trials=30, stop=stop), tmp_path))
    assert len(told(study, lambda _: 1.0)) == count
    assert said in str(study.why_stop)


@pytest.mark.parametrize("seen", [2, 3])
def test_a_study_that_goes_on_counts_what_was_before(
    folder_store: Store, tmp_path: Path, seen: int
) -> None:
    """Also where the last record was not told before the driver was killed."""
    values = declared(trials=30, stop={"time": 30}, tune_layers="one_by_one", layer_trials=3)
    definition = define(values, tmp_path)
    study = Study.begin(folder_store, definition)
    tasks = study.ask(3)
    for number, task in enumerate(tasks):
        attempt = results.begin(study.run, task)
        at = {"begun": f"2026-01-01T00:00:{number}0+00:00"}
        ended = {"ended": f"2026-01-01T00:00:{number + 1}0+00:00"}
        labels = task.labels | {"values": [float(number)]}
        found = Record(task.key, "success", labels=labels, **ended)
        record = results.settle(study.run, replace(attempt, **at), found)
        if number < seen:
            assert study.tell(record)
    again = Study.open(folder_store, "s")
    assert again.unfinished() == []
    assert again.why_stop == "Its 30 s are used up."
    assert again.progress.best == tasks[0].payload["params"]


def test_first_points_in_another_number_type_are_asked_once(
    folder_store: Store, tmp_path: Path
) -> None:
    x = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 9, "default": 1}
    n = {"name": "n", "value_type": "integer", "lower_bound": 0, "upper_bound": 9, "default": 2.0}
    first = [{"x": 3, "n": 4.0}]
    definition = define(declared(layers={"l": [x, n]}, initial=first, trials=9), tmp_path)
    asked = [Study.begin(folder_store, definition).ask(2) for _ in range(2)]
    points = [[task.payload["params"] for task in tasks] for tasks in asked]
    assert points[0] == [{"x": 1, "n": 2}, {"x": 3, "n": 4}]
    assert points[1][0] not in points[0]
    assert points[1][1] not in points[0]


class Noted(Dispatcher):
    """Ends what it is given when it is asked, the last first."""

    def __init__(self, run: Any) -> None:
        super().__init__(run, Config())
        self.given: list[str] = []
        self._waiting: list[Task] = []

    def submit(self, tasks: Sequence[Task]) -> None:
        self.given += [task.key for task in tasks]
        self._waiting += tasks

    def completed(self, timeout_s: float) -> list[Record]:
        return [Record(self._waiting.pop().key, "success")]


def test_a_trial_waits_for_others(folder_store: Store, tmp_path: Path) -> None:
    study = Study.begin(folder_store, define(declared(trials=4), tmp_path))
    first = study.ask(2)
    (last,) = study.ask(1, after=[task.key for task in first])
    with InOrder(noted := Noted(study.run)) as dispatcher:
        dispatcher.submit([last, *first])
        assert noted.given == ["0", "1"]
        dispatcher.completed(1)
        assert noted.given == ["0", "1"]
        dispatcher.completed(1)
        assert noted.given == ["0", "1", "2"]
    assert study.unfinished()[2].labels["after"] == ["0", "1"]


OPEN = """
import optuna
def objective(trial):
    kind = trial.suggest_categorical("kind", ["a", "b"])
    x = trial.suggest_float("x", 0, 1) if kind == "a" else trial.suggest_int("n", 1, 3)
    trial.set_user_attr("p99", 7 * x)
    trial.report(x, 0)
    if trial.should_prune():
        raise optuna.TrialPruned()
    return x, 2 * x
"""


@pytest.mark.slow
def test_a_function_that_declares_by_asking(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        OPEN.replace("    trial.report(x, 0)\n", "").replace(
            "    if trial.should_prune():\n        raise optuna.TrialPruned()\n", ""
        )
    )
    values = declared(trials=3, objective={"python": "own.py:objective", "constraints": ["p99<=1"]})
    del values["layers"]
    values["direction"] = ["minimize", "maximize"]
    points = []
    for name in ("s", "t"):
        study = Study.begin(folder_store, define(values | {"name": name}, tmp_path))
        tuned = tune(study, Config(cores=1, memory=300, parallel=1))
        assert [record.status for record in tuned.records] == ["success"] * 3
        points.append([record.labels["params"] for record in tuned.records])
        trials = study.optimizer.trials()
        assert [trial.params for trial in trials] == points[-1]
        assert all(len(trial.values) == 2 and len(trial.params) == 2 for trial in trials)
    assert points[0] == points[1]
    with pytest.raises(StudyError, match="needs declared tunables"):
        define(values | {"algorithm": "grid"}, tmp_path)


def test_a_range_that_the_study_does_not_declare(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def objective(t): return t.suggest_int('x', 0, 3)")
    x = {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.5}
    values = declared(objective="own.py:objective", layers={"l": [x]})
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert record.cause == "framework"
    assert "from another range" in record.message


@pytest.mark.slow
def test_workers_are_killed_and_none_is_lost_or_too_many(tmp_path: Path) -> None:
    """Each trial writes a line as it is measured; a worker is killed after its second trial."""
    text = "import os; open({!r}, 'a').write(os.environ['HPO_TRIAL'] + chr(10)); print(1)"
    command = [sys.executable, "-c", text.format(str(tmp_path / "lines"))]
    (tmp_path / "lines").touch()
    values = declared(trials=7, objective={"command": command}, trials_per_task=3)
    store = open_store(str(tmp_path / "store"))
    Study.begin(store, define(values, tmp_path))
    line = [sys.executable, "-m", "benchmark.hpo.driver.worker", str(tmp_path / "store"), "s"]
    for kills in range(4):
        workers = [
            subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
        ]
        assert workers[0].stdout is not None
        workers[0].stdout.readline()
        if kills < 1:
            os.kill(workers[0].pid, signal.SIGKILL)
        for worker in workers:
            worker.communicate()
        if Study.open(store, "s").left == 0 and kills:
            break
    study = Study.open(store, "s")
    trials = study.optimizer.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 7
    assert len(store.list("studies/s/out")) == 7
    assert study.left == 0
    assert set((tmp_path / "lines").read_text().split()) == set(map(str, range(7)))


def test_a_driver_and_workers_exclude_each_other(tmp_path: Path) -> None:
    from benchmark.compute.driving import driving
    from benchmark.hpo.driver.worker import living, working

    store = open_store(str(tmp_path / "store"))
    Study.begin(store, define(declared(), tmp_path))
    with (
        driving(store, "studies/s"),
        pytest.raises(StudyError, match="has a driver"),
        working(store, "s"),
    ):
        pass
    with working(store, "s") as study:
        assert living(store, "studies/s") == [study.worker]
        (task,) = study.ask()
        with working(store, "s") as other:
            assert other.unfinished() == []
    with working(store, "s") as other:
        assert [one.key for one in other.unfinished()] == [task.key]


def test_a_framework_over_data_sets(folder_store: Store, tmp_path: Path, warm: None) -> None:
    objective = {"benchmark": {"framework": "constant", "datasets": ["cpu"]}}
    values = declared(objective=objective, direction="maximize", limits={"time": 60}, trials=1)
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert record.status == "success", record.message
    assert record.metrics["value"] == pytest.approx(0.0, abs=1e-9)
    assert len(folder_store.list("studies/s/references")) >= 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"framework": "constat"}, "constat"),
        ({"datasets": ["pinguins"]}, "data set 'pinguins', which is none"),
        ({"metric": {"binary": "x"}}, "does not exist"),
        ({"framework": "tpot", "runtime": 0.1}, "needs at least"),
    ],
)
def test_a_framework_that_cannot_be_tuned(
    folder_store: Store, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    objective = {"benchmark": {"framework": "constant", "datasets": ["cpu"], **wrong}}
    definition = define(declared(objective=objective, direction="maximize"), tmp_path)
    with pytest.raises(BenchmarkError, match=said):
        Study.begin(folder_store, definition)


@pytest.mark.slow
def test_the_scripts_command(tmp_path: Path) -> None:
    (tmp_path / "applyconfig.sh").write_text(
        ". ./helper.inc\necho server $BENCHMARK_SERVER, $WARMUPS\necho\necho\n"
        'echo "Instances , Throughput , Response time , Max"\necho "1 , $(value $1) , 2 , $2"\n'
    )
    (tmp_path / "helper.inc").write_text("value() { echo $1; }\n")
    space = {
        "id": "x1",
        "application_name": "petclinic",
        "objective_function": "Throughput",
        "direction": "minimize",
        "ml_algo_impl": "random",
        "tunables": [A | {"name": "cpu"}, B | {"name": "gc", "lower_bound": 1}],
    }
    (tmp_path / "search_space.json").write_text(json.dumps(space))
    slo = r'( 125 \* float(data.split(" , ")[1]) ) / float(data.split(" , ")[3])'
    line = [sys.executable, "-m", "benchmark.hpo", f"--slo={slo}", "--slo_direction=maximize"]
    environment = os.environ | {"n_trials": "3", "n_jobs": "1", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [*line, "-s", "cluster-a", "-e", "results", "-w", "7"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Best: {" in ended.stdout
    record = Record.from_bytes((tmp_path / "runs/studies/petclinic/out/0.json").read_bytes())
    assert record is not None
    assert record.labels["values"] == [125 * 9 / 3]
    assert (tmp_path / "results" / "experiment-data.csv").read_text().count("\n") == 4
