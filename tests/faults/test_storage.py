"""An S3 that fails for a while or for good: survived, or a sentence; never half, never twice."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmark.errors import StoreError
from benchmark.records import results
from benchmark.records.tasks import Run
from benchmark.runs.plan import Plan
from benchmark.store import objects, open_store
from benchmark.store.bucket import open_bucket
from prove.proxy import FaultyProxy
from tests.support.storage import OPERATIONS, refusal, until

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("fault", ["500", "503 SlowDown", "cut", "lost"])
def test_faults_that_pass_are_survived(s3: str, proxy: FaultyProxy, fault: str) -> None:
    store = open_store(s3)
    large = bytes(range(256)) * 30_000
    for action, expected in (
        (lambda: store.create("run/a", b"a"), True),
        (lambda: store.create("run/a", b"other"), False),
        (lambda: store.put("run/b", b"b"), None),
        (lambda: store.put("run/large", large), None),
        (lambda: store.get("run/a"), b"a"),
        (lambda: store.get("run/large") == large, True),
        (lambda: store.get("run/nothing"), None),
        (lambda: store.list("run"), ["run/a", "run/b", "run/large"]),
        (lambda: store.delete(["run/a", "run/b"]), None),
        (lambda: store.list("run"), ["run/large"]),
    ):
        proxy.fail_first(fault)
        assert action() == expected


def test_a_reply_cut_in_its_midst_is_asked_for_again(s3: str, proxy: FaultyProxy) -> None:
    store = open_store(s3)
    store.put("a", b"x" * 1000)
    proxy.fail_first("half", "half")
    assert store.get("a") == b"x" * 1000


def test_an_upload_in_parts_that_fails_at_its_end_is_made_again(
    s3: str, proxy: FaultyProxy
) -> None:
    """S3 says 200 to the last request of such an upload, and the fault in the body."""
    store, left = open_store(s3), ["200 InternalError"]

    def fault(request: str, number: int) -> str | None:
        is_last = request.startswith("POST") and "uploadId" in request
        return left.pop() if is_last and left else None

    proxy.fault = fault
    large = bytes(range(256)) * 30_000
    store.put("large", large)
    assert left == []
    assert store.get("large") == large


def test_a_slow_reply_is_waited_for(s3: str, proxy: FaultyProxy) -> None:
    """It takes twice as long as silence may last; a machine that stops meanwhile is silent."""
    store = open_bucket(s3, silence_s=0.5)
    open_store(s3).put("a", b"x" * 1000)

    def is_asked_once() -> bool:
        proxy.fail_first("slow")
        asked = len(proxy.seen)
        assert store.get("a") == b"x" * 1000
        return len(proxy.seen) == asked + 1

    until(is_asked_once, "one request to be enough")


def test_a_request_that_hangs_is_given_up_and_made_again(s3: str, proxy: FaultyProxy) -> None:
    store = open_bucket(s3, silence_s=0.5)
    proxy.fail_first("hang")
    assert store.create("a", b"mine") is True
    proxy.fail_first("hang")
    assert store.get("a") == b"mine"


@pytest.mark.slow
def test_an_outage_of_ten_seconds_is_survived(s3: str, proxy: FaultyProxy) -> None:
    """Ten seconds, and seven requests at least."""
    store = open_store(s3)
    store.put("a", b"a")
    end = time.monotonic() + 10
    kinds = ["500", "503 SlowDown", "cut"]
    first = len(proxy.seen)

    def fault(request: str, number: int) -> str | None:
        is_over = time.monotonic() >= end and number >= first + 7
        return None if is_over else kinds[number % 3]

    proxy.fault = fault
    with ThreadPoolExecutor(2) as pool:
        created, read = pool.submit(store.create, "b", b"b"), pool.submit(store.get, "a")
    assert (created.result(), read.result()) == (True, b"a")
    assert len(proxy.seen) > 6


def test_a_create_whose_reply_was_lost_knows_its_own(s3: str, proxy: FaultyProxy) -> None:
    store = open_store(s3)
    proxy.fail_first("lost")
    assert store.create("a", b"mine") is True
    proxy.fail_first("cut")
    assert store.create("a", b"another's") is False
    assert store.create("a", b"mine") is False
    assert store.get("a") == b"mine"


def test_creates_that_met_are_made_again(s3: str, proxy: FaultyProxy) -> None:
    store = open_store(s3)
    proxy.fail_first("409 ConditionalRequestConflict")
    assert store.create("a", b"mine") is True


@pytest.fixture
def bad_line(proxy: FaultyProxy) -> None:
    """Every second write is lost, before or after it is done."""
    dice = random.Random(7)
    kinds = ["lost", "lost", "cut", "503 SlowDown", *[None] * 4]
    proxy.fault = lambda request, number: dice.choice(kinds) if "PUT" in request else None


@pytest.mark.slow
def test_racing_creates_over_a_bad_line_have_exactly_one_winner(s3: str, bad_line: None) -> None:
    keys = [f"race/{key}" for key in range(4)]
    barrier = threading.Barrier(2)

    def write(number: int) -> list[bool]:
        store = open_store(s3)
        won = []
        for key in keys:
            barrier.wait(timeout=500)
            won.append(store.create(key, b"%d" % number))
        return won

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(write, range(2)))
    for place, key in enumerate(keys):
        winners = [number for number in range(2) if won[number][place]]
        assert [b"%d" % number for number in winners] == [open_store(s3).get(key)]


@pytest.mark.slow
def test_attempts_begun_at_once_over_a_bad_line_have_numbers_of_their_own(
    s3: str, bad_line: None, make_plan: Callable[..., Plan]
) -> None:
    run = make_plan(open_store(s3)).run
    barrier = threading.Barrier(2)

    def begin(_: int) -> list[int]:
        mine = Run.open(open_store(s3), run.name)
        numbers = []
        for _ in range(2):
            barrier.wait(timeout=500)
            numbers.append(results.begin(mine, mine.tasks[0]).number)
        return numbers

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(begin, range(2))
    assert sorted(first + second) == [1, 2, 3, 4]


def test_an_outage_is_waited_out_once_and_not_by_every_request(
    s3: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_LEAST_S", 0.0)
    store = open_bucket(s3, patience_s=1.0)
    proxy.fault = lambda request, number: "500"

    def is_asked_once() -> bool:
        asked = len(proxy.seen)
        refusal(lambda: store.get("a"))
        return len(proxy.seen) == asked + 1

    until(is_asked_once, "the patience to end")
    assert is_asked_once()
    proxy.fault = lambda request, number: None
    assert store.get("a") is None

    def is_patient_again() -> bool:
        proxy.fail_first("500", "500")
        try:
            return store.get("a") is None
        except StoreError:  # the machine stopped for as long as the patience lasts
            proxy.fault = lambda request, number: None
            return bool(store.get("a"))

    until(is_patient_again, "the patience to begin again")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("500", r"it answered 500 for \d+ s; check the network"),
        ("503 SlowDown", r"it answered 503 SlowDown for \d+ s; check the network"),
        ("cut", r"the connection broke for \d+ s; check the network"),
        ("hang", r"it does not answer for \d+ s; check the network"),
    ],
)
def test_a_lasting_outage_is_a_sentence(
    s3: str, proxy: FaultyProxy, operation: str, fault: str, reason: str
) -> None:
    silence = {"silence_s": 0.3} if fault == "hang" else {}
    store = open_bucket(s3, patience_s=0.8, **silence)
    proxy.fault = lambda request, number: fault

    def is_asked_again() -> bool:
        asked = len(proxy.seen)
        sentence = refusal(lambda: OPERATIONS[operation](store))
        assert re.search(f"^The store {s3} cannot {operation}: {reason}", sentence), sentence
        return len(proxy.seen) > asked + 1

    # A machine that stops for as long as the patience lasts asks once.
    until(is_asked_again, "a second request")
    proxy.fault = lambda request, number: None
    assert open_store(s3).list() == []


def test_a_killed_writer_leaves_no_half_object_in_a_bucket(s3: str) -> None:
    script = (
        "import sys\nfrom benchmark.store import open_store\nstore = open_store(sys.argv[1])\n"
        "store.put('o/a', b'1' * 8_000_000)\nprint('begun', flush=True)\n"
        "while True:\n    for digit in b'23':\n"
        "        store.put('o/a', bytes([digit]) * 8_000_000)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, s3], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "begun\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    store = open_store(s3)
    data = store.get("o/a") or b""
    assert len(data) == 8_000_000
    assert data == data[:1] * len(data)
    assert store.list() == ["o/a"]


@pytest.mark.slow
def test_the_program_runs_and_resumes_in_a_bucket(
    s3: str,
    proxy: FaultyProxy,
    program: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
) -> None:
    config = {
        "studies": ["starter"],
        "frameworks": ["constant"],
        "seeds": [75],
        "cores": 1,
        "memory": 1500,
        "runtime": 5,
        "hard_limit": 60,
        "compute": {"*": "local"},
        "s3_bucket_root": "bench",
        "s3_folder": s3.removeprefix("s3://bench/"),
    }
    (tmp_path / "work" / "batch.config").write_text(json.dumps(config))
    for command, dataset in (("execute-compute", "penguins"), ("resume-compute", "cpu")):
        proxy.fail_first("503 SlowDown", "cut", "lost")
        done = program(command, "--dataset", dataset)
        assert done.returncode == 0, done.stderr
    run = Run.open(open_store(s3), "default")
    assert {record.task: record.status for record in results.records(run)} == {
        "constant/penguins/75": "success",
        "constant/cpu/75": "success",
    }
    attempts = [path.rpartition("/")[2] for path in run.store.list("default/attempts")]
    assert attempts == ["0001.json", "0001.json"]
