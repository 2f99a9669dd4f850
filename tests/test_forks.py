"""Work in a forked process: its answer, its failure, its end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmark.parallel.record_reader import beside, processes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")


def test_an_answer_of_any_length_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    held = b"x" * 300_000
    with beside(lambda: held + str(os.getpid()).encode()) as answer:
        found = answer()
    assert found is not None
    assert found.startswith(held)
    assert int(found[len(held) :]) != os.getpid()
    assert capfd.readouterr() == ("", "")


def broken() -> bytes:
    raise ValueError


def killed() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


@pytest.mark.parametrize("work", [broken, killed])
def test_what_fails_there_is_to_be_done_here(
    work: object, capfd: pytest.CaptureFixture[str]
) -> None:
    with beside(work) as answer:  # type: ignore[arg-type]
        assert answer() is None
    assert capfd.readouterr() == ("", "")


def test_without_another_process_it_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError(errno.EAGAIN, "no process left")

    monkeypatch.setattr(os, "fork", refused)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    with beside(broken) as answer:
        assert answer() is None
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_nothing_is_left_where_nobody_waits(tmp_path: Path) -> None:
    said = tmp_path / "pid"

    def endless() -> bytes:
        said.write_text(str(os.getpid()))
        said.rename(tmp_path / "ready")
        time.sleep(600)
        return b""

    with pytest.raises(KeyError), beside(endless):
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        raise KeyError
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "ready").read_text()), 0)


def test_a_fork_ends_with_the_process(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from benchmark.parallel.record_reader import beside\n"
        "def work():\n"
        "    print(os.getpid(), flush=True)\n"
        "    time.sleep(600)\n"
        "with beside(work) as answer:\n"
        "    answer()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    end = time.monotonic() + 300
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_fork_beside_threads() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert processes() == 1
    finally:
        done.set()
        thread.join()
