"""What many tests need: a configuration, a store, a small planned run, the program as a user."""

from __future__ import annotations

import functools
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.terminal import TerminalReporter

from benchmark.cli import main
from benchmark.config.loading import PREFIX, Config
from benchmark.runs.plan import Narrowing, Plan, draft, plan
from benchmark.store import Store, open_store
from prove.program import run_main
from tests.support.batch_double import batch
from tests.support.docker_engine import docker, registry
from tests.support.fleet_double import fleet
from tests.support.helm import helm
from tests.support.kubernetes_double import kubernetes, kubernetes_api
from tests.support.postgres_server import postgres
from tests.support.proxy import proxy
from tests.support.ray_cluster import ray_cluster, ray_nodes
from tests.support.services import _models, aws, s3, seaweed
from tests.support.slurm_cluster import slurm, slurm_cluster
from tests.support.slurm_double import slurm_double
from tests.support.warm import _kept, warm

__all__ = [
    "_kept",
    "_models",
    "aws",
    "batch",
    "docker",
    "fleet",
    "helm",
    "kubernetes",
    "kubernetes_api",
    "postgres",
    "proxy",
    "ray_cluster",
    "ray_nodes",
    "registry",
    "s3",
    "seaweed",
    "slurm",
    "slurm_cluster",
    "slurm_double",
    "warm",
]

# A shell that runs the tests in the background hands down an ignored Ctrl-C, and they send some.
signal.signal(signal.SIGINT, signal.default_int_handler)
# And nohup an ignored SIGHUP.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long examples take to make says how busy the machine is; and a new example that fails is no
# fault of the change that happens to be tested.
hypothesis.settings.register_profile(
    "tests",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tests")

_STARTED_IN = Path.cwd()

SMALL: dict[str, Any] = {
    "studies": ["starter"],
    "frameworks": ["constant"],
    "seeds": [75],
    "cores": 1,
    "memory": 1500,
    "runtime": 5,
    "hard_limit": 60,
    "max_attempts": 1,
}


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_synced(request: pytest.FixtureRequest) -> Iterator[None]:
    """Default tests lose no power, so what this process writes need not reach the disk: two waits
    of some milliseconds for each object. What they start, and integration tests, sync as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "not integration" in request.config.getoption("markexpr"):
            patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None]:
    """A test that leaves its worker in another directory fails, and not one that comes later."""
    yield
    here = Path.cwd()
    if here != _STARTED_IN:
        os.chdir(_STARTED_IN)
        pytest.fail(f"The test left the working directory at {here}.", pytrace=False)


@pytest.fixture
def make_config() -> Callable[..., Config]:
    """A small configuration with some keys changed."""
    return lambda **changes: Config(**(SMALL | changes))


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def make_plan(make_config: Callable[..., Config]) -> Callable[..., Plan]:
    """A planned run of `constant` on two small data sets, or as asked."""

    def make(store: Store, datasets: tuple[str, ...] = ("penguins", "cpu"), **changes: Any) -> Plan:
        return plan(store, draft(make_config(**changes), Narrowing(datasets=datasets)))

    return make


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs main.py in an empty working directory, `tmp_path/work`, as a user would."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return functools.partial(run_main, work)


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in a folder as `program` does, but in this process, without its start."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        if name != f"{PREFIX}CACHE":
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "stdin", None)

    def run(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(folder)
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return run


@pytest.fixture
def command(
    typed: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command in `tmp_path/work` as `program` does, but in this process."""
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return functools.partial(typed, work)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Analyses in this process draw no figures, for tests that do not look at any."""
    monkeypatch.setattr("benchmark.analysis.processing.drawn", lambda *_: iter(()))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Cache pytest's rewritten test modules even if Python is told to write no bytecode.

    Without the cache every xdist worker rewrites every assertion of every test file again. What
    the modules import stays, so that the garbage collector need not look at it again and again.
    """
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    gc.disable()
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = writes_none
        gc.freeze()
        gc.enable()


# What a fixture of these starts takes seconds of waiting in each xdist worker.
SERVERS = {"seaweed"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts a server as slow, before pytest selects by marker. Integration tests wait
    for installs and clusters; each may take as long as a slow one.
    """
    for item in items:
        if SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("integration") and not item.get_closest_marker("timeout"):
            limit_s = 14400 if item.get_closest_marker("soak") else 1200
            item.add_marker(pytest.mark.timeout(limit_s))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """End `make test` with what did not run and why, and `make soak` with a table of its tests."""
    expression = terminalreporter.config.getoption("markexpr")
    if expression == "soak":
        _soak_table(terminalreporter)
    elif "not integration" in expression:
        left_out = [f"{one.nodeid} ({one.longrepr[2]})" for one in _of(terminalreporter, "skipped")]
        if "not slow" in expression:
            left_out += ["the slow tests (make slow)"]
        left_out += [
            "the integration tests (make integration), the long ones (make soak, make prove)"
        ]
        terminalreporter.write_line(f"Did not run: {'; '.join(left_out)}")


def _soak_table(terminalreporter: TerminalReporter) -> None:
    rows = [
        (one.nodeid, outcome, f"{one.duration:.0f}")
        for outcome in ("passed", "failed", "error")
        for one in _of(terminalreporter, outcome)
        if one.when == "call" or outcome != "passed"
    ]
    rows += [(one.nodeid, one.longrepr[2], "") for one in _of(terminalreporter, "skipped")]
    terminalreporter.write_line("| test | outcome | seconds |\n|---|---|---|")
    for row in sorted(rows):
        terminalreporter.write_line(f"| {' | '.join(row)} |")


def _of(terminalreporter: TerminalReporter, outcome: str) -> list[Any]:
    return list(terminalreporter.stats.get(outcome, []))
