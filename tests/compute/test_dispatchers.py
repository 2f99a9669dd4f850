"""One contract for every dispatcher, and one for what a broken one leaves behind."""

from __future__ import annotations

import importlib.util
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute import discovery
from benchmark.compute import dispatcher as interface
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.dispatcher import AutoMLMethods, Dispatcher
from benchmark.compute.kubernetes.kubernetes import KubernetesDispatcher
from benchmark.compute.local.local import LocalDispatcher
from benchmark.compute.metaflow.metaflow import MetaflowDispatcher
from benchmark.compute.pilot.pilot import PilotDispatcher
from benchmark.compute.ray.ray import RayDispatcher
from benchmark.compute.slurm.slurm import SlurmDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.parallel import record_reader
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.runs.execute import execute
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store
from tests.support import kubernetes_double
from tests.support.batch_double import CONFIGURATION
from tests.support.ray_cluster import SMALL_RAY, needs_ray
from tests.support.slurm_cluster import SMALL_CLUSTER


@AutoMLMethods("constant")
class Stranger(Dispatcher):
    """All that an extension must write."""

    @classmethod
    def process(cls, tests: interface.Tests) -> None:
        for task in tests:
            tests.execute(task)


@AutoMLMethods("constant")
class Raising(Dispatcher):
    @classmethod
    def process(cls, tests: interface.Tests) -> None:
        raise RuntimeError("the cluster is on fire")


@AutoMLMethods("constant")
class RaisingLate(Dispatcher):
    @classmethod
    def process(cls, tests: interface.Tests) -> None:
        tests.execute(tests[0])
        raise RuntimeError("the cluster is on fire")


@AutoMLMethods("constant")
class Early(Dispatcher):
    @classmethod
    def process(cls, tests: interface.Tests) -> None:
        tests.execute(tests[0])


@AutoMLMethods("constant")
class Lazy(Dispatcher):
    @classmethod
    def process(cls, tests: interface.Tests) -> None:
        """Does nothing at all."""


FLEET = {"instance_types": ["c5.large"], "cluster_size": 1, "parallel": 1}
needs_metaflow = pytest.mark.skipif(
    importlib.util.find_spec("metaflow") is None, reason="metaflow is not installed"
)
DISPATCHERS = [
    LocalDispatcher,
    Stranger,
    pytest.param(BatchDispatcher, marks=pytest.mark.integration),
    pytest.param(BaremetalDispatcher, marks=pytest.mark.integration),
    pytest.param(SlurmDispatcher, marks=pytest.mark.integration),
    pytest.param(KubernetesDispatcher, marks=pytest.mark.integration),
    pytest.param(RayDispatcher, marks=[pytest.mark.integration, needs_ray]),
    pytest.param(PilotDispatcher, marks=pytest.mark.integration),
    pytest.param(MetaflowDispatcher, marks=[pytest.mark.integration, needs_metaflow]),
]
# The first test shows in little time that the local method works; in the others it takes a second.
UNHURRIED = [pytest.param(LocalDispatcher, marks=pytest.mark.slow), *DISPATCHERS[1:]]
Told = tuple[Plan, Config]


@pytest.fixture
def planned(
    request: pytest.FixtureRequest,
    warm: None,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Told:
    monkeypatch.chdir(tmp_path)  # Metaflow keeps its own records where it is started
    callspec = getattr(request.node, "callspec", None)
    method = callspec.params.get("method") if callspec else None
    if method in (SlurmDispatcher, PilotDispatcher):
        request.getfixturevalue("slurm")
        return make_plan(folder_store), make_config(slurm=SMALL_CLUSTER)
    if method is RayDispatcher:
        request.getfixturevalue("ray_cluster")
        return make_plan(folder_store), make_config(ray=SMALL_RAY)
    if method is KubernetesDispatcher:
        request.getfixturevalue("kubernetes")
        return make_plan(folder_store), make_config(**kubernetes_double.CONFIGURATION)
    if method is BaremetalDispatcher:
        fleet = request.getfixturevalue("fleet")
        store = open_store(request.getfixturevalue("s3"))
        return make_plan(store), make_config(**FLEET, ec2_template=fleet.make_template())
    if method is not BatchDispatcher:
        # Each runner of the local method is two processes that import what measures.
        return make_plan(folder_store), make_config(parallel=1)
    request.getfixturevalue("batch")
    return make_plan(folder_store), make_config(**CONFIGURATION)


def all_told(dispatcher: Dispatcher, number: int) -> list[Record]:
    """What `completed` tells until every task is told, or for ten minutes."""
    told: list[Record] = []
    end = time.monotonic() + 600
    while len(told) < number and time.monotonic() < end:
        told += dispatcher.completed(timeout_s=2)
    return told


@pytest.mark.parametrize("method", DISPATCHERS)
def test_every_task_is_told_once_and_has_its_record(
    planned: Told, make_config: Callable[..., Config], method: type[Dispatcher]
) -> None:
    plan, config = planned
    if method is LocalDispatcher:
        config = make_config()  # As many runners as there are cores.
    with method(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        told = all_told(dispatcher, len(plan.tasks))
        assert dispatcher.completed(timeout_s=0.1) == []
    assert Counter(record.task for record in told) == Counter(task.key for task in plan.tasks)
    assert {(record.status, record.message) for record in told} == {("success", "")}
    assert {r.task: r for r in told} == {r.task: r for r in results.records(plan.run)}
    assert record_reader.without_result(plan.run) == []


@pytest.mark.parametrize("method", UNHURRIED)
def test_process_returns_when_all_have_records(planned: Told, method: type[Dispatcher]) -> None:
    plan, config = planned
    method.process(interface.Tests(plan.run, config, plan.tasks))
    assert [record.message for record in results.records(plan.run)] == ["", ""]
    assert record_reader.without_result(plan.run) == []
    assert set(results.attempt_index(plan.run).last.values()) == {1}


@pytest.mark.parametrize("method", UNHURRIED)
def test_only_the_submitted_tasks_are_run(planned: Told, method: type[Dispatcher]) -> None:
    plan, config = planned
    with method(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks[:1])
        told = all_told(dispatcher, 1)
    assert [record.task for record in told] == [plan.tasks[0].key]
    assert record_reader.without_result(plan.run) == plan.tasks[1:]


@pytest.mark.parametrize("method", UNHURRIED)
def test_tasks_may_be_submitted_in_portions(planned: Told, method: type[Dispatcher]) -> None:
    plan, config = planned
    with method(plan.run, config) as dispatcher:
        for task in plan.tasks:
            dispatcher.submit([task])
        told = all_told(dispatcher, len(plan.tasks))
    assert Counter(record.task for record in told) == Counter(task.key for task in plan.tasks)


@pytest.mark.parametrize(
    ("method", "keys", "places"),
    [
        (LocalDispatcher, {"parallel": 1}, 1),
        (Stranger, {"parallel": 7}, 7),
        (BatchDispatcher, {"cluster_size": 9, "parallel": 2}, 9),
        (BaremetalDispatcher, {"cluster_size": 9, "parallel": 2}, 18),
        (SlurmDispatcher, {"parallel": 7}, 7),
        (SlurmDispatcher, {"slurm": {"throttle": 5}, "parallel": 7}, 5),
        (KubernetesDispatcher, {}, None),
        (KubernetesDispatcher, {"kubernetes": {"throttle": 5}}, 5),
        (RayDispatcher, {}, None),
        (PilotDispatcher, {"slurm": {"pilot": {"jobs": 2, "nodes": 3, "cores": 4}}}, 24),
    ],
)
def test_how_many_tasks_a_method_runs_at_once(
    make_config: Callable[..., Config], method: type[Dispatcher], keys: Any, places: int | None
) -> None:
    assert method.places(make_config(**keys)) == places


@pytest.mark.parametrize("method", DISPATCHERS)
def test_a_task_that_has_a_record_is_told_with_the_first_one(
    planned: Told, method: type[Dispatcher]
) -> None:
    plan, config = planned
    task = plan.tasks[0]
    first = Record(task=task.key, status="success", metrics={"auc": 0.25}, labels=task.labels)
    first = results.settle(plan.run, results.begin(plan.run, task), first)
    with method(plan.run, config) as dispatcher:
        dispatcher.submit([task])
        assert all_told(dispatcher, 1) == [first]


@pytest.mark.parametrize("method", UNHURRIED)
def test_a_task_without_result_is_told_with_its_cause(
    planned: Told, method: type[Dispatcher]
) -> None:
    plan, config = planned
    plan.run.manifest.datasets["penguins"]["hash"] = "0" * 16  # No store and no cache has it.
    plan.run.save()
    with method(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        told = {record.task: record for record in all_told(dispatcher, len(plan.tasks))}
    assert told["constant/penguins/75"].cause is Cause.DATA
    assert told["constant/cpu/75"].status == "success"


@pytest.mark.parametrize("method", [*UNHURRIED, Raising])
def test_closing_is_possible_before_and_after_and_twice(
    planned: Told, method: type[Dispatcher]
) -> None:
    plan, config = planned
    unused = method(plan.run, config)
    unused.close()
    unused.close()
    with method(plan.run, config) as used:
        used.submit(plan.tasks[:1])
        all_told(used, 1)
    used.close()


@pytest.mark.parametrize("method", [Raising, RaisingLate, Early, Lazy])
def test_what_process_leaves_behind_is_infrastructure_with_the_reason(
    planned: Told, method: type[Dispatcher]
) -> None:
    plan, config = planned
    with method(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        told = all_told(dispatcher, len(plan.tasks))
        assert dispatcher.completed(timeout_s=0.1) == []
    assert Counter(record.task for record in told) == Counter(task.key for task in plan.tasks)
    left = [record for record in told if record.status != "success"]
    assert len(left) == (1 if method in (RaisingLate, Early) else 2)
    reason = "the cluster is on fire" if "Raising" in method.__name__ else "without a record"
    for record in left:
        assert record.cause is Cause.INFRASTRUCTURE
        assert method.__name__ in record.message
        assert reason in record.message
        assert results.last_attempts(plan.run, [record.task]) == {record.task: record}


def test_a_record_of_an_earlier_generation_is_not_told(planned: Told) -> None:
    """A late worker's record that slipped into the store counts as absent everywhere."""
    plan, config = planned
    task = plan.tasks[0]
    old = Record(task=task.key, status="success", metrics={"auc": 0.25}, labels=task.labels)
    old = results.settle(plan.run, results.begin(plan.run, task), old)
    results.set_aside(plan.run, [task.key])
    plan.run.store.put(plan.run.out_path(task.key), old.to_bytes())
    with Lazy(plan.run, config) as dispatcher:
        dispatcher.submit([task])
        told = all_told(dispatcher, 1)
    assert [record.cause for record in told] == [Cause.INFRASTRUCTURE]


def test_tests_are_a_sequence_of_tasks(planned: Told) -> None:
    plan, config = planned
    tests = interface.Tests(plan.run, config, plan.tasks)
    assert list(tests) == plan.tasks
    assert len(tests) == 2
    assert tests[1] == plan.tasks[1]
    assert tests[:1] == plan.tasks[:1]
    assert plan.tasks[0] in tests
    assert (tests.run, tests.config) == (plan.run, config)


def test_a_class_with_neither_is_refused() -> None:
    with pytest.raises(TypeError, match="Nothing needs `process`, or `submit` and `completed`"):
        type("Nothing", (Dispatcher,), {})
    with pytest.raises(TypeError, match="Half"):
        type("Half", (Dispatcher,), {"submit": lambda self, tasks: None})


def test_a_subclass_of_a_whole_dispatcher_is_whole() -> None:
    assert issubclass(type("Mine", (Stranger,), {}), Dispatcher)


def test_the_decorator_names_the_frameworks() -> None:
    assert Stranger.methods == ("constant",)
    for wrong in ((), ("",), (3,), (Stranger,)):
        with pytest.raises(BenchmarkError, match="names of frameworks"):
            AutoMLMethods(*wrong)


def test_an_unknown_method_is_a_sentence() -> None:
    with pytest.raises(BenchmarkError, match=r"'cloud', which does not exist.*local"):
        discovery.load_method("cloud")


def test_two_methods_side_by_side_and_one_raises(
    warm: None,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {"good": Stranger, "bad": Raising}
    monkeypatch.setattr(discovery, "load_method", lambda name: found[name])
    changes = {
        "frameworks": ["constant", {"name": "constant", "as": "unlucky"}],
        "compute": {"*": "good", "unlucky": "bad"},
    }
    plan = make_plan(folder_store, **changes)
    heard: list[Record] = []
    summary = execute(plan.run, make_config(**changes), plan.tasks, heard.append)
    assert Counter(record.task for record in heard) == Counter(task.key for task in plan.tasks)
    assert summary.causes == {"success": 2, "infrastructure": 2}
    assert not summary.all_have_results
    for record in heard:
        unlucky = record.task.startswith("unlucky/")
        assert record.status == ("failure" if unlucky else "success")
        assert ("on fire" in record.message) == unlucky
    waiting = record_reader.without_result(plan.run)
    assert {task.labels["framework"] for task in waiting} == {"unlucky"}


def test_a_method_that_cannot_be_built_is_reported_and_its_tasks_are_accounted(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unbuildable(LocalDispatcher):
        def submit(self, tasks: object) -> None:
            raise BenchmarkError("the queue is gone")

    monkeypatch.setattr(discovery, "load_method", lambda name: Unbuildable)
    plan = make_plan(folder_store)
    summary = execute(plan.run, make_config(), plan.tasks)
    assert summary.causes == {"infrastructure": 2}
    assert [fault for fault in summary.faults if "the queue is gone" in fault]
    assert all("the queue is gone" in record.message for record in summary.records.values())


def test_lost_attempts_are_made_again_and_no_more_than_allowed(
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "load_method", lambda name: Lazy)
    plan = make_plan(folder_store, max_attempts=3)
    summary = execute(plan.run, make_config(max_attempts=3), plan.tasks)
    assert summary.causes == {"infrastructure": 2}
    assert set(results.attempt_index(plan.run).last.values()) == {3}


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("detachable", [True, False])
def test_ctrl_c_leaves_what_runs_elsewhere_where_that_is_asked_for(
    planned: Told, monkeypatch: pytest.MonkeyPatch, detach: bool, detachable: bool
) -> None:
    closed: list[bool] = []

    class Elsewhere(LocalDispatcher):
        def submit(self, tasks: object) -> None:
            # In this thread it interrupts no wait of the main one, as when it comes just before.
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

        def completed(self, timeout_s: float) -> list[Record]:
            return []

        def close(self) -> None:
            closed.append(self.detached)

    Elsewhere.detachable = detachable
    monkeypatch.setattr(discovery, "load_method", lambda name: Elsewhere)
    plan, config = planned
    summary = execute(plan.run, config, plan.tasks, detach=detach)
    assert summary.interrupted
    assert closed == [detach and detachable]
    assert summary.detached == (["local"] if detach and detachable else [])
