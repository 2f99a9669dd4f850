"""How a command ends: killed by a signal, with a child that prints on, at a port that is none."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.execution.sandbox import sandbox
from benchmark.execution.worker.cgroups import Group
from benchmark.hpo.report import trial_line
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.records.results import Record
from benchmark.store import Store
from tests.support.small_studies import shell, with_objective

pytestmark = pytest.mark.usefixtures("warm")

HOOK = {"apply": ["true"]}


@pytest.fixture
def first(folder_store: Store, tmp_path: Path) -> Callable[[dict[str, Any]], tuple[Record, str]]:
    """The record of the first trial, and its line."""

    def run(values: dict[str, Any]) -> tuple[Record, str]:
        study = Study.begin(folder_store, define(values, tmp_path, stored=True))
        with Runner(study.run) as runner:
            record = runner.execute(study.ask()[0])
        return record, trial_line.ending(record, study.definition)

    return run


@pytest.mark.parametrize("hooks", [{}, HOOK], ids=["alone", "with hooks"])
@pytest.mark.parametrize(
    ("number", "cause", "said"),
    [
        (signal.SIGKILL, "infrastructure", "killed by signal 9 (SIGKILL), from outside or by"),
        (signal.SIGTERM, "infrastructure", "killed by signal 15 (SIGTERM), from outside or by"),
        (signal.SIGSEGV, "framework", "It crashed (SIGSEGV)."),
    ],
)
def test_a_signal_has_one_meaning(
    first: Callable[..., tuple[Record, str]],
    hooks: dict[str, Any],
    number: signal.Signals,
    cause: str,
    said: str,
) -> None:
    command = shell(f"kill -{int(number)} $$")
    record, _ = first(with_objective({"command": command, "failure": {"codes": [1]}, **hooks}))
    assert record.cause == cause
    assert said in record.message
    assert "memory" not in record.message


def test_a_kill_in_a_hook_names_the_hook(first: Callable[..., tuple[Record, str]]) -> None:
    record, _ = first(with_objective({"command": ["echo", "1"], "apply": shell("kill -9 $$")}))
    assert record.cause == "infrastructure"
    assert record.message.startswith("The task was killed during apply by signal 9 (SIGKILL), ")


@pytest.mark.parametrize("hooks", [{}, HOOK], ids=["alone", "with hooks"])
@pytest.mark.parametrize("command", ["kill -9 $$", "echo Killed >&2; exit 137"])
def test_the_kernels_kill_for_memory_is_reported_where_it_was_seen(
    first: Callable[..., tuple[Record, str]],
    monkeypatch: pytest.MonkeyPatch,
    hooks: dict[str, Any],
    command: str,
) -> None:
    counts = iter([24, 25])
    monkeypatch.setattr(sandbox, "_memory_kills", lambda _: next(counts))
    monkeypatch.setattr(Group, "has_run_out", lambda _: True)
    record, _ = first(with_objective({"command": shell(command), **hooks}))
    assert "signal 9 (SIGKILL)" in record.message
    assert record.message.endswith(
        " Meanwhile the kernel killed 1 process of its control group because memory had run out: "
        "probably this one."
    )


def test_the_code_of_a_shell_is_explained(first: Callable[..., tuple[Record, str]]) -> None:
    record, _ = first(with_objective({"command": shell("echo bad; exit 139")}))
    said = "The command ended with the exit code 139, a shell's code for signal 11 (SIGSEGV): bad"
    assert (record.cause, record.message) == ("framework", said)


def test_a_child_that_prints_without_a_pause_does_not_hold_the_trial(
    first: Callable[..., tuple[Record, str]],
) -> None:
    command = shell("echo 7 > value; yes & yes & yes & echo done >&2")
    wanted = {"command": command, "metrics": {"json": "value"}, **HOOK}
    record, line = first(with_objective(wanted))
    assert record.labels["values"] == [7.0], record.message
    assert line.endswith("(sh left a process that prints on; its output is not read)")


def test_a_silent_child_is_not_one_that_prints(first: Callable[..., tuple[Record, str]]) -> None:
    record, line = first(with_objective({"command": shell("echo 7; sleep 0.05 &"), **HOOK}))
    assert (record.labels["values"], line) == ([7.0], "value 7")


PORTS = [
    ({"port": "db:70000"}, "'db:70000', which has the port '70000'; ports are whole numbers"),
    ({"port": "db:{p}"}, "'db:70000' where p = 70000, which has the port '70000'"),
    ({"http": "http://db:65536/"}, "which has the port '65536'"),
    ({"http": "http://db:{p}/health"}, "'http://db:70000/health' where p = 70000, which"),
    ({"http": "http://[::1]:x/"}, "which has the port 'x'"),
    ({"port": "db:{q}"}, "'db:' where q is inactive, which has the port ''"),
]
P = {"name": "p", "value_type": "integer", "lower_bound": 60000, "upper_bound": 70000}
Q = {"name": "q", "value_type": "categorical", "choices": [80, 90], "when": "p > 65000"}


@pytest.mark.parametrize(("ready", "said"), PORTS)
def test_a_port_beyond_65535_is_refused(tmp_path: Path, ready: dict[str, Any], said: str) -> None:
    objective = {"command": ["echo", "1"], "wait_ready": ready}
    with pytest.raises(StudyError) as refused:
        define(with_objective(objective, tunables=[P, Q]), tmp_path)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "ready",
    [{"port": "db:{r}"}, {"http": "http://db/{p}"}, {"http": "https://[::1]/"}, {"port": "{h}:1"}],
)
def test_other_addresses_are_not(tmp_path: Path, ready: dict[str, Any]) -> None:
    names = [P, {"name": "r", "value_type": "integer", "lower_bound": 1, "upper_bound": 65535}]
    names.append({"name": "h", "value_type": "categorical", "choices": ["a", "b"]})
    objective = {"command": ["echo", "1"], "wait_ready": ready}
    assert define(with_objective(objective, tunables=names), tmp_path).objective.wait_ready


def test_a_stored_study_with_such_a_port_fails_its_trials(
    first: Callable[..., tuple[Record, str]],
) -> None:
    ready = {"port": "db:{p}"}
    wanted = {"prepare": ["true"], "command": ["echo", "1"], "wait_ready": ready}
    tunables = [P | {"default": 70000}]
    record, _ = first(with_objective(wanted, tunables=tunables))
    assert record.cause == "framework"
    assert record.message == (
        "'db:70000' of 'wait_ready' has the port '70000'; ports are whole numbers from 1 to 65535."
    )
