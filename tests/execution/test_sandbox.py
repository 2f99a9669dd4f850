"""One contract for every means of the sandbox: the limits bind the whole tree, nothing is left."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import SetupError
from benchmark.execution import scratch
from benchmark.execution.sandbox import Sandbox
from benchmark.execution.work import KEEPER_KILLED, KILLED
from benchmark.execution.worker import linux
from benchmark.execution.worker.trees import descendants
from benchmark.results import Cause
from prove import processes
from prove.processes import with_mark
from tests.support.works import PYTHON, command, python

MEANS = ("cgroup", "namespace", "subreaper", "process-group")
ROOT = Path(__file__).parents[2]
NASTY = ROOT / "tests" / "support" / "nasty.py"


@pytest.fixture(params=MEANS)
def sandbox(request):
    with Sandbox(cores=[min(os.sched_getaffinity(0))], means=request.param) as made:
        try:
            made.run(command("/bin/true"))
        except SetupError as error:
            pytest.skip(f"{request.param} does not work on this machine: {error}")
        yield made


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


def test_the_nasty_tree_is_gone_at_the_deadline(sandbox):
    mark = uuid.uuid4().hex
    outcome = sandbox.run(
        command(sys.executable, str(NASTY), mark, hard_limit_s=1.5, memory_mb=500)
    )
    assert outcome.cause is Cause.TIMEOUT
    assert b"up" in outcome.log
    assert with_mark(mark) == {}


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
    outcome = sandbox.run(python("a = bytearray(4_000_000_000)", memory_mb=300))
    assert outcome.cause is Cause.MEMORY
    assert "300 MB" in outcome.message
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
    outcome = sandbox.run(python(code, memory_mb=200, hard_limit_s=100))
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
    outcome = sandbox.run(python(code, memory_mb=1000, hard_limit_s=30))
    assert (outcome.cause, outcome.code) == (None, 0)
    assert b"all" in outcome.log


def test_the_next_task_is_not_harmed(sandbox):
    sandbox.run(python("a = bytearray(4_000_000_000)", memory_mb=100))
    sandbox.run(python("import os; os.closerange(0, 1000)"))
    sandbox.run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    outcome = sandbox.run(python("print(1)"))
    assert (outcome.cause, outcome.code, outcome.log) == (None, 0, b"1\n")


def test_a_crash_is_the_frameworks(sandbox):
    outcome = sandbox.run(python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
    assert outcome.cause is Cause.FRAMEWORK
    assert "SIGSEGV" in outcome.message


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_commands_kill_has_no_known_sender(sandbox, number):
    outcome = sandbox.run(python(f"import os; os.kill(os.getpid(), {int(number)})"))
    assert outcome.cause is Cause.INFRASTRUCTURE
    assert outcome.message.startswith(f"{KILLED} by {number.name}")


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
            pass
        act(pids)

    thread = threading.Thread(target=when_up)
    thread.start()
    outcome = sandbox.run(python(f"import time; time.sleep(600) #{mark}", hard_limit_s=100))
    thread.join()
    assert with_mark(mark) == {}
    return outcome


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


def test_interrupt_ends_the_task_at_once(sandbox):
    mark = uuid.uuid4().hex
    started = threading.Event()

    def when_up() -> None:
        while not with_mark(mark):
            pass
        started.set()
        sandbox.interrupt()

    thread = threading.Thread(target=when_up)
    thread.start()
    outcome = sandbox.run(python(f"import time; time.sleep(600) #{mark}", hard_limit_s=100))
    thread.join()
    assert started.is_set()
    assert outcome.cause is Cause.INTERRUPTED
    assert with_mark(mark) == {}


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
from benchmark.execution.sandbox import Sandbox
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
        pass
    assert owner.poll() is None
    before = set(tmp_path.glob("automl-benchmark-*/*"))
    owner.kill()
    owner.wait()
    while with_mark(mark):
        pass
    subprocess.run(
        [sys.executable, "-c", "from benchmark.execution.scratch import sweep; sweep()"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        check=True,
    )
    assert before
    assert not [path for path in before if path.exists()]
    names = {path.name for path in before}
    assert not [g for g in processes.groups() if any(name in g.name for name in names)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("means", ["namespace", "subreaper"])
def test_as_another_user(means, tmp_path):
    system = Path("/usr/bin/python3")
    if not system.exists():
        pytest.skip("there is no Python that another user may start")
    mark = uuid.uuid4().hex
    copied = tmp_path / "worker-code"
    package = copied / "benchmark" / "execution"
    package.mkdir(parents=True)
    for name in ("benchmark/__init__.py", "benchmark/execution/__init__.py"):
        (copied / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["cp", "-r", str(ROOT / "benchmark/execution/worker"), str(package)], check=True)
    (copied / "nasty.py").write_bytes(NASTY.read_bytes())
    subprocess.run(["chmod", "-R", "a+rX", str(copied)], check=True)
    for parent in [copied, *copied.parents][:-1]:
        if parent.stat().st_uid == 0 and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o711)
    work = tmp_path / "work"
    work.mkdir(mode=0o777)
    work.chmod(0o777)
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            str(system),
            "-c",
            AS_ANOTHER,
            str(package / "worker"),
            str(work),
            str(copied / "nasty.py"),
            mark,
            means,
            str(system),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=work,
    )
    assert done.returncode == 0, done.stderr
    if "no namespace" in done.stdout:
        pytest.skip("this kernel gives another user no PID namespace")
    assert "'timed_out': True" in done.stdout
    assert with_mark(mark) == {}


AS_ANOTHER = """
import json, os, socket, subprocess, sys
worker, work, nasty, mark, means, python = sys.argv[1:]
ours, theirs = socket.socketpair()
fd = theirs.fileno()
zygote = subprocess.Popen([python, "-E", "-s", worker, str(fd), "[]"], pass_fds=[fd])
theirs.close()
lines = ours.makefile("rb")
facts = json.loads(lines.readline())
if means == "namespace" and not facts["namespace"]:
    print("no namespace")
else:
    ours.sendall(json.dumps({"entry": {"argv": [python, nasty, mark]}, "payload": {}, "work": work,
        "output": work + "/log", "cores": sorted(os.sched_getaffinity(0)), "memory_mb": 500,
        "hard_limit_s": 1.5, "seed": 0, "env": {}, "namespace": means == "namespace",
        "cgroup": None}).encode() + b"\\n")
    print(json.loads(lines.readline()))
ours.shutdown(socket.SHUT_RDWR)
zygote.wait()
"""


def test_a_sweep_leaves_the_living_alone():
    with Sandbox() as sandbox:
        folder = sandbox._scratch.folder
        scratch.sweep()
        assert folder.exists()
    assert not folder.exists()


def deep_tree() -> str:
    return "for _ in range(1500): os.mkdir('d'); os.chdir('d')"


def closed_folders() -> str:
    return "os.makedirs('a/b'); open('a/b/file','w'); os.chmod('a/b',0); os.chmod('a',0)"


def a_link_in_its_own_place() -> str:
    return "w=os.getcwd(); os.chdir('/'); os.rename(w,w+'-moved'); os.symlink('/etc',w)"


@pytest.mark.parametrize("deed", [deep_tree, closed_folders, a_link_in_its_own_place])
def test_what_a_task_does_to_its_folder_stops_nobody(sandbox, deed):
    sandbox.run(python(f"import os\n{deed()}"))
    sandbox.discard_work()
    outcome = sandbox.run(python("import os; print(os.listdir())"))
    assert (outcome.cause, outcome.code, outcome.log) == (None, 0, b"['tmp']\n")


IPC = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
open("/dev/shm/MARK", "w").write("x")
libc.sem_open.restype = ctypes.c_void_p
assert libc.sem_open(b"/MARK", os.O_CREAT, 0o600, 1)
assert libc.shmget(KEY, 4096, 0o1600) >= 0, os.strerror(ctypes.get_errno())
assert libc.semget(KEY, 1, 0o1600) >= 0
print(sorted(os.listdir("/dev/shm")))
"""


def test_memory_that_a_task_shares_goes_with_it(sandbox):
    mark, key = f"test-{uuid.uuid4().hex}", int(uuid.uuid4().hex[:7], 16)
    outcome = sandbox.run(python(IPC.replace("MARK", mark).replace("KEY", str(key))))
    left = [path for path in Path("/dev/shm").iterdir() if mark in path.name]
    segments = [
        line for line in Path("/proc/sysvipc/shm").read_text().splitlines() if f" {key} " in line
    ]
    try:
        assert outcome.code == 0, outcome.log
        if outcome.apart:
            assert outcome.log.decode().strip() == str([f"sem.{mark}", mark])
            assert (left, segments) == ([], [])
        else:
            assert sorted(path.name for path in left) == [f"sem.{mark}", mark]
    finally:
        for path in left:
            path.unlink()
        if segments:
            subprocess.run(["ipcrm", "-M", str(key), "-S", str(key)], check=True)


APART = """
import os, sys
shared, hidden, other = sys.argv[1:]
print(open(shared).read())
for deed in (lambda: open(shared, "r+").write("worse"), lambda: os.truncate(shared, 0),
             lambda: os.unlink(shared), lambda: os.chmod(shared, 0o666),
             lambda: os.rename(shared, shared + "2"), lambda: os.utime(shared),
             lambda: open(os.path.join(os.path.dirname(shared), "new"), "w")):
    try:
        deed()
        print("done")
    except OSError:
        pass
print(os.listdir(hidden), os.path.exists(other))
"""


def test_shared_files_are_read_and_hidden_folders_empty(sandbox, tmp_path):
    folder = sandbox._scratch.folder.parent / f"parts-{uuid.uuid4().hex}"
    folder.mkdir()
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "targets").touch()
    shared, other = folder / "features", folder / "rows"
    shared.write_text("values")
    other.touch()
    work = command(sys.executable, "-c", APART, *map(str, (shared, hidden, other)))
    try:
        outcome = sandbox.run(replace(work, shared=(shared,), hidden=(hidden,)))
        if not outcome.apart:
            assert sandbox._asked in ("subreaper", "process-group")
            return
        assert outcome.log == b"values\n[] False\n"
        assert shared.read_text() == "values"
        assert sorted(path.name for path in folder.iterdir()) == ["features", "rows"]
    finally:
        scratch.remove_tree(folder)


def test_what_the_entry_needs_is_not_hidden(tmp_path):
    work = replace(command("/bin/true"), hidden=(tmp_path, tmp_path / "a", PYTHON.parent))
    (tmp_path / "a").mkdir()
    folder = tmp_path / "scratch" / "runner" / "work"
    apart = work.apart(folder, tmp_path / "scratch")
    assert apart["hidden"] == [str(tmp_path / "scratch")]
    elsewhere = work.apart(Path("/elsewhere/runner/work"), Path("/elsewhere"))
    assert elsewhere["hidden"] == [str(tmp_path), "/elsewhere"]
    assert elsewhere["trusted"]


def test_means_that_end_who_tries_them_do_not_work(monkeypatch):
    """As a filter of system calls may do."""
    monkeypatch.setattr(linux, "new_pid_namespace", lambda: None)
    monkeypatch.setattr(linux, "mount_own_proc", lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert linux.namespaces() == (False, False)


def test_an_adapter_cannot_undo_what_sets_it_apart(tmp_path):
    """By unmounting, in a namespace of its own, or through the process that mounted."""
    adapter = tmp_path / "adapter.py"
    adapter.write_text(
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "top = os.path.dirname(os.path.dirname(os.getcwd()))\n"
        "print(libc.umount2(top.encode(), 2), end=' ')\n"
        "libc.unshare(0x10020000)\n"
        "print(libc.umount2(top.encode(), 2), end=' ')\n"
        "try: place = os.readlink('/proc/1/cwd') == os.getcwd()\n"
        "except OSError: place = True\n"
        "print(place, os.listdir(top) == [os.path.basename(os.path.dirname(os.getcwd()))])\n"
        "raise RuntimeError('that is all')\n"
    )
    with Sandbox() as made:
        work = replace(python(""), entry={"adapter": str(adapter)})
        work = replace(work, inputs=lambda _: {"problem": {}, "limits": {}})
        outcome = made.run(work)
        if not outcome.apart:
            pytest.skip("tasks are not set apart on this machine")
        assert outcome.log.endswith(b"\n-1 -1 True True\n")
