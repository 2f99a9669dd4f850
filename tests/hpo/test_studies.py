"""Studies through the sandbox: every kind of objective and ending, and what is left of a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark import results
from benchmark.errors import ConditionsDifferError
from benchmark.execution.runner import Runner
from benchmark.hpo.expressions import ExpressionError
from benchmark.hpo.objective import EXTERNAL
from benchmark.hpo.study import Study
from benchmark.hpo.study_file import StudyError, define, read_study
from benchmark.hpo.trial_records import value_of
from benchmark.results import Record
from benchmark.store import Store

ROOT = Path(__file__).parents[2]
TUNABLES = [
    {"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.5},
    {"name": "gc", "value_type": "categorical", "choices": ["G1", "Z"], "default": "Z"},
]
Program = Callable[..., subprocess.CompletedProcess[str]]


def declared(command: Any, **more: Any) -> dict[str, Any]:
    objective = more.pop("objective", {})
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": TUNABLES,
        "trials": 1,
        "seed": 1,
        "limits": {"time": 20, "memory": 300},
        "objective": {"command": command, **objective},
        **more,
    }


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


@pytest.fixture
def first(folder_store: Store, tmp_path: Path, warm: None) -> Callable[..., Record]:
    """The record of the first trial of a study, told as well."""

    def run(command: Any, **more: Any) -> Record:
        study = Study.begin(folder_store, define(declared(command, **more), tmp_path))
        (task,) = study.ask()
        with Runner(study.run) as runner:
            record = runner.execute(task)
        assert study.tell(record)
        assert study.unfinished() == []
        return record

    return run


def test_a_script_with_positional_arguments(first: Callable[..., Record], tmp_path: Path) -> None:
    script = tmp_path / "applyconfig.sh"
    script.write_text('#!/bin/sh\necho "rt, gc" > out.csv\necho "$1, $2" >> out.csv\n')
    script.chmod(0o755)
    record = first(
        "applyconfig.sh",
        objective={"positional": True, "metrics": {"csv": "out.csv"}, "value": "10 * rt"},
    )
    assert (record.status, record.metrics) == ("success", {"rt": 0.5, "value": 5.0})


def test_environment_file_and_constraints(first: Callable[..., Record]) -> None:
    text = (
        "import json, os; d = json.load(open('trial.json')); p = dict(zip(d['params'], d['x'])); "
        "print(json.dumps({'p99': p['x'], 'same': float(os.environ['GC'] == p['gc'])}))"
    )
    record = first(
        python(text),
        objective={
            "environment": {"GC": "{gc}"},
            "value": "p99 + same",
            "constraints": ["p99 <= 0.2"],
        },
    )
    assert record.labels["values"] == [1.5]
    assert record.labels["constraints"] == [0.3]


def test_repeats_count_with_the_median(first: Callable[..., Record], tmp_path: Path) -> None:
    count = tmp_path / "count"
    text = (
        f"p = {str(count)!r}; open(p, 'a').write('x'); print([9, 1, 2, 6][len(open(p).read())-1])"
    )
    record = first(python(text), objective={"repeats": 3, "warmups": 1})
    assert record.metrics["value"] == 2.0
    assert count.read_text() == "xxxx"


@pytest.mark.parametrize(
    ("text", "status", "cause", "said"),
    [
        ("print('garbage')", "failure", "framework", "garbage"),
        ("", "prune", None, "printed nothing"),
        ("print('nan')", "failure", "framework", "has no finite number"),
        ("raise SystemExit('broken pipe here')", "failure", "framework", "broken pipe here"),
        ("raise SystemExit(3)", "prune", None, "exit code 3"),
        ("x = bytearray(900 << 20); print(1)", "failure", "memory", "300 MB"),
        (
            "import signal, os, time; signal.signal(15, signal.SIG_IGN); os.fork(); time.sleep(99)",
            "failure",
            "timeout",
            "hard limit",
        ),
        ("for _ in range(30): print('x' * 10**6)", "failure", "framework", "No line"),
    ],
)
def test_endings(
    first: Callable[..., Record], text: str, status: str, cause: str | None, said: str
) -> None:
    limits = {"time": 2 if cause == "timeout" else 60, "memory": 300}
    record = first(python(text), limits=limits, objective={"prune_codes": [3]})
    assert (record.status, record.cause) == (status, cause)
    assert said in record.message


@pytest.mark.parametrize(
    ("command", "said"),
    [(["not-there-at-all"], "did not start"), (["/etc/hostname"], "chmod +x")],
)
def test_what_cannot_be_started(
    first: Callable[..., Record], command: list[str], said: str
) -> None:
    record = first(command)
    assert record.cause == "framework"
    assert said in record.message


CHATTY = (
    "import sys; print('tps, ms'); sys.stdout.flush(); print('9, 9', file=sys.stderr, flush=True); "
    "print('1.5, 2'); sys.stdout.flush(); "
    "[print('warning ' + 'x' * 1000, file=sys.stderr) for _ in range({})]"
)


@pytest.mark.parametrize("hooks", [{}, {"reset": ["true"]}, {"repeats": 2}])
@pytest.mark.parametrize("lines", [1, 30_000])
def test_errors_do_not_mix_with_standard_output(
    first: Callable[..., Record], folder_store: Store, hooks: dict[str, Any], lines: int
) -> None:
    more = {"metrics": {"csv": "stdout", "row": 2}, "value": "tps", **hooks}
    record = first(python(CHATTY.format(lines)), objective=more)
    assert (record.status, record.metrics["value"]) == ("success", 1.5), record.message
    assert record.log is not None
    log = folder_store.get(record.log) or b""
    assert len(log) < 3_000_000
    assert {b"tps, ms", b"9, 9"} <= set(log.splitlines())


@pytest.mark.parametrize("hooks", [{}, {"reset": ["true"]}])
def test_rules_look_at_errors_too(first: Callable[..., Record], hooks: dict[str, Any]) -> None:
    text = "import sys; print(1); print('Insufficient memory', file=sys.stderr)"
    record = first(python(text), objective=hooks)
    assert (record.status, "Insufficient memory" in record.message) == ("prune", True)


def test_what_is_on_standard_error_alone_is_no_metric(first: Callable[..., Record]) -> None:
    record = first(python("import sys; print(1, file=sys.stderr)"))
    assert (record.status, record.cause) == ("failure", "framework")
    assert "nothing on standard output" in record.message


def test_a_metric_that_is_a_text(first: Callable[..., Record]) -> None:
    record = first(python('print(\'{"n": 1, "tps": "812 tx/s"}\')'), objective={"value": "tps"})
    assert record.cause == "framework"
    assert "'tps' was measured as \"812 tx/s\", which is no finite number." in record.message


def test_a_value_that_divides_by_zero(first: Callable[..., Record]) -> None:
    record = first(python("print(0)"), objective={"value": "1 / value"})
    assert record.cause == "framework"
    assert "has no value here: float division by zero" in record.message


OBJECTIVE = """
import optuna
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.suggest_categorical("gc", ["G1", "Z"])
    for step in range(3):
        trial.report(x + step, step)
        if step == 1 and x > 0.4:
            raise optuna.TrialPruned()
    return x
"""


def test_a_python_objective_reports_and_prunes(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OBJECTIVE)
    values = declared("x", trials=2, initial=[{"x": 0.25, "gc": "G1"}])
    study = Study.begin(folder_store, define(values | {"objective": "own.py:objective"}, tmp_path))
    with Runner(study.run) as runner:
        pruned, good = (runner.execute(task) for task in study.ask(2))
    assert (pruned.status, pruned.labels["intermediate"]) == ("prune", {"0": 0.5, "1": 1.5})
    assert (good.status, good.labels["values"]) == ("success", [0.25])
    assert study.tell(pruned)
    assert study.tell(good)
    states = [trial.state.name for trial in study.optimizer.trials()]
    assert states == ["PRUNED", "COMPLETE"]


@pytest.fixture
def of_function(folder_store: Store, tmp_path: Path) -> Callable[..., Record]:
    """The record of the first trial of a Python function, given its body."""

    def run(body: str, **more: Any) -> Record:
        (tmp_path / "own.py").write_text(f"import os, random, sys\ndef objective(t): {body}\n")
        values = declared("x", algorithm="random")
        values["objective"] = {"python": "own.py:objective", **more}
        study = Study.begin(folder_store, define(values, tmp_path))
        with Runner(study.run) as runner:
            return runner.execute(study.ask()[0])

    return run


def test_a_function_that_ends_its_process(of_function: Callable[..., Record]) -> None:
    record = of_function("sys.exit('no disk')")
    assert (record.cause, "no disk" in record.message) == ("framework", True)


def test_chance_is_another_in_each_run(of_function: Callable[..., Record]) -> None:
    record = of_function("return random.random()", repeats=3)
    assert len({run["value"] for run in record.labels["runs"]}) == 3


def test_a_module_of_the_user_s_is_not_taken_for_ours(
    of_function: Callable[..., Record], tmp_path: Path
) -> None:
    (tmp_path / "benchmark.py").write_text("value = 7")
    record = of_function("import benchmark; return benchmark.value", files=["benchmark.py"])
    assert record.labels["values"] == [7.0], record.message


def test_variables_of_the_interpreter_count(
    of_function: Callable[..., Record], tmp_path: Path
) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "deep.py").write_text("value = 8")
    variables = {"PYTHONPATH": str(tmp_path / "lib")}
    record = of_function("import deep; return deep.value", environment=variables)
    assert record.labels["values"] == [8.0], record.message


def test_another_objective_is_another_study(folder_store: Store, tmp_path: Path) -> None:
    Study.begin(folder_store, define(declared(["true"]), tmp_path))
    Study.begin(folder_store, define(declared(["true"], trials=5), tmp_path))
    with pytest.raises(ConditionsDifferError, match="other values of objective"):
        Study.begin(folder_store, define(declared(["false"]), tmp_path))


def test_a_command_takes_over_what_clients_measured(folder_store: Store, tmp_path: Path) -> None:
    values = declared(["true"]) | {"objective": dict(EXTERNAL)}
    Study.begin(folder_store, define(values, tmp_path))
    taken = Study.open(folder_store, "s", {"objective": {"command": "echo 5"}})
    (task,) = taken.ask()
    with Runner(taken.run) as runner:
        assert runner.execute(task).metrics["value"] == 5
    with pytest.raises(StudyError, match="a command of its own"):
        Study.open(folder_store, "s", {"objective": {"command": "echo 6"}})


def test_a_lost_journal_is_made_again(folder_store: Store, tmp_path: Path) -> None:
    definition = define(declared(python("print(1)"), trials=4), tmp_path)
    study = Study.begin(folder_store, definition)
    tasks = study.ask(3)
    with Runner(study.run) as runner:
        runner.execute(tasks[0])
    (tmp_path / "store" / "studies" / "s" / "optuna.journal").unlink()
    again = Study.begin(folder_store, definition)
    assert [task.payload for task in again.unfinished()] == [t.payload for t in tasks[1:]]
    assert again.left == 1


def test_the_service_s_search_space_is_taken(tmp_path: Path) -> None:
    space = {
        "experiment_name": "petclinic",
        "experiment_id": "a123",
        "total_trials": 7,
        "parallel_trials": 1,
        "value_type": "double",
        "hpo_algo_impl": "optuna_tpe",
        "objective_function": "transaction_response_time",
        "direction": "minimize",
        "tunables": [
            {
                "name": "cpu",
                "value_type": "double",
                "lower_bound": 1,
                "upper_bound": 3,
                "step": 0.01,
            }
        ],
    }
    file = tmp_path / "search_space.json"
    file.write_text(json.dumps({"operation": "EXP_TRIAL_GENERATE_NEW", "search_space": space}))
    study = read_study(file, {"objective": {"command": "./measure.sh {cpu}"}})
    assert (study.name, study.trials, study.space.size()) == ("petclinic", 7, 201)
    for metrics in ({"value": 3.0}, {"transaction_response_time": 3.0, "throughput": 9.0}):
        assert value_of(study, "value", {"cpu": 1, **metrics}) == 3
    with pytest.raises(ExpressionError, match="transaction_response_time"):
        value_of(study, "value", {"cpu": 1, "throughput": 9.0})


def test_every_fault_of_a_study_file(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("name: ../x\ntrials: 0\ntunables: []\nobjective: {}\nseed: a\nfoo: 1\n")
    with pytest.raises(StudyError) as caught:
        read_study(file)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("has 7 faults:")
    for said in ("'../x'", "'trials'", "no tunables", "'objective'", "'seed'", "'foo'"):
        assert sum(said in line for line in lines[1:]) == 1
    file.write_text("name: s\ndirecton: minimize\nobjectiv: {}\ntunables: [{name: x}]\n")
    with pytest.raises(StudyError) as caught:
        read_study(file)
    said = ["'direction'?", "'objective'?", "value_type None; write one of"]
    lines = str(caught.value).splitlines()[1:]
    assert [part in line for part, line in zip(said, lines, strict=True)] == [True] * 3, lines
    file.write_text("name: s\ntunables:\n- {name: x, when: 'a == 'b''}\n")
    with pytest.raises(StudyError, match="in double quotes: when:"):
        read_study(file)
    file.write_text("name: [")
    with pytest.raises(StudyError, match="is not YAML"):
        read_study(file)


def test_a_killed_driver_loses_no_trial_and_counts_none_twice(tmp_path: Path) -> None:
    """Each trial writes a line as it is measured; the driver is killed at every fourth line."""
    lines = tmp_path / "lines"
    lines.touch()
    text = (
        f"import os; open({str(lines)!r}, 'a').write(os.environ['HPO_TRIAL'] + chr(10)); "
        "print({x})"
    )
    file = tmp_path / "s.json"
    file.write_text(json.dumps(declared(python(text), trials=16)))
    command = [sys.executable, str(ROOT / "main.py"), "tune", str(file), "--json"]
    kills = 0
    while True:
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as driver:
            assert driver.stderr is not None
            told = 0
            for line in driver.stderr:
                told += line.startswith("trial ")
                if told == 4:
                    os.kill(driver.pid, signal.SIGKILL)
                    kills += 1
                    break
            output = driver.communicate()[0]
        if driver.returncode == 0:
            break
        assert driver.returncode == -signal.SIGKILL
        assert kills < 10
    assert kills >= 3
    facts = json.loads(output)
    assert (facts["told"], facts["success"]) == (16, 16)
    from benchmark.store import open_store

    study = Study.open(open_store(str(tmp_path / "runs")), "s")
    trials = study.optimizer.trials()
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 16
    found = {int(r.task): r.labels["values"] for r in results.records(study.run)}
    assert {trial.number: trial.values for trial in trials} == found
    assert facts["best"][0]["values"] == [min(value for (value,) in found.values())]
