"""The method ray over a cluster of three nodes, and what it refuses without one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.ray.ray import RayDispatcher
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.runs.status import status
from benchmark.store import open_store
from tests.support.ray_cluster import SMALL_RAY, add_node, needs_ray, runners

ROOT = Path(__file__).parents[3]
PATIENCE_S = 600.0


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (None, "RAY_ADDRESS is unset.*HOST:PORT"),
        ("", "RAY_ADDRESS is unset"),
        ("local", "RAY_ADDRESS is 'local'"),
        ("ray://head:10001", "RAY_ADDRESS is 'ray://head:10001'"),
        ("head", "write HOST:PORT"),
        ("head:port", "write HOST:PORT"),
        ("127.0.0.1:{free}", "There is no Ray cluster at 127.0.0.1:.*ray start --head"),
        ("127.0.0.1:99999", "There is no Ray cluster at"),
    ],
)
def test_an_address_without_a_cluster_is_refused(
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    address: str | None,
    words: str,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as bound:  # it does not listen
        bound.bind(("127.0.0.1", 0))
        if address is not None:
            port = bound.getsockname()[1]
            monkeypatch.setenv("RAY_ADDRESS", address.replace("{free}", str(port)))
        with pytest.raises(ConfigError, match=words):
            RayDispatcher.check(make_config())


def test_results_in_memory_are_refused(make_config: Callable[..., Config]) -> None:
    config = make_config(s3_bucket_root="memory://x/", ray={"address": "auto"})
    with pytest.raises(ConfigError, match="which no node of the cluster sees"):
        RayDispatcher.check(config)


@needs_ray
@pytest.mark.integration
def test_tasks_of_a_killed_node_run_again_and_nothing_is_left(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    tmp_path: Path,
    ray_cluster: Any,
) -> None:
    store = open_store(str(tmp_path / "ray-test"))
    changes: dict[str, Any] = {"seeds": 6, "max_attempts": 3, "ray": SMALL_RAY}
    plan = make_plan(store, **changes)
    node = add_node(ray_cluster)
    killed: list[Record] = []

    def kill(record: Record) -> None:
        if not killed:
            ray_cluster.remove_node(node, allow_graceful=False)
        killed.append(record)

    config = make_config(**changes, compute={"*": "ray"})
    before = signal.getsignal(signal.SIGTERM)
    summary = execute(plan.run, config, plan.tasks, kill)
    assert summary.all_have_results
    assert record_reader.without_result(plan.run) == []
    assert len(list(results.records(plan.run))) == 12
    assert signal.getsignal(signal.SIGTERM) is before
    until(lambda: not runners())


@needs_ray
@pytest.mark.integration
def test_what_no_node_has_is_reported_until_a_node_has_it(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    tmp_path: Path,
    ray_cluster: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though the number of workers is given, which an autoscaler would see."""
    plan = make_plan(open_store(str(tmp_path / "ray-test")))
    config = make_config(parallel=1, ray=SMALL_RAY | {"resources": {"fast_disk": 1}})
    with RayDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        assert dispatcher.completed(timeout_s=0.1) == []
        assert status(plan.run).waits == (
            "1 task waits in the queue of Ray: no node has 1 CPU, 1800 MiB of memory ('reserve_mb' "
            "of 'ray' included), 1 fast_disk.",
        )
        node = add_node(ray_cluster, resources={"fast_disk": 1})
        found: list[Record] = []
        until(lambda: bool(found.extend(dispatcher.completed(timeout_s=0.5)) or found))
        assert [record.status for record in found] == ["success"]
        assert status(plan.run).waits == ()
    ray_cluster.remove_node(node)
    assert len(caplog.messages) == 1
    until(lambda: not runners())


@needs_ray
@pytest.mark.integration
def test_a_killed_driver_leaves_nothing_and_the_next_goes_on(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    tmp_path: Path,
    ray_cluster: Any,
) -> None:
    store = open_store(str(tmp_path / "ray-test"))
    changes: dict[str, Any] = {"seeds": 4, "ray": SMALL_RAY}
    plan = make_plan(store, **changes)
    code = (
        "from benchmark.store import open_store; from benchmark.records.tasks import Run;"
        "from benchmark.config.loading import Config;"
        "from benchmark.compute.ray.ray import RayDispatcher;"
        "from benchmark.compute.dispatcher import Tests; import sys;"
        "run = Run.open(open_store(sys.argv[1]), 'default');"
        "config = Config(cores=1, memory=1500, ray={'reserve_mb': 300});"
        "RayDispatcher.process(Tests(run, config, list(run.tasks)))"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, store.url],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        until(lambda: bool(results.attempt_index(plan.run).last) or driver.poll() is not None)
        assert driver.poll() is None
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    until(lambda: not runners())
    config = make_config(**changes, compute={"*": "ray"})
    summary = execute(plan.run, config, record_reader.without_result(plan.run))
    assert summary.all_have_results
    assert len(list(results.records(plan.run))) == 8
    until(lambda: not runners())
