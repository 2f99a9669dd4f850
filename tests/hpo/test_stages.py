"""The stages of a measurement: `apply`, `warm_up` and `collect` beside the hooks."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.report import trial_line
from benchmark.hpo.spec.study_file import StudyError, define
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.failed_runs import last_line
from benchmark.records.results import Record
from benchmark.store import Store
from prove.seaweed import free_ports

First = Callable[[dict[str, Any]], Record]
# Prints 90, 60, 30, 10, 10, …
LOAD = "n=$(cat n 2>/dev/null || echo 90); echo load {x} >> log; echo at $n >&2; echo $n; "
LOAD += "test $n -gt 10 && echo $((n > 30 ? n - 30 : 10)) > n || true"


def declared(objective: dict[str, Any]) -> dict[str, Any]:
    tunable = {"name": "x", "value_type": "integer", "lower_bound": 1, "upper_bound": 9}
    return {
        "name": "s",
        "direction": "minimize",
        "tunables": [tunable | {"default": 4}],
        "trials": 1,
        "limits": {"time": 200, "memory": 300},
        "objective": objective,
    }


def shell(text: str) -> list[str]:
    return ["sh", "-c", text]


@pytest.fixture
def first(folder_store: Store, tmp_path: Path, warm: None) -> First:
    """The record of the first trial of a study, and its line."""

    def run(objective: dict[str, Any]) -> Record:
        study = Study.begin(folder_store, define(declared(objective), tmp_path))
        with Runner(study.run) as runner:
            record = runner.execute(study.ask()[0])
        assert study.tell(record)
        return record

    return run


def test_the_stages_in_their_order(first: First, tmp_path: Path) -> None:
    """The load is run until three values are steady; `collect` prints what the trial is about."""
    record = first(
        {
            "prepare": shell("echo prepare >> log"),
            "apply": shell("echo apply {x} >> log"),
            "wait_ready": {"command": ["test", "-e", "log"]},
            "warm_up": {"until": "steady", "command": shell(LOAD), "window": 3, "within": "2%"},
            "command": shell("echo run >> log; echo 1"),
            "collect": shell(f'echo collect >> log; cp log "{tmp_path}"; echo \'{{"y": 7}}\''),
            "repeats": 2,
            "value": "y",
        }
    )
    assert (record.status, record.metrics["value"]) == ("success", 7.0), record.message
    loads = ["load 4"] * 6  # 90, 60, 30, 10, 10, 10
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == ["prepare", "apply 4", *loads, *["run", "collect"] * 2]
    assert record.labels["warm_ups"] == [{"runs": 6, "steady": True}]


def test_the_measured_command_until_what_it_prints_is_steady(first: First, tmp_path: Path) -> None:
    record = first(
        {
            "command": shell(LOAD + f'; echo rate 8; echo bye; cp log "{tmp_path}"'),
            "warm_up": {"until": "steady", "pattern": r"^(\d+)$", "window": 3},
            "metrics": {"patterns": {"rate": r"^(\d+)$"}},
            "value": "rate",
        }
    )
    assert (record.status, record.metrics["value"]) == ("success", 10.0), record.message
    assert record.labels["warm_ups"] == [{"runs": 6, "steady": True}]
    assert (tmp_path / "log").read_text() == "load 4\n" * 7


@pytest.mark.parametrize(
    ("warm_up", "steady", "noted"),
    [
        ({"time": "200ms"}, None, False),
        ({"until": "steady", "command": shell("echo 1; echo $$"), "timeout": "200ms"}, False, True),
    ],
)
def test_a_warm_up_ends_after_its_time(
    first: First, tmp_path: Path, warm_up: dict[str, Any], steady: bool | None, noted: bool
) -> None:
    objective = {
        "command": ["echo", "1"],
        "warm_up": warm_up | {"within": 1e-9} if noted else warm_up,
    }
    record = first(objective)
    (facts,) = record.labels["warm_ups"]
    assert (record.status, facts["steady"]) == ("success", steady)
    line = trial_line.ending(record, define(declared(objective), tmp_path))
    assert ("before warm_up was steady" in line) == noted


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (
            {"warm_up": {"until": "steady", "command": ["echo", "12 ms"]}},
            "The last line of 'warm_up' is '12 ms', which is not a number.",
        ),
        (
            {"warm_up": {"until": "steady", "pattern": "tps=(.*)"}},
            "The pattern of 'warm_up' is '', which is not a number.",
        ),
        ({"warm_up": {"time": "9s", "command": ["false"]}}, "The warm_up hook ended with the exit"),
        ({"apply": ["false"]}, "The apply hook ended with the exit code 1"),
        (
            {"collect": shell("echo lost >&2; exit 3")},
            "The collect hook ended with the exit code 3",
        ),
        (
            {"command": ["true"], "collect": shell("exit 3")},
            "The collect hook ended with the exit code 3",
        ),
    ],
)
def test_a_stage_that_fails(first: First, objective: dict[str, Any], said: str) -> None:
    record = first({"command": ["echo", "1"]} | objective)
    assert (record.status, record.cause) == ("failure", "framework")
    assert said in record.message


@pytest.mark.parametrize("way", ["http", "port", "command"])
@pytest.mark.parametrize("before", [True, False])
def test_a_service_that_answers_before_prepare_is_noted(
    first: First, tmp_path: Path, way: str, before: bool
) -> None:
    """The server of another program on the same port would be measured in place of the trial's."""
    (port,) = free_ports(1)
    server = (
        "import socket as s\nimport sys\nimport time\n"
        "try:\n l = s.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "except OSError:\n time.sleep(600)\n"  # as one that waits until the port is free
        "while True:\n c = l.accept()[0]; c.recv(99); c.send(b'HTTP/1.0 200 OK\\r\\n\\r\\n')\n"
        " c.close()\n"
    )
    (tmp_path / "server.py").write_text(server)
    ask = f"import socket; socket.create_connection(('127.0.0.1', {port})).close()"
    wanted = {
        "http": f"http://127.0.0.1:{port}/",
        "port": port,
        "command": [sys.executable, "-c", ask],
    }
    start = shell(f'"{sys.executable}" server.py {port} &')
    objective = {
        "files": ["server.py"],
        "prepare": start,
        "wait_ready": {way: wanted[way]},
        "command": ["echo", "1"],
    }
    running = subprocess.Popen([sys.executable, tmp_path / "server.py", str(port)])
    try:
        _until_open(port)
        if not before:
            running.kill()
            running.wait()
        record = first(objective)
    finally:
        running.kill()
        running.wait()
    assert record.status == "success", record.message
    line = trial_line.ending(record, define(declared(objective), tmp_path))
    assert ("wait_ready was met before prepare ran" in line) == before


SERVERS = {
    "exits": (
        "echo no such key >&2; exit 3",
        "sh, started by a hook, ended with 3",
        "no such",
    ),
    "is killed": ("kill -9 $$", "sh, started by a hook, was killed by signal 9", ""),
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("way", ["http", "port", "command"])
def test_a_service_that_ends_at_once_is_not_waited_for(first: First, server: str, way: str) -> None:
    """The trial fails with the exit code and the last line of the service, and not by time."""
    (port,) = free_ports(1)
    text, ended, line = SERVERS[server]
    wanted = {"http": f"http://127.0.0.1:{port}/", "port": port, "command": ["false"]}
    record = first(
        {
            "prepare": shell(f"sh -c '{text}' &"),
            "wait_ready": {way: wanted[way], "timeout": "10min"},
            "command": ["echo", "1"],
        }
    )
    assert (record.status, record.cause) == ("failure", "framework")
    assert f"was not ready, and {ended}." in record.message
    assert line in record.message


def test_a_service_started_elsewhere_is_waited_for(first: First) -> None:
    """The program that asked for it has ended well; the service comes a little later."""
    start = shell("true & (sleep 0.1; touch started) > /dev/null 2>&1 &")
    wanted = {"command": ["test", "-e", "started"], "timeout": "10min"}
    record = first({"prepare": start, "wait_ready": wanted, "command": ["echo", "1"]})
    assert record.status == "success", record.message


def test_a_search_for_processes_that_finds_none_is_not_a_failed_service(first: First) -> None:
    """Such as one for a server of an earlier trial, beside a service that is started elsewhere."""
    start = shell("pkill -x no-such-name &")
    late = shell("echo >> tries; test $(wc -l < tries) -gt 5")
    wanted = {"command": late, "timeout": "10min"}
    record = first({"prepare": start, "wait_ready": wanted, "command": ["echo", "1"]})
    assert record.status == "success", record.message


def test_a_program_that_ended_well_does_not_end_the_waiting(first: First) -> None:
    wanted = {"command": ["false"], "timeout": "0.2s"}
    record = first({"prepare": shell("true &"), "wait_ready": wanted, "command": ["echo", "1"]})
    assert record.cause == "timeout"
    assert "started by a hook, ended with 0" in record.message


def test_a_service_whose_port_another_has_is_not_measured(first: First, tmp_path: Path) -> None:
    """Its value would be that of the other service."""
    (port,) = free_ports(1)
    (tmp_path / "server.py").write_text(
        "import socket, sys\nl = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "while True:\n l.accept()\n"
    )
    start = shell(f'"{sys.executable}" server.py {port} & echo $! > pid')
    dead = shell("until grep -q '^State:.Z' /proc/$(cat pid)/status; do sleep 0.01; done; echo 1")
    objective = {"files": ["server.py"], "prepare": start, "wait_ready": {"port": port}}
    with subprocess.Popen([sys.executable, tmp_path / "server.py", str(port)]) as running:
        _until_open(port)
        record = first(objective | {"command": dead})
        running.kill()
    assert (record.status, record.cause) == ("failure", "framework")
    assert "answered before 'prepare' ran, and python" in record.message
    assert "ended with 1: another service was measured" in record.message
    assert "last line" not in record.message


@pytest.mark.parametrize("end", ["kill $(cat pid)", "kill -HUP $(cat pid)", "touch over"])
def test_a_helper_of_a_hook_that_is_asked_to_end_fails_no_trial(
    first: First, tmp_path: Path, end: str
) -> None:
    """Such as a monitor that runs beside a service which was there before."""
    (tmp_path / "monitor.py").write_text(
        "import os, sys, time\n"
        "while not os.path.exists('over'):\n time.sleep(0.01)\nsys.exit(143)\n"
    )
    start = shell(f'"{sys.executable}" monitor.py & echo $! > pid')
    over = "until grep -q '^State:.Z' /proc/$(cat pid)/status; do sleep 0.01; done; echo 1"
    with socket.create_server(("127.0.0.1", 0)) as service:
        wanted = {"port": service.getsockname()[1]}
        objective = {"files": ["monitor.py"], "prepare": start, "wait_ready": wanted}
        record = first(objective | {"command": shell(f"{end}; {over}")})
    assert record.status == "success", record.message


def _until_open(port: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return


JAVA = 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space'


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (f"{JAVA}\n\tat java.base/a.B.<clinit>(B.java:1)\n\tat Churn.main(Churn.java:11)\n", JAVA),
        (
            "java.io.IOException\n\tat A.b(A.java:1)\nCaused by: x: y\n\t... 12 more\n",
            "Caused by: x: y",
        ),
        ("look at this (twice)\n\n", "look at this (twice)"),
        ("\tat A.b(A.java:1)\n", "at A.b(A.java:1)"),
        ("\n", ""),
    ],
)
def test_the_line_of_a_failure_is_not_a_stack_frame(output: str, line: str) -> None:
    assert last_line(output) == line


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            {"prepare": shell("echo no disk; exit 3")},
            "The prepare hook ended with the exit code 3: no disk",
        ),
        ({"prepare": shell("exit 3")}, "The prepare hook ended with the exit code 3."),
        ({"command": shell("echo oops; exit 3")}, "The command ended with the exit code 3: oops"),
    ],
)
def test_a_failure_does_not_quote_restore(
    first: First, objective: dict[str, Any], message: str
) -> None:
    restore = shell("echo there is no server; echo to stop >&2")
    assert first({"command": ["true"], "restore": restore} | objective).message == message


def test_a_server_in_the_foreground_of_prepare(first: First) -> None:
    record = first({"command": ["true"], "prepare": ["sleep", "600"], "hook_time": 0.5})
    assert "Start a server in the background" in record.message


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        ({"warm_up": 30}, "'warm_up' is 30; write {time: 30s}"),
        ({"warm_up": {"time": "2 weeks"}}, "'2 weeks' is not a number with a unit"),
        ({"warm_up": {"time": 0}}, "'time' of 'warm_up' is 0; write a time"),
        ({"warm_up": {"time": "1s", "window": 3}}, "'window', which belongs to 'until'"),
        ({"warm_up": {"until": "steady"}}, "None as 'command'"),
        ({"warm_up": {"until": "steady", "pattern": "tps"}}, "of 'warm_up' is 'tps'; it needs a"),
        ({"warm_up": {"until": "steady", "pattern": "("}}, "of 'warm_up' cannot be used"),
        ({"warm_up": {"time": "1s", "pattern": "(x)"}}, "'pattern', which belongs to 'until'"),
        ({"warm_up": {"until": "warm", "command": "x"}}, "'warm' as 'until'"),
        ({"warm_up": {"until": "steady", "command": "x", "window": 2}}, "the window 2"),
        ({"warm_up": {"until": "steady", "command": "x", "within": "2"}}, "'2' as 'within'"),
        ({"warm_up": {"time": "1s", "command": "load {y}"}}, "names {y} in '{y}'"),
        ({"apply": []}, "'apply' is empty"),
        ({"collect": ["x"], "repeats": {"within": "5%"}}, "'within' beside 'collect'"),
    ],
)
def test_faults_of_stages(tmp_path: Path, objective: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(declared({"command": ["run"]} | objective), tmp_path)
    assert said in str(caught.value)


def test_a_python_objective_has_no_stages(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def objective(trial): return 1.0\n")
    with pytest.raises(StudyError, match="'collect' has no effect beside 'python'"):
        define(declared({"python": "own.py:objective", "collect": ["x"]}), tmp_path)
