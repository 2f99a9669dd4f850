"""Shared memory counts on every means of the sandbox, whether a process maps it or not."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmark.execution.sandbox.sandbox import Sandbox
from benchmark.execution.worker import trees
from benchmark.execution.worker.shared_memory import SHM, SharedMemory
from benchmark.records.results import Cause
from tests.support.works import python

LIMIT_MB, MORE_MB, PART_MB = 100, 240, 40
SETUP = """import ctypes, mmap, os, pathlib, time
b = b'x' * 2**20
def hold():  # until the sandbox sees it; `ps` on a busy machine looks once a second
    time.sleep(200)
def memfd(many, mapped=False):
    fd = os.memfd_create('test')
    if mapped:
        os.ftruncate(fd, many * 2**20)
        m = mmap.mmap(fd, many * 2**20)
    for _ in range(many): m.write(b) if mapped else os.write(fd, b)
    return fd
def shm(many, opens=1, unlink=False):
    path = pathlib.Path('/dev/shm/test-MARK')
    try:
        for _ in range(opens):
            with path.open('ab') as file:
                if unlink: path.unlink()
                for _ in range(many // opens): file.write(b)
                file.flush()
                # Once closed, a file without a name is gone; one with a name is anybody's where
                # other sandboxes run beside this one, unless the task was seen with it.
                if unlink: hold()
                if opens == 1: hold()
        hold()
    finally:
        path.unlink(missing_ok=True)
def child(many):
    fd = os.memfd_create('test')
    if os.fork() == 0:
        os.setsid()
        for _ in range(many): os.write(fd, b)
        os._exit(0)
    os.wait()
    return fd
def segment(many):
    c = ctypes.CDLL(None)
    c.shmat.restype = ctypes.c_void_p
    c.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    c.shmdt.argtypes = [ctypes.c_void_p]
    one = c.shmget(0, many * 2**20, 0o1600)
    try:
        for at in range(many):
            place = c.shmat(one, None, 0)
            ctypes.memset(place + at * 2**20, 1, 2**20)
            c.shmdt(place)
        hold()
    finally:
        c.shmctl(one, 0, None)
"""
FORMS = {
    "memfd": "kept = memfd({}); hold()",
    "mapped memfd": "kept = memfd({}, mapped=True); hold()",
    "child's memfd": "kept = child({}); hold()",
    "file": "shm({})",
    "file opened again and again": "shm({0}, opens={0})",
    "file without a name": "shm({}, unlink=True)",
    "detached segment": "segment({})",
}
FAST = {"memfd", "file"}
EACH = [
    pytest.param(form, id=name, marks=() if name in FAST else pytest.mark.integration)
    for name, form in FORMS.items()
]


def remove_segments(size_mb: int) -> None:
    """Segments of this size whose creator is gone: a task that is killed leaves its own."""
    names, *rows = (line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines())
    for row in (dict(zip(names, values, strict=True)) for values in rows):
        if int(row["size"]) == size_mb * 2**20 and not Path("/proc", row["cpid"]).exists():
            ctypes.CDLL(None).shmctl(int(row["shmid"]), 0, None)


def code(form: str, many: int) -> str:
    return (SETUP + f"{form.format(many)}\n").replace("MARK", str(os.getpid()))


@pytest.mark.parametrize("form", EACH)
def test_what_is_over_the_limit_ends_as_memory(sandbox: Sandbox, form: str) -> None:
    outcome = sandbox.run(python(code(form, MORE_MB), memory_mb=LIMIT_MB))
    for path in Path(SHM).glob(f"test-{os.getpid()}"):
        path.unlink()  # A means that shares /dev/shm leaves the file of a task that it ended.
    remove_segments(MORE_MB)
    assert outcome.cause is Cause.MEMORY, outcome.log
    assert outcome.peak_memory_mb is not None
    assert outcome.peak_memory_mb >= LIMIT_MB


@pytest.mark.integration
def test_what_is_under_the_limit_is_in_the_peak_once(sandbox: Sandbox) -> None:
    """Held for three seconds, as `ps` on a busy machine looks once a second; longer if unseen."""
    for hold_s in (3, 12, 48):
        outcome = sandbox.run(python(code(held_for(hold_s), 0), memory_mb=3 * LIMIT_MB))
        assert (outcome.cause, outcome.code) == (None, 0), outcome.log
        assert outcome.peak_memory_mb is not None
        if outcome.peak_memory_mb >= 4 * PART_MB:
            break
    assert 4 * PART_MB <= outcome.peak_memory_mb < 6 * PART_MB


def held_for(hold_s: int) -> str:
    return f"""kept = [memfd({PART_MB}), memfd({PART_MB}, mapped=True)]
file = open('/dev/shm/test-MARK', 'wb')
os.unlink(file.name)
for _ in range({PART_MB}): file.write(b)
file.flush()
time.sleep = lambda seconds, sleep=time.sleep: sleep({hold_s})
segment({PART_MB})
"""


def test_a_segment_is_seen_behind_many_others(sandbox: Sandbox) -> None:
    """The list of segments is longer than a page."""
    libc = ctypes.CDLL(None)
    others = [libc.shmget(0, 4096, 0o1600) for _ in range(60)]
    try:
        form = FORMS["detached segment"]
        outcome = sandbox.run(python(code(form, MORE_MB), memory_mb=LIMIT_MB))
    finally:
        for one in others:
            libc.shmctl(one, 0, None)
        remove_segments(MORE_MB)
    assert outcome.cause is Cause.MEMORY, outcome.log


@pytest.mark.integration
@pytest.mark.parametrize("means", ["cgroup", "namespace", "subreaper", "process-group"])
def test_a_scratch_folder_in_memory(means: str) -> None:
    """TMPDIR in /dev/shm: tasks run, and what they write into their folder is memory."""
    inside = """
import sys
from benchmark.execution.sandbox.sandbox import Sandbox
from tests.support.works import python
write = "f=open('big','wb')\\nfor _ in range(%d): f.write(b'x'*2**20)\\nf.flush()\\n"
write += "import time; time.sleep(%d)"
with Sandbox(means=sys.argv[1]) as sandbox:
    for many, hold_s in ((60, 1), (240, 200)):
        print(sandbox.run(python(write % (many, hold_s), memory_mb=100)).cause)
"""
    with tempfile.TemporaryDirectory(dir=SHM) as folder:
        done = subprocess.run(
            [sys.executable, "-c", inside, means],
            env=os.environ | {"TMPDIR": folder, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    if "does not work on this machine" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.stdout.split() == ["None", "memory"], done.stderr


def test_what_others_hold_in_dev_shm_is_not_the_tasks(tmp_path: Path) -> None:
    work = tmp_path / "root" / "abcdefgh" / "work"
    work.mkdir(parents=True)
    shared = SharedMemory(str(work))
    try:
        with tempfile.NamedTemporaryFile(dir=SHM) as file:
            file.write(bytes(8 << 20))
            file.flush()
            held = shared.unmapped_mb([])
            file.close()
            with tempfile.NamedTemporaryFile(dir=SHM, delete=False) as left:
                left.write(bytes(8 << 20))
        try:
            assert held < 1
            assert shared.unmapped_mb([]) == pytest.approx(8, abs=1)
        finally:
            Path(left.name).unlink()
    finally:
        shared.close()


def test_a_process_that_hides_its_mappings_is_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that made itself undumpable is read by its owner through its status alone."""
    real = trees.read_text
    hide = lambda path: "" if path.endswith("smaps_rollup") else real(path)  # noqa: E731
    open_mb = trees.anonymous_mb([os.getpid()])
    monkeypatch.setattr(trees, "read_text", hide)
    assert trees.anonymous_mb([os.getpid()]) >= 0.9 * open_mb > 0
