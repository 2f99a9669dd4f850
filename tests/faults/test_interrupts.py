"""Ctrl-C ends cleanly, twice at once, and the next command goes on."""

import json
import signal
import subprocess

import pytest

from prove.playground import Playground
from prove.program import configure, run_main
from prove.rows import until
from prove.villains import villains


@pytest.fixture
def ground(tmp_path, request):
    """A run of eight tasks that sleep; in most tests one at a time, to have fewer processes."""
    parallel = getattr(request, "param", 1)
    keys = villains(tmp_path, "sleep") | {"hard_limit": 500, "parallel": parallel}
    return Playground(configure(tmp_path / "ground", **keys))


def begun(ground: Playground) -> subprocess.Popen[bytes]:
    driver = ground.start()
    until(lambda: "task" in ground.processes().values(), "a task")
    return driver


@pytest.fixture
def status(ground, typed):
    """What `status --json` reports."""

    def read() -> dict:
        done = typed(ground.folder, "status", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return read


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ground", "number"),
    [(2, signal.SIGINT), (2, signal.SIGTERM), (2, signal.SIGHUP)],
    indirect=["ground"],
)
def test_it_ends_cleanly(ground, status, number):
    driver = begun(ground)
    assert status()["running_now"]
    driver.send_signal(number)
    assert driver.wait(600) == 1
    until(lambda: not ground.processes(), "the processes to go")
    until(lambda: not ground.groups(), "the groups to go")
    assert ground.finals() == {}
    found = status()
    assert not found["running_now"]
    assert found["causes"].get("interrupted", 0) >= 1
    assert found["causes"].get("interrupted", 0) + found["waiting"] == 8
    assert "resume-compute" in (ground.folder / "driver.log").read_text()


@pytest.mark.slow
def test_a_second_driver_is_refused_and_twice_ends_at_once(ground):
    driver = begun(ground)
    second = run_main(ground.folder, "resume-compute")
    assert second.returncode == 2
    assert "Another process drives 'default'" in second.stderr
    assert "Traceback" not in second.stderr
    driver.send_signal(signal.SIGINT)
    driver.send_signal(signal.SIGINT)
    driver.wait(600)
    until(lambda: not ground.processes(), "the processes to go")
    assert ground.finals() == {}
    until(lambda: not ground.groups(), "the groups to go")
