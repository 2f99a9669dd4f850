"""The sandbox's last rung, where there is no Linux: process groups, as far as Linux can show it."""

import sys
import uuid
from dataclasses import replace

import pytest

from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.records.results import Cause
from prove.processes import with_mark
from tests.support.works import nasty_at_its_limit, python

NO_LINUX = """
import builtins, ctypes, os, runpy, select, sys
del os.sched_setaffinity, os.sched_getaffinity, select.POLLRDHUP
ctypes.CDLL = lambda *a, **k: object()
real = builtins.open
def without_pseudo_files(path, *more, **named):
    if str(path).startswith(("/proc", "/sys")):
        raise FileNotFoundError(2, "no such file", str(path))
    return real(path, *more, **named)
builtins.open = without_pseudo_files
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_a_zygote_without_what_only_linux_has(tmp_path):
    (tmp_path / "no_linux.py").write_text(NO_LINUX)
    interpreter = tmp_path / "python"
    interpreter.write_text(
        f'#!/bin/sh\nshift\nexec {sys.executable} -s {tmp_path}/no_linux.py "$@"\n'
    )
    interpreter.chmod(0o755)
    large = python("a = bytearray(4_000_000_000)", memory_mb=100)
    with Sandbox(means="process-group") as sandbox:
        outcome = nasty_at_its_limit(sandbox, 6, interpreter)
        assert (outcome.cause, outcome.sandbox) == (Cause.TIMEOUT, "process-group")
        assert b"up" in outcome.log
        assert sandbox.run(replace(large, python=interpreter)).cause is Cause.MEMORY
        fine = sandbox.run(replace(python("print(1)"), python=interpreter))
        assert (fine.cause, fine.log) == (None, b"1\n")


def test_killed_keepers_and_zygotes_leave_nothing():
    """What orphans would be adopted for elsewhere: the mark finds them."""
    mark = uuid.uuid4().hex
    code = f"""import os, signal, subprocess, sys
subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600) #{mark}'],
    start_new_session=True)
keeper = os.getppid()
zygote = int(open('/proc/%d/stat' % keeper).read().rpartition(')')[2].split()[1])
os.kill(zygote, signal.SIGKILL)
os.kill(keeper, signal.SIGKILL)
"""
    with Sandbox(means="process-group") as sandbox:
        assert sandbox.run(python(code)).cause is Cause.INFRASTRUCTURE
        assert with_mark(mark) == {}
        assert sandbox.run(python("print(1)")).log == b"1\n"
