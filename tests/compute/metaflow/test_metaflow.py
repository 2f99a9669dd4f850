"""The method metaflow on this machine, and what it deploys."""

from __future__ import annotations

import base64
import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from benchmark.compute import submissions
from benchmark.compute.metaflow import metaflow as dispatching
from benchmark.compute.metaflow.chunks import chunks, run_chunk, summary
from benchmark.compute.metaflow.deployments import STUDY_FLOW
from benchmark.compute.metaflow.flows import FLOW, asking, on_machines
from benchmark.compute.metaflow.lifeline import DRIVER_VARIABLE, FOLDER_VARIABLE
from benchmark.compute.metaflow.metaflow import MetaflowDispatcher
from benchmark.config.loading import Config
from benchmark.config.method_options import MetaflowOptions
from benchmark.errors import BenchmarkError
from benchmark.hpo.spec.study_file import read_study
from benchmark.hpo.study.study import Study
from benchmark.records import results
from benchmark.records.record import Record
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store

ROOT = Path(__file__).parents[3]
PATIENCE_S = 400.0
STUDY = """
name: line
direction: maximize
algorithm: random
trials: 6
parallel: 3
tunables:
  - {name: x, value_type: double, lower_bound: 0, upper_bound: 1}
limits: {time: 60, memory: 500, cores: 1}
objective: {command: "echo '{\\"score\\": {x}}'"}
"""
RUN_FACTS = ".metaflow/AutomlBenchmarkTasks/*/_meta/_self.json"
needs_metaflow = pytest.mark.skipif(
    importlib.util.find_spec("metaflow") is None, reason="metaflow is not installed"
)


def at_work(folder: Path) -> list[bytes]:
    """The processes that name a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes()
            if str(folder).encode() in command and int(entry.name) != os.getpid():
                found.append(command)
    return found


class Still:
    """A flow that is asked for, and runs nothing."""

    asked: ClassVar[list[dict[str, Any]]] = []
    said, is_alive = "", True

    def __init__(self, options: dict[str, Any], _: dict[str, str]) -> None:
        self.asked.append(options)

    def stop(self) -> None: ...
    def join(self) -> None: ...


def test_a_flow_asks_for_its_tasks_resources_and_those_before_are_forgotten(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatching, "Flow", Still)
    monkeypatch.setattr(Still, "asked", [])
    plan = make_plan(folder_store, cores=2, memory=1500)
    submissions.begin(plan.run, "metaflow", "automl", {plan.tasks[0].key: 0})
    with MetaflowDispatcher(plan.run, make_config(parallel=4)) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        dispatcher.completed(0.0)
        dispatcher.submit(plan.tasks[1:])
        dispatcher.completed(0.0)
        held = {key for one in submissions.load(plan.run) for key in one.keys}
        assert held == {task.key for task in plan.tasks}
        assert len(submissions.load(plan.run)) == 2
    assert [one["decospecs"] for one in Still.asked] == [["resources:cpu=2,memory=2524"]] * 2
    monkeypatch.setenv("METAFLOW_DECOSPECS", "kubernetes:image=bench")
    with MetaflowDispatcher(plan.run, make_config()) as dispatcher:
        dispatcher.submit(plan.tasks)
        dispatcher.completed(0.0)
    retried = ["resources:cpu=2,memory=2524", "retry:times=2,minutes_between_retries=0"]
    assert Still.asked[-1]["decospecs"] == retried
    assert on_machines(["retry:times=9"]) == ["retry:times=9"]


def test_tasks_wait_for_idle_workers_and_share_a_flow(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatching, "Flow", Still)
    monkeypatch.setattr(Still, "asked", [])
    plan = make_plan(folder_store, seeds=[1, 2, 3])
    first, *others = plan.tasks
    with MetaflowDispatcher(plan.run, make_config(parallel=1)) as dispatcher:
        for task in plan.tasks:
            dispatcher.submit([task])
            assert dispatcher.completed(0.0) == []
        assert len(Still.asked) == 1
        ended = results.begin(plan.run, first)
        results.settle(plan.run, ended, Record(task=first.key, status="success"))
        assert [record.task for record in dispatcher.completed(0.0)] == [first.key]
        dispatcher.completed(0.0)
        assert [one["max_workers"] for one in Still.asked] == [1, 1]
        held = sorted(len(one.keys) for one in submissions.load(plan.run))
        assert held == [1, len(others)]


@needs_metaflow
def test_a_name_is_given_where_metaflow_was_loaded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METAFLOW_USER", "SUDO_USER", "USERNAME", "USER"):
        monkeypatch.setenv(name, "root")
    program = (
        "from metaflow.util import get_username; assert get_username() is None\n"
        "from benchmark.compute.metaflow.flows import name_user; name_user()\n"
        "print(get_username())"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.stdout == "automl-benchmark\n", said.stderr


def test_a_flow_ends_with_the_driver_that_started_it() -> None:
    flow = "import tempfile, time; from benchmark.compute.metaflow.lifeline import follow\n"
    flow += "follow(); assert tempfile.gettempdir() == '/its/own'\n"
    flow += "print(1, flush=True); time.sleep(30); print(2)"
    driver = (
        "import os, subprocess, sys\n"
        f"variables = os.environ | {{{DRIVER_VARIABLE!r}: str(os.getpid())}}\n"
        f"variables[{FOLDER_VARIABLE!r}] = '/its/own'\n"
        f"subprocess.run([sys.executable, '-c', {flow!r}], env=variables)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", driver],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.kill()
        assert process.stdout.read() == b""  # it was interrupted before it could say more


@pytest.mark.slow
def test_a_chunk_is_run_and_summed_up(make_plan: Callable[..., Plan], folder_store: Store) -> None:
    plan = make_plan(folder_store)
    name, url = plan.run.name, folder_store.url
    first, second = chunks(url, name, "all", 1)
    assert run_chunk(url, name, first + second) == ["success", "success"]
    assert chunks(url, name, "all", 1) == []
    assert run_chunk(url, name, []) == []
    title, headers, rows = summary(url, name)
    assert title == "Run default: 2 results"
    assert len(headers) == len(rows[0])
    assert rows[0][:3] == ["constant", "2", "0"]
    with pytest.raises(BenchmarkError, match="no list of tasks"):
        chunks(url, name, "nothing", 1)


@pytest.mark.parametrize(("lives", "words"), [((1, 0, 9), None), ((0, 1, 9), 4), ((2, 9), 4)])
def test_a_runner_that_ends_loses_one_task_and_two_in_a_row_end_the_step(
    make_plan: Callable[..., Plan],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    lives: tuple[int, ...],
    words: int | None,
) -> None:
    plan = make_plan(folder_store, seeds=[1, 2])
    runners = iter(lives)
    monkeypatch.setattr(
        "benchmark.compute.metaflow.chunks._run_until_its_end",
        lambda url, name, cores, keys: ["success"] * min(next(runners), len(keys)),
    )
    keys = [task.key for task in plan.tasks]
    if words is None:
        with pytest.raises(BenchmarkError, match="The runner ended while it had the task"):
            run_chunk(folder_store.url, plan.run.name, keys)
    else:
        found = run_chunk(folder_store.url, plan.run.name, keys)
        assert len(found) == words
        assert found.count("infrastructure") == len(lives) - 1


def test_results_that_other_machines_do_not_reach_are_refused(
    make_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BenchmarkError, match=r"requirements-metaflow\.txt"):
        MetaflowDispatcher.check(make_config())
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    MetaflowDispatcher.check(make_config())
    monkeypatch.setenv("METAFLOW_DECOSPECS", "kubernetes:image=bench")
    with pytest.raises(BenchmarkError, match="may not reach"):
        MetaflowDispatcher.check(make_config())


@needs_metaflow
@pytest.mark.integration
def test_a_killed_run_is_resumed(tmp_path: Path) -> None:
    values = {"studies": ["starter"], "frameworks": ["constant"], "seeds": 8, "cores": 1}
    values |= {"memory": 1000, "runtime": 5, "hard_limit": 60, "compute": {"*": "metaflow"}}
    (tmp_path / "batch.config").write_text(json.dumps(values))
    command = [sys.executable, str(ROOT / "main.py"), "resume-compute"]
    log = (tmp_path / "log").open("ab")
    (temporary := tmp_path / "tmp").mkdir()
    variables = os.environ | {"TMPDIR": str(temporary)}
    first = subprocess.Popen(
        command, cwd=tmp_path, stdout=log, stderr=log, env=variables, start_new_session=True
    )
    store = open_store(str(tmp_path / "runs"))
    end = time.monotonic() + PATIENCE_S
    while len(store.list("default/out")) < 3 and time.monotonic() < end:
        time.sleep(0.1)
    first.kill()
    first.wait()
    while at_work(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert at_work(tmp_path) == []  # the flow has ended with its driver
    second = subprocess.run(  # noqa: PLW1510
        command, cwd=tmp_path, capture_output=True, env=variables, timeout=PATIENCE_S
    )
    assert second.returncode == 0, second.stderr.decode()[-3000:]
    assert list(temporary.iterdir()) == []
    assert len(store.list("default/out")) == 64
    assert store.list("default/jobs") == []
    assert list(tmp_path.glob(".metaflow/mf.cards/**/*.html"))


@needs_metaflow
@pytest.mark.integration
def test_a_study_runs_in_flows(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    (tmp_path / "batch.config").write_text(json.dumps({"compute": {"*": "metaflow"}}))
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "tune", "study.yaml", "-n", "lab"],
        cwd=tmp_path,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert len(open_store(str(tmp_path / "runs")).list("studies/line/out")) == 6
    tags = [json.loads(path.read_text())["tags"] for path in tmp_path.glob(RUN_FACTS)]
    assert tags
    assert all("lab" in one for one in tags)


@needs_metaflow
@pytest.mark.integration
@pytest.mark.parametrize("flow", [FLOW, STUDY_FLOW], ids=lambda flow: flow.stem)
@pytest.mark.parametrize(
    ("deco", "words", "place", "asked"),
    [
        (
            "kubernetes",
            ("argo-workflows", "create"),
            ("spec", "templates"),
            ('"cpu": "3.0"', '"memory": "6024.0M"'),
        ),
        (
            "batch",
            ("step-functions", "create"),
            ("States",),
            ('{"Value": "3", "Type": "VCPU"}', '{"Value": "6024", "Type": "MEMORY"}'),
        ),
    ],
)
@pytest.mark.usefixtures("account")
def test_the_deployed_documents_compile(
    flow: Path, deco: str, words: tuple[str, ...], place: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    decorators = on_machines([f"{deco}:image=example/bench:1", asking(3, 5000)])
    with_image = [word for one in decorators for word in ("--with", one)]
    done = subprocess.run(
        [sys.executable, flow, *with_image, *words, "--only-json"],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = json.loads(done.stdout)
    for key in place:
        found = found[key]
    assert "work" in json.dumps(found)
    assert all(words in json.dumps(found) for words in asked)
    assert ("retryStrategy" if deco == "kubernetes" else '"Retry"') in json.dumps(found)


@needs_metaflow
@pytest.mark.integration
def test_a_triggered_study_is_deployed_once_and_only_if_it_may_be(
    account: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On AWS's double, which takes state machines and runs none of them."""
    import boto3

    from benchmark.hpo import HPORunner

    def runner(name: str, **more: object) -> HPORunner:
        config = Config(
            s3_bucket_root="bench",
            compute={"*": "metaflow"},
            metaflow=MetaflowOptions(orchestrator="step_functions"),
        )
        limits = {"memory": 300, "cores": 3}
        settings = {"direction": "maximize", "trials": 4, "parallel": 3, "limits": limits} | more
        space = [{"name": "x", "value_type": "double", "lower_bound": 0, "upper_bound": 1}]
        objective = {"command": "echo {x}"}
        return HPORunner(objective, space, name=name, config=config, namespace="lab", **settings)

    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("METAFLOW_DECOSPECS", "batch:image=example/bench:1")
    machines = boto3.client("stepfunctions")
    with pytest.raises(BenchmarkError, match="keeps its journal on this machine"):
        runner("alone").trigger()
    storage = f"sqlite:///{tmp_path}/storage"  # nothing runs here, so nobody else needs to reach it
    with pytest.raises(BenchmarkError, match="is not deployed on step_functions"):
        runner("first", storage=storage).trigger(deploy=False)
    assert machines.list_state_machines()["stateMachines"] == []
    runner("first", storage=storage).trigger()
    triggered = runner("second", storage=storage).trigger(deploy=False)
    (machine,) = machines.list_state_machines()["stateMachines"]
    assert machine["name"] == "AutomlBenchmarkStudy"
    place = machine["stateMachineArn"]
    definition = machines.describe_state_machine(stateMachineArn=place)["definition"]
    assert "--namespace=lab" in definition or "--tag lab" in definition
    asked = json.dumps(json.loads(definition))
    assert '{"Value": "3", "Type": "VCPU"}' in asked
    assert '{"Value": "1324", "Type": "MEMORY"}' in asked
    runs = machines.list_executions(stateMachineArn=place)["executions"]
    inputs = [
        json.loads(json.loads(one["input"])["Parameters"])
        for run in runs
        for one in [machines.describe_execution(executionArn=run["executionArn"])]
    ]
    assert sorted(one["study"] for one in inputs) == ["first", "second"]
    assert {one["workers"] for one in inputs} == {3}
    assert "example/bench" in json.dumps(boto3.client("batch").describe_job_definitions())
    assert triggered.facts["orchestrator"] == "step_functions"
    assert "AutomlBenchmarkStudy/" in triggered.sentence
    assert list(temporary.iterdir()) == []


@needs_metaflow
@pytest.mark.integration
def test_the_flow_of_a_study_runs_its_workers(tmp_path: Path) -> None:
    """As an orchestrator would run it, on this machine."""
    store = open_store(str(tmp_path / "runs"))
    (tmp_path / "study.yaml").write_text(STUDY)
    Study.begin(store, read_study(tmp_path / "study.yaml", {"trials_per_task": 2}))
    values = ("--store_url", store.url, "--study", "line", "--workers", "2")
    done = subprocess.run(
        [sys.executable, STUDY_FLOW, "run", *values],
        cwd=tmp_path,
        env=os.environ | {"METAFLOW_USER": "ann", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()[-3000:]
    assert len(store.list("studies/line/out")) == 6
    (card,) = tmp_path.glob(".metaflow/mf.cards/**/*.html")
    data = re.search(r'__MF_DATA__\["[^"]+"\] = "([^"]+)"', card.read_text())
    assert data is not None
    assert b"Study studies/line: 6 trials" in base64.b64decode(data[1])
