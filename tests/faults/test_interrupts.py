"""Ctrl-C ends cleanly, twice at once, and the next command goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prove.playground import Playground
from prove.program import ROOT, configure
from prove.rows import until
from prove.villains import villains


@pytest.fixture
def ground(tmp_path):
    """A run of eight tasks that sleep."""
    folder = configure(tmp_path / "ground", **villains(tmp_path, "sleep"), hard_limit=500)
    return Playground(folder)


def begun(ground: Playground) -> subprocess.Popen[bytes]:
    driver = ground.start()
    until(lambda: "task" in ground.processes().values(), "a task")
    return driver


def status(ground: Playground) -> dict:
    done = subprocess.run(
        [sys.executable, ROOT / "main.py", "status", "--json"],
        cwd=ground.folder,
        capture_output=True,
        check=True,
        env=os.environ,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_cleanly(ground, number):
    driver = begun(ground)
    assert status(ground)["running_now"]
    driver.send_signal(number)
    assert driver.wait(20) == 1
    assert not ground.processes()
    assert not ground.groups()
    assert ground.finals() == {}
    found = status(ground)
    assert not found["running_now"]
    assert found["causes"].get("interrupted", 0) >= 1
    assert found["causes"].get("interrupted", 0) + found["waiting"] == 8
    assert "resume-compute" in (ground.folder / "driver.log").read_text()


def test_twice_ends_at_once(ground):
    driver = begun(ground)
    driver.send_signal(signal.SIGINT)
    driver.send_signal(signal.SIGINT)
    driver.wait(20)
    until(lambda: not ground.processes(), "the processes to go")
    assert ground.finals() == {}
    left = [g for g in ground.groups() if Path(g).exists()]
    assert not left


def test_a_second_driver_is_refused(ground):
    driver = begun(ground)
    second = subprocess.run(
        [sys.executable, ROOT / "main.py", "resume-compute"],
        cwd=ground.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 2
    assert "Another process drives 'default'" in second.stderr
    assert "Traceback" not in second.stderr
    driver.send_signal(signal.SIGINT)
    driver.wait(20)
