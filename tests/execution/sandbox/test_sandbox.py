"""One contract for every means of the sandbox: the limits bind the whole tree, nothing is left."""

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.execution.sandbox import scratch, zygotes
from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.worker import linux
from benchmark.execution.worker.trees import descendants
from benchmark.records.results import Cause
from prove import processes
from prove.processes import with_mark
from tests.support.documents import ROOT
from tests.support.works import MEANS, NASTY, command, nasty_at_its_limit, python


def test_a_command_that_ends_by_itself(sandbox):
    outcome = sandbox.run(python("print('said'); raise SystemExit(3)"))
    assert (outcome.cause, outcome.code) == (None, 3)
    assert b"said" in outcome.log


def test_what_cannot_be_imported_ahead_is_said(sandbox):
    outcome = sandbox.run(replace(python("print('said')"), preload=("json", "no_such_module")))
    first, second = outcome.log.decode().splitlines()
    assert first.startswith("no_such_module could not be imported ahead: ModuleNotFoundError")
    assert second == "said"
    assert outcome.import_s > 0


IMPORTS = (("json",), ("csv",), ("decimal",), ("fractions",))


def waiting(monkeypatch, hard_limit_s=300, **limits):
    """How many interpreters a sandbox keeps after tasks of four, and of the first one again."""
    for name, value in limits.items():
        monkeypatch.setattr(zygotes, name, value)
    before = set(descendants(os.getpid()))
    with Sandbox(cores=[min(os.sched_getaffinity(0))]) as sandbox:
        for preload in (*IMPORTS, IMPORTS[0]):
            work = replace(command("/bin/true", hard_limit_s=hard_limit_s), preload=preload)
            assert sandbox.run(work).code == 0
        return len(set(descendants(os.getpid())) - before)


def test_interpreters_wait_within_their_memory(monkeypatch):
    assert waiting(monkeypatch, WORTH_KEEPING=0.0) == len(IMPORTS)
    assert waiting(monkeypatch, WORTH_KEEPING=0.0, WAITING_MB=0.1) == 1


def test_interpreters_leave_that_are_unused_or_start_in_no_time(monkeypatch):
    assert waiting(monkeypatch, hard_limit_s=1e6) == 1
    assert waiting(monkeypatch, WAITING_S=0.0) == 1


@pytest.mark.slow
def test_the_nasty_tree_is_gone_at_the_deadline(sandbox):
    outcome = nasty_at_its_limit(sandbox, 4)
    assert outcome.cause is Cause.TIMEOUT
    assert b"up" in outcome.log


def test_what_a_task_leaves_behind_goes_with_it(sandbox):
    mark = uuid.uuid4().hex
    code = f"""import os,time,sys
if os.fork()==0:
 os.setsid()
 os.execv(sys.executable, [sys.executable, '-c', 'import time;time.sleep(600) #{mark}'])
os._exit(0)
"""
    outcome = sandbox.run(python(code))
    assert (outcome.cause, outcome.code) == (None, 0)
    assert with_mark(mark) == {}


def test_memory_is_a_limit_of_the_tree(sandbox):
    # No more than this, so that the peak does not depend on when the watchdog looks.
    code = "a = bytearray(400_000_000); import time; time.sleep(600)"
    outcome = sandbox.run(python(code, memory_mb=300))
    assert outcome.cause is Cause.MEMORY
    assert "300 MiB" in outcome.message
    if sandbox._asked == "process-group":
        assert outcome.peak_memory_mb > 300
    else:
        within = 0.05 if is_cgroup(sandbox) else 0.5
        assert outcome.peak_memory_mb == pytest.approx(300, rel=within)


def test_memory_taken_by_a_grandchild_counts(sandbox):
    code = """import subprocess,sys,time
argv = [sys.executable, '-c', 'a = bytearray(2000000000)']
subprocess.Popen(argv, start_new_session=True).wait()
time.sleep(60)
"""
    assert sandbox.run(python(code, memory_mb=200)).cause is Cause.MEMORY


def test_memory_in_many_small_children_counts_together(sandbox):
    code = """import os,time
for _ in range(8):
  if os.fork()==0:
    a=bytearray(os.urandom(1000))*60000
    time.sleep(60)
time.sleep(60)
"""
    assert sandbox.run(python(code, memory_mb=300)).cause is Cause.MEMORY


def test_file_cache_is_no_memory(sandbox):
    code = """import os
with open('big','wb') as f:
  for _ in range(400): f.write(b'x'*1_000_000)
print(len(open('big','rb').read(1000)))
"""
    outcome = sandbox.run(python(code, memory_mb=200))
    assert (outcome.cause, outcome.code) == (None, 0)
    assert outcome.peak_memory_mb < 150


def test_a_flood_of_output_is_capped_and_kept_at_both_ends(sandbox):
    code = "print('first')\nfor _ in range(3000): print('y'*10_000)\nprint('last')"
    outcome = sandbox.run(python(code))
    assert outcome.code == 0
    assert len(outcome.log) < 3_000_000
    assert outcome.log.startswith(b"first")
    assert outcome.log.endswith(b"last\n")


def test_standard_output_is_kept_apart_where_that_is_asked_for(sandbox):
    code = """import sys
print('first',flush=True)
print('wrong',file=sys.stderr,flush=True)
for _ in range(3000): print('y'*10_000)
print('last',flush=True)
"""
    work = python(code)
    apart = sandbox.run(replace(work, stdout_apart=True))
    assert apart.code == 0
    assert apart.stdout.startswith(b"first\nyyy")
    assert apart.stdout.endswith(b"last\n")
    assert b"wrong" not in apart.stdout
    assert b"wrong" in apart.log
    assert apart.log.endswith(b"last\n")
    assert len(apart.log) + len(apart.stdout) < 6_000_000
    assert sandbox.run(work).stdout == b""


def test_a_process_that_holds_the_output_open_delays_nothing(sandbox):
    code = """import subprocess,sys
argv = [sys.executable, '-c', 'import time; time.sleep(600)']
subprocess.Popen(argv, start_new_session=True)
print('done',flush=True)
"""
    outcome = sandbox.run(python(code, hard_limit_s=60))
    assert outcome.cause is None
    assert outcome.wall_s < 30


def test_two_hundred_children(sandbox):
    code = """import os,time
for _ in range(200):
  if os.fork()==0: time.sleep(600)
print('all', flush=True)
"""
    outcome = sandbox.run(python(code, memory_mb=1000))
    assert (outcome.cause, outcome.code) == (None, 0)
    assert b"all" in outcome.log


def test_the_next_task_is_not_harmed(sandbox):
    sandbox.run(python("a = bytearray(4_000_000_000)", memory_mb=100))
    sandbox.run(python("import os; os.closerange(0, 1000)"))
    sandbox.run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    outcome = sandbox.run(python("print(1)"))
    assert (outcome.cause, outcome.code, outcome.log) == (None, 0, b"1\n")


@pytest.mark.parametrize("entry", ["script", "argv", "child"])
def test_sets_of_strings_have_one_order(tmp_path, entry):
    """In each interpreter, in a process that it starts, and whatever this one's hash seed is."""
    script = tmp_path / "script.py"
    show = "print({'a', 'b', 'c', 'd', 'e'}, hash('x'))"
    again = f"import subprocess,sys; subprocess.run([sys.executable, '-c', {show!r}])"
    script.write_text(again if entry == "child" else show)
    work = python(show)
    if entry != "argv":
        work = replace(work, entry={"script": str(script), "arguments": []})
    logs = set()
    for _ in range(2):
        with Sandbox(cores=[min(os.sched_getaffinity(0))]) as made:
            logs.add(made.run(work).log)
    assert len(logs) == 1
    assert logs.pop().startswith(b"{")


def test_a_missing_command_is_said(sandbox):
    outcome = sandbox.run(command("/no/such/program"))
    assert outcome.code == 127
    assert b"/no/such/program cannot be started" in outcome.log


def test_only_the_given_cores(sandbox):
    outcome = sandbox.run(python("import os; print(sorted(os.sched_getaffinity(0)))"))
    assert outcome.log.decode().strip() == str(sandbox.cores)


def test_temporary_files_go_with_the_task(sandbox):
    outcome = sandbox.run(python("import tempfile; print(tempfile.mkdtemp())"))
    made = Path(outcome.log.decode().strip())
    assert made.exists()
    sandbox.discard_work()
    assert not made.exists()


def is_cgroup(sandbox: Sandbox) -> bool:
    return sandbox._asked == "cgroup"


OWNER = """
import sys
from pathlib import Path
from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.work import Limits, Work
with Sandbox(means=sys.argv[1]) as sandbox:
    sandbox.run(Work(python=Path(sys.executable), limits=Limits(600, 500, 1),
        entry={"argv": [sys.executable, sys.argv[2], sys.argv[3]]}))
"""


@pytest.mark.parametrize("means", MEANS)
def test_a_killed_owner_leaves_nothing(means, tmp_path):
    mark = uuid.uuid4().hex
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, means, str(NASTY), mark],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    while len(with_mark(mark)) < 5 and owner.poll() is None:
        time.sleep(0.005)
    assert owner.poll() is None
    before = set(tmp_path.glob("automl-benchmark-*/*"))
    owner.kill()
    owner.wait()
    while with_mark(mark):
        time.sleep(0.005)
    subprocess.run(
        [sys.executable, "-c", "from benchmark.execution.sandbox.scratch import sweep; sweep()"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        check=True,
    )
    assert before
    assert not [path for path in before if path.exists()]
    names = {path.name for path in before}
    assert not [g for g in processes.groups() if any(name in g.name for name in names)]


def test_a_sweep_leaves_the_living_alone():
    with Sandbox() as sandbox:
        folder = sandbox._scratch.folder
        scratch.sweep()
        assert folder.exists()
    assert not folder.exists()


def test_means_that_end_who_tries_them_do_not_work(monkeypatch):
    """As a filter of system calls may do."""
    monkeypatch.setattr(linux, "new_pid_namespace", lambda: None)
    monkeypatch.setattr(linux, "mount_own_proc", lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert linux.namespaces() == (False, False)
