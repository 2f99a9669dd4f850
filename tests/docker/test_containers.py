"""Images built and run by a real Docker engine, as `init-compute` and Batch do it."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ContainerError
from docker_engine import BASE
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout

from benchmark import results
from benchmark.compute.dispatcher import account
from benchmark.compute.images import RESERVE_MB
from benchmark.compute.jobs import INDEX_VARIABLE, write_job
from benchmark.config import PREFIX, Config
from benchmark.frameworks import environment_hash, get
from benchmark.results import Cause, Record
from benchmark.runs.plan import Narrowing, draft, plan
from benchmark.store import open_store
from benchmark.tasks import Run

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
PASSWORD = "not-for-the-history"
TOML = """description = "an own framework"
python = "{python}"
environment = "random-forest"
version_of = "numpy"
preload = ["numpy", "pandas"]
"""
GREEDY = """
def fit(train, problem, limits):
    held = [bytearray(10_000_000) for _ in range(400)]

def predict(model, frame, problem):
    raise RuntimeError("nothing was taken")

def describe(model):
    return {}
"""


@pytest.fixture(scope="module")
def work(docker: Any) -> Path:
    """A folder with a configuration and two own frameworks; what tests build in is shared."""
    folder: Path = docker.folder / "work"
    for name, python in (("greedy", ">=3.11,<3.14"), ("ancient", "==3.6.*")):
        (folder / "own" / name).mkdir(parents=True)
        (folder / "own" / name / "framework.toml").write_text(TOML.format(python=python))
        (folder / "own" / name / "adapter.py").write_text(GREEDY)
    configuration = {"frameworks": ["constant"], "frameworks_path": [str(folder / "own")]}
    (folder / "batch.config").write_text(json.dumps(configuration))
    return folder


@pytest.fixture(scope="module")
def init(docker: Any, work: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`main.py init-compute --json` with arguments."""

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            cwd=work,
            env=variables(docker),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return call


def command(*arguments: str) -> list[str]:
    fixed = ["init-compute", "--json", "--base", BASE, "--network", "host"]
    return [sys.executable, str(ROOT / "main.py"), *fixed, *arguments]


def variables(docker: Any) -> dict[str, str]:
    """The index comes with a password, unless this machine has an index of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    index = f"https://somebody:{PASSWORD}@pypi.org/simple"
    return {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index} | kept | docker.variables


@pytest.fixture(scope="module")
def image(init: Callable[..., Any]) -> Callable[[str], str]:
    """The name of a framework's image, built if it is not there."""

    @functools.cache
    def name(framework: str) -> str:
        done = init("--framework", framework)
        assert done.returncode == 0, done.stderr
        (facts,) = json.loads(done.stdout)
        print(f"{framework}: {facts['image']} {facts['size_mb']:.0f} MB")
        return str(facts["image"])

    return name


@pytest.fixture
def planned(tmp_path: Path, work: Path) -> Callable[..., Run]:
    """A run in a folder store that anybody may write."""

    def make(framework: str, **changes: Any) -> Run:
        values = {
            "studies": ["starter"],
            "frameworks": [framework],
            "frameworks_path": [str(work / "own")],
            "seeds": [75],
            "cores": 1,
            "memory": 1500,
            "runtime": 30,
            "hard_limit": 300,
            "max_attempts": 1,
        }
        narrowing = Narrowing(datasets=("penguins", "cpu"))
        wanted = draft(Config(**(values | changes)), narrowing)
        run = plan(open_store(str(tmp_path / "store")), wanted).run
        for path in (tmp_path / "store", *(tmp_path / "store").rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        return run

    return make


def in_container(docker: Any, image: str, run: Run, *arguments: str, **options: Any) -> bytes:
    """What the entry point prints for `/store RUN ARGUMENTS`."""
    fixed = {
        "command": ["/store", run.name, *arguments],
        "volumes": {run.store.url: {"bind": "/store", "mode": "rw"}},
        "network_mode": "host",
        "mem_limit": f"{run.tasks[0].resources.memory_mb + RESERVE_MB}m",
        "remove": True,
    }
    printed: bytes = docker.client.containers.run(image, **(fixed | options))
    return printed


def record(run: Run, key: str) -> Record:
    found = results.current_record(run, key)
    assert found is not None
    return found


def test_a_build_that_was_killed_goes_on(docker: Any, work: Path, init: Callable[..., Any]) -> None:
    name = f"automl-benchmark:{environment_hash(get('constant'))}"
    with subprocess.Popen(
        command("--framework", "constant"),
        cwd=work,
        env=variables(docker),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        reached = any(": tools " in line for line in process.stderr)
        os.killpg(process.pid, signal.SIGKILL)
    assert reached
    assert not docker.client.images.list("automl-benchmark")
    done = init("--framework", "constant")
    assert done.returncode == 0, done.stderr
    assert ": tools " not in done.stderr
    (facts,) = json.loads(done.stdout)
    assert (facts["image"], facts["built"]) == (name, True)
    again = json.loads(init("--framework", "constant").stdout)
    assert [(one["id"], one["built"]) for one in again] == [(facts["id"], False)]


def test_no_secret_and_no_root_in_an_image(docker: Any, image: Callable[[str], str]) -> None:
    name = image("constant")
    built = docker.client.images.get(name)
    assert PASSWORD not in json.dumps([built.history(), built.attrs])
    seen = docker.client.containers.run(
        name,
        entrypoint=["sh", "-c", f"id -u; ls /run/secrets; grep -rls {PASSWORD} /opt /etc /root"],
        command=[],
        network_mode="none",
        user="0",
        detach=True,
    )
    assert seen.wait()["StatusCode"] in (1, 2)
    assert seen.logs(stderr=False).decode().split() == ["0"]
    uid = docker.client.containers.run(
        name, entrypoint=["id", "-u"], command=[], network_mode="none", remove=True
    )
    assert uid.decode().strip() == "1000"


@pytest.mark.parametrize("framework", ["constant", "optuna", "h2o"])
def test_a_task_leaves_its_record(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run], framework: str
) -> None:
    run = planned(framework, memory=2500)
    key = f"{framework}/cpu/75"
    printed = in_container(docker, image(framework), run, key)
    made = record(run, key)
    assert json.loads(printed)["task"] == key
    assert made.status == "success", made.message
    assert made.metrics["rmse"] is not None
    assert run.store.list(f"{run.name}/predictions") == [run.predictions_path(key)]
    print(f"{framework}: sandbox {made.sandbox}, total {made.total_s:.1f} s")


def test_any_user_may_run_it(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run]
) -> None:
    run = planned("constant")
    in_container(docker, image("constant"), run, "constant/cpu/75", user="4321:4321")
    assert record(run, "constant/cpu/75").status == "success"


def test_each_child_of_an_array_runs_its_own_task(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run]
) -> None:
    run = planned("constant")
    keys = [task.key for task in run.tasks]
    write_job(run.store, run.name, "pair", keys)
    for index, key in enumerate(keys):
        assert results.current_record(run, key) is None
        in_container(
            docker,
            image("constant"),
            run,
            *("--job", "pair"),
            environment={INDEX_VARIABLE: str(index)},
        )
        assert record(run, key).status == "success"


def test_our_own_limit_is_recorded_as_memory(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run]
) -> None:
    run = planned("greedy", memory=400)
    in_container(docker, image("greedy"), run, "greedy/cpu/75")
    made = record(run, "greedy/cpu/75")
    assert (made.cause, made.sandbox) == (Cause.MEMORY, "subreaper")
    assert "more than its 400 MB during fit" in made.message
    assert made.peak_memory_mb is not None
    assert 400 <= made.peak_memory_mb < 400 + RESERVE_MB


def test_the_limit_of_a_container_that_is_too_small_loses_nothing(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run]
) -> None:
    """The kernel ends the task; whatever it ends beside it, the task stays to be run again."""
    run = planned("greedy", memory=3000)
    name = f"small-{uuid.uuid4().hex}"
    with pytest.raises(ContainerError):
        in_container(
            docker,
            image("greedy"),
            run,
            "greedy/cpu/75",
            mem_limit="700m",
            name=name,
            remove=False,
        )
    assert docker.client.containers.get(name).attrs["State"]["OOMKilled"]
    task = run.task("greedy/cpu/75")
    ended = account(run, task, Cause.INFRASTRUCTURE, "OOMKilled", since=0)
    assert ended.attempt == 1
    assert ended.cause is Cause.INFRASTRUCTURE
    assert task in results.without_result(run)


def test_a_container_that_is_killed_leaves_the_attempt_open(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run]
) -> None:
    run = planned("random-forest", runtime=200)
    container = docker.client.containers.run(
        image("random-forest"),
        ["/store", run.name, "random-forest/penguins/75"],
        volumes={run.store.url: {"bind": "/store", "mode": "rw"}},
        network_mode="host",
        detach=True,
    )
    attempts = Path(run.store.url, run.attempts_path("random-forest/penguins/75"))
    while not list(attempts.glob("*.json")):
        with pytest.raises((ReadTimeout, RequestsConnectionError)):
            container.wait(timeout=0.2)  # It must not end before it begins.
    container.kill()
    assert container.wait()["StatusCode"] == 137
    last = results.last_attempt(run, "random-forest/penguins/75")
    assert last is not None
    assert last[1] is None
    assert run.task("random-forest/penguins/75") in results.without_result(run)


def test_images_are_pushed_once(
    docker: Any, registry: str, init: Callable[..., Any], image: Callable[[str], str]
) -> None:
    name = image("constant")
    first = json.loads(init("--push", registry).stdout)
    again = json.loads(init("--push", registry).stdout)
    (pushed,) = [one["pushed"] for one in first]
    assert [one["pushed"] for one in again] == [pushed]
    assert pushed.startswith(f"{registry}/automl-benchmark@sha256:")
    tagged = f"{registry}/{name}"
    assert docker.client.images.get_registry_data(tagged).id == pushed.partition("@")[2]


def test_a_python_that_cannot_be_had_is_a_sentence_and_stops_no_other(
    init: Callable[..., Any],
) -> None:
    done = init("--framework", "ancient", "--framework", "constant")
    assert done.returncode == 1
    ancient, constant = json.loads(done.stdout)
    assert ancient["frameworks"] == ["ancient"]
    assert "Python 3.6, which the base does not have, cannot be had" in ancient["error"]
    assert constant["image"]


def test_a_base_that_cannot_be_had_is_a_sentence(init: Callable[..., Any]) -> None:
    done = init("--framework", "constant", "--base", "no-such-base.invalid/python:1")
    assert done.returncode == 1
    (facts,) = json.loads(done.stdout)
    assert "no-such-base.invalid" in facts["error"]
