"""What tasks leave, share and see: nothing of each other."""

import os
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.sandbox.shared import SharedFolders
from prove.processes import with_mark
from tests.support.documents import ROOT
from tests.support.works import NASTY, PYTHON, command, python


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
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "targets").touch()

    def build(folder: Path) -> None:
        (folder / "features").write_text("values")
        (folder / "rows").touch()

    # Held: the sweep of another runner that starts meanwhile leaves it.
    with SharedFolders() as folders:
        folder = folders.hold(f"parts-{uuid.uuid4().hex}", build)
        shared, other = folder / "features", folder / "rows"
        before = sorted(folder.iterdir())
        work = command(sys.executable, "-c", APART, *map(str, (shared, hidden, other)))
        outcome = sandbox.run(replace(work, shared=(shared,), hidden=(hidden,)))
        if not outcome.apart:
            assert sandbox._asked in ("subreaper", "process-group")
            return
        assert outcome.log == b"values\n[] False\n", outcome
        assert shared.read_text() == "values"
        assert sorted(folder.iterdir()) == before
        assert {shared, other} < set(before)


def test_what_the_entry_needs_is_not_hidden(tmp_path):
    work = replace(command("/bin/true"), hidden=(tmp_path, tmp_path / "a", PYTHON.parent))
    (tmp_path / "a").mkdir()
    folder = tmp_path / "scratch" / "runner" / "work"
    apart = work.apart(folder, tmp_path / "scratch")
    assert apart["hidden"] == [str(tmp_path / "scratch")]
    elsewhere = work.apart(Path("/elsewhere/runner/work"), Path("/elsewhere"))
    assert elsewhere["hidden"] == [str(tmp_path), "/elsewhere"]
    assert elsewhere["trusted"]


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
