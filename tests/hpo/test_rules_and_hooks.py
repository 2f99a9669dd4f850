"""What surrounds a measurement: rules, hooks, target hosts, cost, registered applications."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.execution.runner import Runner
from benchmark.hpo.spec.study_file import StudyError, define, read_study
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials import restore_hooks
from benchmark.hpo.trials.name_lease import NameLease
from benchmark.records.results import Record
from benchmark.store import Store
from prove.seaweed import free_ports
from tests.support.small_studies import shell, with_objective

pytestmark = pytest.mark.usefixtures("warm")

ROOT = Path(__file__).parents[2]


def test_ranks_are_launched_beside_hooks_too(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mpirun = tmp_path / "bin" / "mpirun"
    mpirun.parent.mkdir()
    mpirun.write_text("#!/bin/sh\necho 7\n")
    mpirun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{mpirun.parent}:{os.environ['PATH']}")
    values = with_objective({"command": ["echo", "1"], "prepare": ["true"]})
    values |= {"resources": {"nodes": 1, "ranks_per_node": 2}, "limits": {"time": 200, "cores": 2}}
    study = Study.begin(folder_store, define(values, tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert record.labels["values"] == [7.0], record.message


@pytest.fixture
def first(folder_store: Store, tmp_path: Path) -> Callable[..., Record]:
    """The record of the first trial."""

    def run(objective: dict[str, Any], **more: Any) -> Record:
        study = Study.begin(folder_store, define(with_objective(objective, **more), tmp_path))
        (task,) = study.ask()
        with Runner(study.run) as runner:
            record = runner.execute(task)
        assert study.tell(record)
        return record

    return run


@pytest.mark.parametrize(
    ("text", "rules", "status", "said"),
    [
        ("echo 1; echo Reason: OOMKilled", {}, "failure", "says 'Reason: OOMKilled'"),
        ("echo 0/3 nodes: Insufficient memory; exit 1", {}, "prune", "Insufficient memory"),
        ("echo Insufficient cpu; echo 1", {"prune": {"patterns": []}}, "success", ""),
        ("echo 1; exit 4", {"prune": {"codes": [4]}}, "prune", "exit code 4"),
        ("echo 7", {"failure": "value > 5"}, "failure", "'value > 5' holds"),
        ("echo 7", {"prune": {"expression": "x == 0.5"}}, "prune", "'x == 0.5' holds"),
        ("true", {"prune": {"empty": False}}, "failure", "printed nothing"),
        ("echo '{p99: 3}' > out.json", {"metrics": {"json": "out.json"}}, "failure", "not JSON"),
        ("true", {"metrics": {"json": "out.json"}}, "prune", "out.json"),
    ],
)
def test_rules(
    first: Callable[..., Record], text: str, rules: dict[str, Any], status: str, said: str
) -> None:
    record = first({"command": shell(text), **rules})
    assert record.status == status
    assert said in record.message


def test_a_server_of_prepare_serves_every_run(first: Callable[..., Record], tmp_path: Path) -> None:
    log = tmp_path / "log"
    record = first(
        {
            "prepare": shell(f"sleep 600 & echo $! > server; echo prepare >> {log}"),
            "reset": shell(f"echo reset >> {log}"),
            "command": shell(f"kill -0 $(cat server) && echo run >> {log} && grep -c run {log}"),
            "restore": shell(f"echo restore {{x}} >> {log}"),
            "warmups": 1,
            "repeats": 3,
        }
    )
    assert (record.status, record.metrics["value"]) == ("success", 3.0)
    assert record.labels["spread"]["value"] == 1.0
    lines = log.read_text().split("\n")
    assert lines == ["prepare", *["reset", "run"] * 4, "restore 0.5", ""]


def test_restore_finds_what_prepare_started(first: Callable[..., Record], tmp_path: Path) -> None:
    """By its process number, which means the same to both; and a mark is left only by a failure."""
    record = first(
        {
            "prepare": shell("sleep 600 & echo $! > server"),
            "command": ["echo", "1"],
            "restore": shell(f"kill $(cat server) && echo ended >> {tmp_path / 'log'}"),
        }
    )
    assert record.status == "success"
    assert (tmp_path / "log").read_text() == "ended\n"
    assert "not_restored" not in record.labels


_SERVER = (
    "import http.server as h, sys; s = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler);"
    "open('port', 'w').write(str(s.server_port)); s.serve_forever()"
)


@pytest.mark.parametrize("way", ["http", "port", "command"])
def test_a_run_waits_until_the_service_is_ready(
    first: Callable[..., Record], tmp_path: Path, way: str
) -> None:
    (port,) = free_ports(1)
    server = _SERVER.replace(", 0)", f", {port})")
    wanted = {"http": f"http://127.0.0.1:{port}/", "port": port, "command": ["test", "-e", "port"]}
    record = first(
        {
            "prepare": shell(f'(sleep 0.3; exec "{sys.executable}" -c "{server}") >&2 &'),
            "wait_ready": {way: wanted[way], "timeout": "300s"},
            "command": shell("test -e port && echo 1"),
        }
    )
    assert (record.status, record.message) == ("success", "")


def test_a_service_that_is_never_ready_is_a_failure(first: Callable[..., Record]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        wanted = {"port": port, "timeout": "100ms"}
        hook = shell("echo no such option >&2")
        record = first({"prepare": hook, "wait_ready": wanted, "command": ["echo", "1"]})
    assert record.cause == "timeout"
    assert record.message.endswith("The last line of output: no such option")
    assert f"127.0.0.1:{port} was not ready within 0.1 s: " in record.message


@pytest.mark.parametrize(
    ("objective", "cause", "said"),
    [
        ({"prepare": shell("echo no disk; exit 3")}, "framework", "prepare hook ended with the"),
        ({"reset": ["./nothing"]}, "framework", "reset hook did not start"),
        ({"reset": shell("sleep 600"), "hook_time": 0.5}, "timeout", "its limit of 0.5 s"),
        ({"prepare": ["true"], "command": shell("sleep 600")}, "timeout", "limit of 1 s"),
        ({"prepare": ["true"], "command": shell("yes")}, "timeout", "limit of 1 s"),
        ({"command": shell("kill -9 $$")}, "infrastructure", "killed by signal 9 (SIGKILL)"),
    ],
)
def test_restore_runs_whatever_happens(
    folder_store: Store, tmp_path: Path, objective: dict[str, Any], cause: str, said: str
) -> None:
    objective = {"command": ["echo", "1"], "restore": ["touch", str(tmp_path / "r")], **objective}
    limits = {"time": 1 if "limit of 1 s" in said else 200, "memory": 300}
    study = Study.begin(folder_store, define(with_objective(objective, limits=limits), tmp_path))
    with Runner(study.run) as runner:
        record = runner.execute(study.ask()[0])
    assert (record.status, record.cause) == ("failure", cause)
    assert said in record.message
    assert (tmp_path / "r").exists()
    assert not folder_store.list("studies/s/unrestored")


def test_a_restore_that_fails_stops_the_study(folder_store: Store, tmp_path: Path) -> None:
    objective = {"command": ["echo", "1"], "restore": shell("test -e mended")}
    objective["restore"] = shell(f"echo stuck; test -e {tmp_path / 'mended'}")
    study = Study.begin(folder_store, define(with_objective(objective, trials=2), tmp_path))
    with Runner(study.run) as runner:
        good, refused = (runner.execute(task) for task in study.ask(2))
        assert "(stuck)" in good.labels["not_restored"]
        assert (refused.cause, study.tell(refused)) == ("setup", False)
    (tmp_path / "mended").touch()
    restore_hooks.put_all_back(study.run)
    assert not folder_store.list("studies/s/unrestored")


@pytest.mark.slow
def test_a_killed_driver_s_trial_is_put_back(tmp_path: Path) -> None:
    objective = {
        "command": shell(f"touch {tmp_path / 'began'}; sleep 600; echo 1"),
        "restore": ["touch", str(tmp_path / "restored")],
    }
    (tmp_path / "s.json").write_text(json.dumps(with_objective(objective)))
    command = [sys.executable, str(ROOT / "main.py"), "tune", str(tmp_path / "s.json")]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as driver:
        while not (tmp_path / "began").exists():
            assert driver.poll() is None
        driver.send_signal(signal.SIGINT)
        driver.communicate()
    assert driver.returncode == 1
    assert (tmp_path / "restored").exists()


def test_a_host_has_one_trial(first: Callable[..., Record], folder_store: Store) -> None:
    with NameLease(folder_store, ["host-db1"]):
        record = first(
            {
                "command": ["sh", "-c", "test $HPO_TARGET = {host} && echo 4"],
                "hosts": ["db1", "db2"],
            }
        )
    assert (record.status, record.labels["host"]) == ("success", "db2")
    assert not folder_store.is_locked("host-db2")


def test_constraints_and_cost_of_a_trial(first: Callable[..., Record]) -> None:
    record = first({"command": ["echo", "3"], "cost": "2 + 0 * hours", "constraints": ["x <= 1"]})
    assert record.labels["cost"] == 2.0
    assert record.labels["constraints"] == [-0.5]


@pytest.mark.parametrize("name", ["p_95", "p_59"])
def test_a_cost_has_the_names_of_other_expressions(first: Callable[..., Record], name: str) -> None:
    printed = {"command": ["echo", '{"y": 3, "p(95)": 4}'], "value": "y"}
    record = first(printed | {"cost": f"{name} / 2"})
    if name == "p_95":
        assert record.labels["cost"] == 2.0
    else:
        assert (record.status, "'p_59'" in record.message) == ("failure", True)


@pytest.mark.parametrize(
    ("printed", "found"),
    [('{"tps": 5, "p99": "1.2s"}', [1.18]), ('{"tps": 5, "p99": 1.2}', "no unit; declare it")],
)
def test_a_constraint_converts_what_the_tool_prints(
    first: Callable[..., Record], printed: str, found: Any
) -> None:
    constraints = ["p99 <= 20 ms"]
    record = first({"value": "tps", "constraints": constraints, "command": ["echo", printed]})
    if isinstance(found, str):
        assert record.status == "failure"
        assert found in record.message
    else:
        assert record.labels["constraints"] == pytest.approx(found)


@pytest.mark.parametrize(
    ("values", "runs"), [([10, 10.1, 9.9, 50], 3), ([10, 20, 10, 20, 10, 20], 5)]
)
def test_repeats_until_the_interval_is_narrow(
    first: Callable[..., Record], tmp_path: Path, values: list[float], runs: int
) -> None:
    """Each run has a folder of its own, so what was printed is counted elsewhere."""
    (tmp_path / "values").write_text("".join(f"{value}\n" for value in values))
    count = tmp_path / "count"
    command = shell(f'echo >> {count}; sed -n "$(wc -l < {count})p" {tmp_path / "values"}')
    record = first({"command": command, "repeats": {"within": "5%", "least": 3, "most": 5}})
    assert (record.status, len(record.labels["runs"])) == ("success", runs)


@pytest.mark.parametrize(
    "objective",
    [
        {"repeats": {"within": "0%"}},
        {"repeats": {"within": "five"}},
        {"repeats": {"most": 5}},
        {"repeats": {"within": 0.1, "least": 1}},
        {"repeats": {"within": 0.1, "least": 5, "most": 4}},
        {"repeats": {"within": 0.1}, "prepare": ["true"]},
    ],
)
def test_faults_of_repeats(objective: dict[str, Any]) -> None:
    with pytest.raises(StudyError, match="'repeats'"):
        define(with_objective({"command": ["true"]} | objective), Path())


def test_a_registered_application(folder_store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "applications"
    folder.mkdir()
    (folder / "load.yaml").write_text("command: [./load.sh, '{x}']\nmetrics: {json: out.json}\n")
    (folder / "load.sh").write_text('#!/bin/sh\necho "{\\"tps\\": $1}" > out.json\n')
    (folder / "load.sh").chmod(0o755)
    file = tmp_path / "s.json"
    file.write_text(json.dumps(with_objective({"application": "load", "value": "10 * tps"})))
    study = Study.begin(folder_store, read_study(file))
    with Runner(study.run) as runner:
        assert runner.execute(study.ask()[0]).metrics["value"] == 5.0
    file.write_text(json.dumps(with_objective({"application": "lod"})))
    with pytest.raises(StudyError, match="no application 'lod'; did you mean 'load'"):
        read_study(file)


def test_every_fault_of_an_objective() -> None:
    objective = {
        "command": ["a", "{host}"],
        "prune": {"codes": ["x"], "patterns": ["("]},
        "failure": "import os",
        "constraints": ["p99 < 3"],
        "hook_time": 0,
        "metrics": {"csv": "a", "header": 3, "row": 2},
        "restore": "",
    }
    with pytest.raises(StudyError) as caught:
        define(with_objective(objective, stop={"cost": 3}), Path())
    for said in ("{host}", "'x'", "'('", "import os", "p99 < 3", "hook_time", "row 2", "'restore'"):
        assert said in str(caught.value)
    assert "nothing says what a trial costs" in str(caught.value)
    assert os.environ.get("HPO_TARGET") is None


PYTHON = {"python": "own.py:objective"}
FRAMEWORK = {"benchmark": {"framework": "random-forest", "datasets": ["penguins"]}}
TRUE = {"command": ["true"]}


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (PYTHON | {"prune": {"codes": [3]}}, "'prune: codes' has no effect beside 'python'"),
        (PYTHON | {"prune": {"patterns": ["a"]}}, "'prune: patterns' has no effect"),
        (PYTHON | {"prune": {"empty": False}}, "'prune: empty' has no effect"),
        (PYTHON | {"failure": {"patterns": ["a"]}}, "'failure: patterns' has no effect"),
        (FRAMEWORK | {"failure": {"codes": [3]}}, "'failure: codes' has no effect beside 'bench"),
        (FRAMEWORK | {"hook_time": 5}, "'hook_time' has no effect without a hook"),
        (TRUE | {"hook_time": 5, "wait_ready": {"port": 80}}, "'hook_time' has no effect without"),
        (TRUE | {"failure": {"empty": True}}, "'failure: empty' has no effect; write 'prune:"),
        (TRUE | {"metrics": {"row": 2}}, "'metrics: row' has no effect without 'csv'"),
        (TRUE | {"metrics": {"json": "a", "header": 2}}, "'metrics: header' has no effect"),
        (TRUE | {"metrics": {"columns": True}}, "'metrics: columns' has no effect without 'csv'"),
        (TRUE | {"metrics": {"delimiter": ";"}}, "'metrics: delimiter' has no effect without"),
        (
            TRUE | {"metrics": {"csv": "a", "row": 2, "select": {"p": "p99"}}, "value": "p"},
            "'metrics: row' has no effect beside 'select' of columns",
        ),
    ],
)
def test_keys_without_effect(objective: dict[str, Any], said: str) -> None:
    """Refused in a new study; a stored one stays readable."""
    direction = {"direction": "maximize"} if "benchmark" in objective else {}
    with pytest.raises(StudyError) as caught:
        define(with_objective(objective, **direction), Path())
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    define(with_objective(objective, **direction), Path(), stored=True)


def test_rules_with_effect_beside_python() -> None:
    rules = {"prune": "tps < 3", "failure": {"expression": "errors > 2"}, "restore": ["true"]}
    define(with_objective(PYTHON | rules | {"hook_time": 5}), Path())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99 <= 200 and errors", "has '200 and errors', which is not a number"),
        ("not p99 <= 3", "has 'not p99', which is not a number"),
        ("p99 <= true", "has 'true', which is not a number"),
        ("a) - (b <= 3", "has a wrong side: 'a) - (b' is not an expression"),
    ],
)
def test_a_side_of_a_constraint_is_a_number(text: str, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        define(with_objective(TRUE | {"constraints": [text]}), Path())
    assert f"The constraint '{text}' {said}" in str(caught.value)
    define(with_objective(TRUE | {"constraints": [text]}), Path(), stored=True)
