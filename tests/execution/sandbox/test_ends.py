"""How a task ended: by itself, by its own kill, by one from outside."""

import os
import signal
import threading
import time
import uuid
from dataclasses import replace

import pytest

from benchmark.execution.work import KEEPER_KILLED, KILLED
from benchmark.execution.worker.trees import descendants
from benchmark.records.results import Cause
from prove.processes import with_mark
from tests.support.works import command, python


def test_a_crash_is_the_frameworks(sandbox):
    outcome = sandbox.run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    assert outcome.cause is Cause.FRAMEWORK
    assert "SIGSEGV" in outcome.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_commands_kill_has_no_known_sender(sandbox, number):
    outcome = sandbox.run(python(f"import os; os.kill(os.getpid(), {int(number)})"))
    assert outcome.cause is Cause.INFRASTRUCTURE
    assert outcome.message.startswith(f"{KILLED} by signal {int(number)} ({number.name})")


@pytest.mark.parametrize(
    "send",
    [
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.killpg(os.getpgrp(), signal.SIGTERM)",
        "signal.pthread_kill(threading.get_ident(), signal.SIGHUP)",
        "os.fork() or os.kill(own, signal.SIGINT); time.sleep(60)",
    ],
)
def test_a_script_that_kills_itself_is_a_failure(sandbox, send, tmp_path):
    """Python that runs in a fork of ours says so itself; its Ctrl-C ends it as any other signal."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, threading, time\nown = os.getpid()\n"
        f"signal.signal(signal.SIGINT, signal.SIG_DFL)\n{send}\n"
    )
    work = replace(command(), entry={"script": str(script), "arguments": []})
    outcome = sandbox.run(work)
    assert outcome.cause is Cause.FRAMEWORK
    assert outcome.message.startswith("It killed itself (SIG")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_kill_of_the_task_alone_is_infrastructure(sandbox, number):
    outcome = after_start(sandbox, lambda pids: os.kill(max(pids), number))
    assert outcome.cause is Cause.INFRASTRUCTURE
    assert number.name in outcome.message


def test_an_end_of_the_keeper_from_outside_is_an_interrupt(sandbox):
    def end(pids: list[int]) -> None:
        zygote = next(iter(sandbox._zygotes.values()))
        os.kill(descendants(zygote._process.pid)[0], signal.SIGTERM)

    assert after_start(sandbox, end).cause is Cause.INTERRUPTED


def test_a_keeper_that_is_killed_is_infrastructure(sandbox):
    def end(pids: list[int]) -> None:
        zygote = next(iter(sandbox._zygotes.values()))
        os.kill(descendants(zygote._process.pid)[0], signal.SIGKILL)

    outcome = after_start(sandbox, end)
    assert outcome.cause is Cause.INFRASTRUCTURE
    assert outcome.message == f"{KEEPER_KILLED} (status 9)."


def test_a_task_does_not_interrupt_itself_by_its_keeper(sandbox):
    code = """import os,signal,time
try: os.kill(os.getppid(), signal.SIGTERM)
except OSError: pass
time.sleep(0.2)
print('on')
"""
    outcome = sandbox.run(python(code))
    assert (outcome.cause, outcome.log) == (None, b"on\n")


def after_start(sandbox, act):
    """Run something long, and act on its processes once they are there."""
    mark = uuid.uuid4().hex

    def when_up() -> None:
        while not (pids := list(with_mark(mark))):
            time.sleep(0.005)
        act(pids)

    thread = threading.Thread(target=when_up)
    thread.start()
    outcome = sandbox.run(python(f"import time; time.sleep(600) #{mark}", hard_limit_s=100))
    thread.join()
    assert with_mark(mark) == {}
    return outcome


def test_interrupt_ends_the_task_at_once(sandbox):
    mark = uuid.uuid4().hex
    started = threading.Event()

    def when_up() -> None:
        while not with_mark(mark):
            time.sleep(0.005)
        started.set()
        sandbox.interrupt()

    thread = threading.Thread(target=when_up)
    thread.start()
    outcome = sandbox.run(python(f"import time; time.sleep(600) #{mark}", hard_limit_s=100))
    thread.join()
    assert started.is_set()
    assert outcome.cause is Cause.INTERRUPTED
    assert with_mark(mark) == {}
