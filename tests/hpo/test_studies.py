"""Studies through the sandbox: every kind of objective and ending, and what is left of a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import ConditionsDifferError
from benchmark.execution.runner import Runner
from benchmark.hpo.objectives.objective import EXTERNAL
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.store import journal_path
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.objective_files import gather
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.store import Store
from tests.support.small_studies import declared

ROOT = Path(__file__).parents[2]

Program = Callable[..., subprocess.CompletedProcess[str]]


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
        ("x = bytearray(900 << 20); print(1)", "failure", "memory", "300 MiB"),
        (
            "import signal, os, time; signal.signal(15, signal.SIG_IGN); os.fork(); time.sleep(99)",
            "failure",
            "timeout",
            "hard limit",
        ),
        ("for _ in range(30): print('x' * 10**6)", "failure", "framework", "ends with 'xxx"),
    ],
)
def test_endings(
    first: Callable[..., Record], text: str, status: str, cause: str | None, said: str
) -> None:
    limits = {"time": 2 if cause == "timeout" else 200, "memory": 300}
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


def test_another_objective_is_another_study(folder_store: Store, tmp_path: Path) -> None:
    Study.begin(folder_store, define(declared(["true"]), tmp_path))
    Study.begin(folder_store, define(declared(["true"], trials=5), tmp_path))
    with pytest.raises(ConditionsDifferError, match="other values of objective"):
        Study.begin(folder_store, define(declared(["false"]), tmp_path))


@pytest.mark.parametrize("choices", [[False, True], [0.0, 1.0]])
def test_choices_of_another_type_are_another_study(
    folder_store: Store, tmp_path: Path, choices: list[Any]
) -> None:
    def with_choices(choices: list[Any], time_s: float) -> Any:
        flag = {"name": "flag", "value_type": "categorical", "choices": choices}
        limits = {"time": time_s, "memory": 300}
        return define(declared(["true"], tunables=[flag], limits=limits), tmp_path)

    Study.begin(folder_store, with_choices([0, 1], 200))
    Study.begin(folder_store, with_choices([0, 1], 200.0))
    before = folder_store.get("studies/s/manifest.json")
    with pytest.raises(ConditionsDifferError, match="other values of tunables"):
        Study.begin(folder_store, with_choices(choices, 200))
    tunables = with_choices(choices, 200).source["tunables"]
    with pytest.raises(ConditionsDifferError, match="other values of tunables"):
        Study.open(folder_store, "s", {"tunables": tunables})
    assert folder_store.get("studies/s/manifest.json") == before


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


@pytest.mark.parametrize(
    "operator", ["&", "|", "&&", "2>&1", ">out.txt", "<in.txt", ";", "a;", "a&", "$(date)"]
)
def test_a_shell_s_operators_are_refused_where_no_shell_reads_them(
    operator: str, tmp_path: Path
) -> None:
    def prepared(hook: str | list[str]) -> tuple[str, ...]:
        return define(declared(["true"], objective={"prepare": hook}), tmp_path).objective.prepare

    with pytest.raises(StudyError, match=f"'prepare' has '{re.escape(operator)}'"):
        prepared(f"./serve {operator} --quiet")
    for hook in (f"./serve '{operator}'", ["./serve", operator]):
        assert prepared(hook) == ("./serve", operator)


def test_a_file_that_a_shell_script_names_is_kept(tmp_path: Path) -> None:
    (tmp_path / "server.py").touch()
    hooks = {"prepare": ["sh", "-c", "python server.py {x}& echo missing.py"]}
    definition = define(declared(["true"], objective=hooks), tmp_path)
    assert list(gather(definition)) == ["server.py"]


@pytest.mark.slow
def test_a_killed_driver_loses_no_trial_and_counts_none_twice(tmp_path: Path) -> None:
    """The driver is killed at every fourth trial that it tells.

    A trial is measured once those before it are told, or all but one, so that however late this
    process reads what the driver tells, there are trials left to be killed.
    """
    told_trials = tmp_path / "told"
    text = (
        f"import os, time\nwhile int(os.environ['HPO_TRIAL']) > int(open({str(told_trials)!r})"
        ".read()) + 1: time.sleep(0.02)\nprint({x})"
    )

    def let(number: int) -> None:
        told_trials.with_suffix(".new").write_text(str(number))
        told_trials.with_suffix(".new").rename(told_trials)

    file = tmp_path / "s.json"
    file.write_text(json.dumps(declared(python(text), trials=16)))
    command = [sys.executable, str(ROOT / "main.py"), "tune", str(file), "--json"]
    kills = 0
    while True:
        ended = len(list((tmp_path / "runs/studies/s/out").glob("*.json")))
        let(ended)
        with subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as driver:
            assert driver.stderr is not None
            told = 0
            for line in driver.stderr:
                told += line.startswith("trial ")
                let(ended + told)
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


def test_an_ended_trial_leaves_its_record_its_attempts_and_what_it_printed(
    folder_store: Store, tmp_path: Path
) -> None:
    """The second trial prints nothing, and the third one was begun when its driver was killed."""
    text = "import json, os; n = int(os.environ['HPO_TRIAL']); json.dump({'y': n}, open('y', 'w'))"
    text += "; n or print('hello')"
    measured = {"metrics": {"json": "y"}}
    definition = define(declared(python(text), objective=measured, trials=4), tmp_path)
    study = Study.begin(folder_store, definition)
    with Runner(study.run) as runner:
        for _ in range(2):
            assert study.tell(runner.execute(study.ask()[0]))
        (open_task,) = study.ask()
        results.begin(study.run, open_task)
        kept = {path.partition("/s/")[2] for path in folder_store.list("studies/s")}
        own = {path for path in kept if path.split("/")[0] in ("out", "attempts", "tasks", "logs")}
        assert own == {
            *("out/0.json", "out/1.json", "logs/pass/0/1.log"),
            *("tasks/2.json", *(f"attempts/{number}/0001.json" for number in range(3))),
        }
        Path(journal_path(folder_store, study.run.name)).unlink()
        again = Study.open(folder_store, "s")
        assert [task.key for task in again.unfinished()] == ["2"]
        assert again.left == 1
        trials = again.optimizer.trials()
        assert [trial.values for trial in trials] == [[0.0], [1.0], None]
        assert [trial.params for trial in trials] == [t.params for t in study.optimizer.trials()]
        assert again.tell(runner.execute(open_task))
    # Every attempt stays: how often a trial ran can be checked afterwards.
    assert folder_store.list("studies/s/attempts") == [
        f"studies/s/attempts/{key}/000{n}.json" for key, n in ((0, 1), (1, 1), (2, 1), (2, 2))
    ]
