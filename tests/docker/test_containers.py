"""Images built and run by a real Docker engine, as `init-compute` and Batch do it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import ContainerError
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout

from benchmark.compute.dispatcher import account
from benchmark.compute.images import RESERVE_MB
from benchmark.compute.jobs import INDEX_VARIABLE, write_job
from benchmark.config.loading import Config
from benchmark.frameworks import environment_hash, get
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run
from benchmark.runs.plan import Narrowing, draft, plan
from benchmark.store import open_store
from tests.support.docker_images import PASSWORD, command, variables

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def none_left(docker: Any) -> Iterator[None]:
    """The tests of other folders that share the engine look whether theirs are gone."""
    yield
    for container in docker.client.containers.list(all=True):
        container.remove(force=True)


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
    # They end with these models; a busy machine has time for them, and for H2O's Java.
    few = {"optuna": {"n_trials": 3}, "h2o": {"max_models": 2, "nfolds": 0}}
    entry = {"name": framework, "params": few.get(framework, {})}
    run = planned(framework, frameworks=[entry], memory=2500, runtime=250, hard_limit=900)
    key = f"{framework}/cpu/75"
    printed = in_container(docker, image(framework), run, key)
    made = record(run, key)
    assert json.loads(printed)["task"] == key
    assert made.status == "success", made.message
    assert made.metrics["rmse"] is not None
    assert run.store.list(f"{run.name}/predictions") == [made.predictions]
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
    assert "more than its 400 MiB during fit" in made.message
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
    assert task in record_reader.without_result(run)


def test_a_container_that_is_killed_leaves_the_attempt_open(
    docker: Any, image: Callable[[str], str], planned: Callable[..., Run]
) -> None:
    run = planned("greedy")  # For classes it waits to be let go, which no one does.
    container = docker.client.containers.run(
        image("greedy"),
        ["/store", run.name, "greedy/penguins/75"],
        volumes={run.store.url: {"bind": "/store", "mode": "rw"}},
        network_mode="host",
        detach=True,
    )
    attempts = Path(run.store.url, run.attempts_path("greedy/penguins/75"))
    while not list(attempts.glob("*.json")):
        with pytest.raises((ReadTimeout, RequestsConnectionError)):
            container.wait(timeout=0.2)  # It must not end before it begins.
    container.kill()
    assert container.wait()["StatusCode"] == 137
    last = results.last_attempt(run, "greedy/penguins/75")
    assert last is not None
    assert last[1] is None
    assert run.task("greedy/penguins/75") in record_reader.without_result(run)


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
