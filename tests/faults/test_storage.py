"""What a store does when its disk, its network or its service fails it: survive, or one sentence.

Nothing is half written, nothing is created twice, and no key stands in a message.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from proxy import FaultyProxy
from services import SECRET, Seaweed, free_ports

from benchmark import results
from benchmark.errors import StoreError
from benchmark.runs.plan import Plan
from benchmark.store import Store, lease, open_store, patience
from benchmark.store.bucket import open_bucket
from benchmark.store.holder import Holder
from benchmark.tasks import Run

ROOT = Path(__file__).parents[2]
OPERATIONS: dict[str, Callable[[Store], object]] = {
    "read 'run/a'": lambda store: store.get("run/a"),
    "write 'run/a'": lambda store: store.put("run/a", b"x"),
    "write 'run/b'": lambda store: store.create("run/b", b"x"),
    "list 'run'": lambda store: store.list("run"),
    "delete 'run/a'": lambda store: store.delete(["run/a"]),
}


@pytest.fixture
def proxy(s3: str, seaweed: Seaweed, aws: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The endpoint of `s3`, with faults at hand."""
    with FaultyProxy(seaweed.endpoint) as proxy:
        aws.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 60
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"waited 60 s for {what}")
        time.sleep(0.01)


def refusal(action: Callable[[], object]) -> str:
    """The one sentence of a StoreError, checked for what must not stand in it."""
    with pytest.raises(StoreError) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert re.fullmatch(r"[^<>{}]*\.", sentence), sentence
    assert "Traceback" not in sentence
    assert SECRET not in sentence
    assert "AKIA" not in sentence
    assert "Signature=" not in sentence
    return sentence


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
    store = open_bucket(s3, silence_s=0.5)
    store.put("a", b"x" * 1000)
    proxy.fail_first("slow")
    asked = len(proxy.seen)
    assert store.get("a") == b"x" * 1000
    assert len(proxy.seen) == asked + 1


def test_a_request_that_hangs_is_given_up_and_made_again(s3: str, proxy: FaultyProxy) -> None:
    store = open_bucket(s3, silence_s=0.5)
    proxy.fail_first("hang")
    assert store.create("a", b"mine") is True
    proxy.fail_first("hang")
    assert store.get("a") == b"mine"


def test_an_outage_of_ten_seconds_is_survived(s3: str, proxy: FaultyProxy) -> None:
    store = open_store(s3)
    store.put("a", b"a")
    end = time.monotonic() + 10
    kinds = ["500", "503 SlowDown", "cut"]
    proxy.fault = lambda request, number: kinds[number % 3] if time.monotonic() < end else None
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


def test_racing_creates_over_a_bad_line_have_exactly_one_winner(s3: str, bad_line: None) -> None:
    keys = [f"race/{key}" for key in range(4)]
    barrier = threading.Barrier(2)

    def write(number: int) -> list[bool]:
        store = open_store(s3)
        won = []
        for key in keys:
            barrier.wait(timeout=60)
            won.append(store.create(key, b"%d" % number))
        return won

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(write, range(2)))
    for place, key in enumerate(keys):
        winners = [number for number in range(2) if won[number][place]]
        assert [b"%d" % number for number in winners] == [open_store(s3).get(key)]


def test_attempts_begun_at_once_over_a_bad_line_have_numbers_of_their_own(
    s3: str, bad_line: None, make_plan: Callable[..., Plan]
) -> None:
    run = make_plan(open_store(s3)).run
    barrier = threading.Barrier(2)

    def begin(_: int) -> list[int]:
        mine = Run.open(open_store(s3), run.name)
        numbers = []
        for _ in range(2):
            barrier.wait(timeout=60)
            numbers.append(results.begin(mine, mine.tasks[0]).number)
        return numbers

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(begin, range(2))
    assert sorted(first + second) == [1, 2, 3, 4]


def test_an_outage_is_waited_out_once_and_not_by_every_request(
    s3: str, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "_LEAST_S", 0.0)
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
    proxy.fail_first("500", "500")
    assert store.get("a") is None


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
    store = open_bucket(s3, patience_s=0.8, silence_s=0.3)
    proxy.fault = lambda request, number: fault
    sentence = refusal(lambda: OPERATIONS[operation](store))
    assert re.search(f"^The store {s3} cannot {operation}: {reason}", sentence), sentence
    assert len(proxy.seen) > 1
    proxy.fault = lambda request, number: None
    assert store.list() == []


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("403 RequestTimeTooSkewed", "clock differs .*; set the clock"),
        ("400 ExpiredToken", "token has expired .*; sign in again"),
        ("403 AccessDenied", "do not allow it .*; grant s3:GetObject"),
        ("301 PermanentRedirect", "another region.*; set AWS_REGION"),
        ("400 AuthorizationHeaderMalformed", "another region .*; set AWS_REGION"),
        ("400 SomethingElse", "it answered 400 SomethingElse, said so; check the bucket"),
    ],
)
def test_a_refusal_is_a_sentence_at_once(
    s3: str, proxy: FaultyProxy, operation: str, fault: str, reason: str
) -> None:
    store = open_store(s3)
    proxy.fault = lambda request, number: fault
    sentence = refusal(lambda: OPERATIONS[operation](store))
    assert re.search(f"^The store {s3} cannot {operation}: .*{reason}", sentence), sentence
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "secret key does not belong .*AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODY", "access key is not known .*AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_credentials_are_a_sentence_at_once(
    s3: str,
    proxy: FaultyProxy,
    aws: pytest.MonkeyPatch,
    operation: str,
    variable: str,
    value: str,
    reason: str,
) -> None:
    aws.setenv(variable, value)
    sentence = refusal(lambda: OPERATIONS[operation](open_store(s3)))
    assert re.search(f"^The store {s3} cannot {operation}: .*{reason}", sentence), sentence
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_that_is_not_there_is_a_sentence(s3: str, operation: str) -> None:
    url = "s3://no-such-bucket/run/"
    sentence = refusal(lambda: OPERATIONS[operation](open_store(url)))
    # SeaweedFS tells who may not make buckets that he may not write.
    reason = "(no such bucket .*'s3_bucket_root'|do not allow it)"
    assert re.search(f"^The store {url} cannot {operation}: .*{reason}", sentence), sentence


def test_reading_alone_is_allowed_to_who_may_only_read(s3: str, aws: pytest.MonkeyPatch) -> None:
    open_store(s3).put("run/a", b"x")
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAREADER")
    store = open_store(s3)
    assert store.get("run/a") == b"x"
    assert store.list() == ["run/a"]
    assert store.is_locked("driver-run") is False
    for write in (lambda: store.put("run/a", b"y"), lambda: store.delete(["run/a"])):
        assert "do not allow it" in refusal(write)
    assert store.get("run/a") == b"x"


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:{port}", "it refuses connections"),
        ("http://no.such.host.invalid", "its name is not known"),
    ],
)
def test_an_endpoint_that_is_not_there_is_a_sentence(
    s3: str, aws: pytest.MonkeyPatch, endpoint: str, reason: str
) -> None:
    aws.setenv("AWS_ENDPOINT_URL", endpoint.format(port=free_ports(1)[0]))
    store = open_bucket(s3, patience_s=0.5)
    sentence = refusal(lambda: store.get("run/a"))
    assert re.search(rf"cannot read 'run/a': {reason} for \d+ s; check the network", sentence)


def test_no_credentials_are_a_sentence(aws: pytest.MonkeyPatch) -> None:
    sentence = refusal(lambda: open_store("s3://bench/run/"))
    assert "no AWS credentials for the store s3://bench/run/; set AWS_PROFILE" in sentence


def test_half_credentials_and_an_unknown_profile_are_sentences(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAWRITER")
    assert "cannot be opened: Partial credentials" in refusal(lambda: open_store("s3://bench/run/"))
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.setenv("AWS_PROFILE", "nobody")
    assert "profile (nobody)" in refusal(lambda: open_store("s3://bench/run/"))


def test_credentials_in_a_url_are_refused_and_not_shown(aws: pytest.MonkeyPatch) -> None:
    for url in (f"s3://AKIAWRITER:{SECRET}@bench/run/", f"ftp://AKIAWRITER:{SECRET}@host/run/"):
        refusal(lambda url=url: open_store(url))
    aws.setenv("AWS_ACCESS_KEY_ID", "AKIAWRITER")
    aws.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    aws.setenv("AWS_ENDPOINT_URL", f"http://AKIAWRITER:{SECRET}@host")
    refusal(lambda: open_store("s3://bench/run/"))


def test_a_profile_gives_endpoint_region_and_keys(
    seaweed: Seaweed, aws: pytest.MonkeyPatch, tmp_path: Path, s3: str
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    (tmp_path / "aws-config").write_text(
        "[profile lab]\nregion = eu-west-1\nservices = mine\n"
        f"[services mine]\ns3 =\n  endpoint_url = {seaweed.endpoint}\n"
        f"[profile plain]\nendpoint_url = {seaweed.endpoint}\n"
    )
    keys = f"aws_access_key_id = AKIAWRITER\naws_secret_access_key = {SECRET}\n"
    (tmp_path / "aws-credentials").write_text(f"[lab]\n{keys}[plain]\n{keys}")
    for profile in ("lab", "plain"):
        aws.setenv("AWS_PROFILE", profile)
        open_store(s3).put(profile, b"x")
    assert open_store(s3).list() == ["lab", "plain"]


CREDENTIALS = """#!/bin/sh
if [ -e "$0.used" ] || [ ! "$1" ]; then echo "{secret}" >&2; exit 1; fi
touch "$0.used"
echo '{{"Version": 1, "AccessKeyId": "AKIAWRITER", "SecretAccessKey": "{secret}",
  "Expiration": "'$(date -u -d "+$1 minutes" +%Y-%m-%dT%H:%M:%SZ)'"}}'
"""


@pytest.fixture
def process(s3: str, aws: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Sets a profile whose credentials come from a program, once, for some minutes."""
    script = tmp_path / "credentials"
    script.write_text(CREDENTIALS.format(secret=SECRET))
    script.chmod(0o755)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws.delenv(name)
    aws.setenv("AWS_PROFILE", "made")

    def make(minutes: str) -> None:
        (tmp_path / "aws-config").write_text(
            f"[profile made]\ncredential_process = {script} {minutes}\n"
        )

    return make


def test_credentials_that_a_program_makes_are_used(s3: str, process: Callable[[str], None]) -> None:
    process("60")
    store = open_store(s3)
    store.put("a", b"x")
    assert store.get("a") == b"x"


@pytest.mark.parametrize("minutes", ["", "5"])
def test_credentials_that_cannot_be_had_are_a_sentence(
    s3: str, process: Callable[[str], None], minutes: str
) -> None:
    """At once, or when those of the beginning are to be renewed."""
    process(minutes)
    sentence = refusal(lambda: open_store(s3).get("a"))
    assert "the credentials could not be had; " in sentence
    assert s3 in sentence


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


# The lease of a driver


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that beat ten times a second, and are stale after the store clock's next seconds."""
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    monkeypatch.setattr(lease, "STALE_S", 1.5)


def elsewhere() -> Holder:
    """A holder that cannot be seen from here."""
    return replace(Holder.here(), host="far", pid=77, place="another boot", owner="far's")


def test_a_lease_is_renewed_while_it_is_held(s3: str, fast: None) -> None:
    store = open_store(s3)
    with store.lock("driver-run"):
        first = store.stored(lease.lease_path("driver-run"))
        until(
            lambda: store.stored(lease.lease_path("driver-run")).e_tag != first.e_tag, "a renewal"
        )
        assert store.is_locked("driver-run")
    assert store.stored(lease.lease_path("driver-run")) is None


def test_a_lease_out_of_sight_is_honoured_until_it_is_stale(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(s3)
    store.put(lease.lease_path("driver-run"), elsewhere().to_bytes())
    with pytest.raises(StoreError, match="process 77 on far since 20"), store.lock("driver-run"):
        pass
    monkeypatch.setattr(lease, "STALE_S", 1.5)

    def taken() -> bool:
        try:
            with store.lock("driver-run"):
                return True
        except StoreError:
            return False

    until(taken, "the lease to be stale")
    assert not store.is_locked("driver-run")
    assert store.list() == []


def test_a_lease_that_cannot_be_read_is_taken_over(s3: str) -> None:
    store = open_store(s3)
    store.put(lease.lease_path("driver-run"), b"half a le")
    with store.lock("driver-run"):
        assert store.is_locked("driver-run")


def test_who_lost_his_lease_is_told_and_writes_no_more(s3: str, fast: None) -> None:
    store, told = open_store(s3), threading.Event()
    usurper = elsewhere().to_bytes()
    with (
        pytest.raises(StoreError, match="taken from this process, by process 77 on far"),
        store.lock("driver-run", told.set),
    ):
        open_store(s3).put(lease.lease_path("driver-run"), usurper)
        assert told.wait(60)
        for action in OPERATIONS.values():
            assert "'run'" in refusal(lambda action=action: action(store))
    assert open_store(s3).get(lease.lease_path("driver-run")) == usurper


def test_a_lease_survives_lost_replies_and_an_outage(
    s3: str, proxy: FaultyProxy, fast: None
) -> None:
    store = open_store(s3)
    proxy.fail_first("lost", "503 SlowDown", "lost")
    with store.lock("driver-run"):
        for fault in ("lost", "503 SlowDown"):
            failing = len(proxy.seen) + 6
            proxy.fault = lambda request, number, f=fault, n=failing: f if number < n else None
            until(lambda n=failing: len(proxy.seen) > n + 3, "the beats to go on")
        assert store.is_locked("driver-run")
        store.put("a", b"x")


def test_a_renewal_that_came_through_unheard_is_found_again(
    s3: str, proxy: FaultyProxy, fast: None
) -> None:
    """The write is done and its reply lost, and then nothing answers until the beat gives up."""
    store, wrote = open_store(s3), threading.Event()
    path = lease.lease_path("driver-run").removeprefix(".locks/")

    def fault(request: str, number: int) -> str | None:
        if request.startswith("PUT") and path in request and not wrote.is_set():
            wrote.set()
            return "lost"
        return "500" if wrote.is_set() else None

    with store.lock("driver-run"):
        proxy.fault = fault
        assert wrote.wait(60)
        asked = len(proxy.seen)
        until(lambda: len(proxy.seen) > asked + 6, "beats that fail")
        proxy.fault = lambda request, number: None
        first = open_store(s3).stored(lease.lease_path("driver-run"))
        until(
            lambda: open_store(s3).stored(lease.lease_path("driver-run")) != first, "a new renewal"
        )
        store.put("a", b"x")


def test_a_driver_stops_when_its_lease_is_taken(s3: str) -> None:
    from benchmark.runs.execute import driving

    script = (
        "import sys, threading\nfrom benchmark.errors import StoreError\n"
        "from benchmark.runs.execute import driving\n"
        "from benchmark.store import lease, open_store\n"
        "lease.RENEW_S = 0.1\n"
        "try:\n    with driving(open_store(sys.argv[1]), 'run'):\n"
        "        print('driving', flush=True)\n        threading.Event().wait()\n"
        "except StoreError as error:\n    print(error)\n"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", script, s3], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "driving\n"
    store = open_store(s3)
    with (
        pytest.raises(StoreError, match=f"process {driver.pid} on"),
        driving(store, "run"),
    ):
        pass
    store.put(lease.lease_path("driver-run"), elsewhere().to_bytes())
    out, _ = driver.communicate(timeout=60)
    assert out.startswith("The lock on 'run' in ")


# Folders


LIMITED = """
import resource, sys
from benchmark.errors import StoreError
from benchmark.store import open_store
store = open_store(sys.argv[1])
store.put("old", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for write in (store.put, store.create):
    for path in ("old", "new"):
        try:
            print(write(path, b"x" * 1_000_000))
        except StoreError as error:
            print(error)
print(store.list(), store.get("old"), store.create("small", b"s"))
"""
UNPRIVILEGED = """
import ctypes, sys
from benchmark.errors import StoreError
from benchmark.store import open_store
store = open_store(sys.argv[1])
ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
for action in (
    lambda: store.get("run/a"),
    lambda: store.list(),
    lambda: store.put("run/a", b"y"),
    lambda: store.create("run/b", b"y"),
    lambda: store.delete(["run/a"]),
    lambda: store.get("secret"),
):
    try:
        print(action())
    except StoreError as error:
        print(error)
"""


def lines_of(script: str, place: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(place)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_write_that_does_not_fit_is_a_sentence(tmp_path: Path) -> None:
    place = tmp_path / "store"
    lines = lines_of(LIMITED, place)
    for line, path in zip((lines[0], lines[1], lines[3]), ("old", "new", "new"), strict=True):
        assert line == (
            f"The store {place} cannot write '{path}': File too large; raise the limit on the "
            "size of files (ulimit -f)."
        )
    assert lines[2] == "False"
    assert lines[4] == "['old'] b'old' True"
    assert list((place / ".staging").iterdir()) == []


def test_a_folder_that_may_only_be_read_is_a_sentence(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("run/a", b"x")
    store.put("secret", b"x")
    folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
    (store.root / "secret").chmod(0)
    for folder in folders:
        folder.chmod(0o555)
    try:
        lines = lines_of(UNPRIVILEGED, store.root)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert lines[:2] == ["b'x'", "['run/a', 'secret']"]
    denied = "Permission denied; make it writable and readable for this user."
    assert lines[2:] == [
        f"The store {store.url} cannot {verb}: {denied}"
        for verb in ("write 'run/a'", "write 'run/b'", "delete 'run/a'", "read 'secret'")
    ]
    assert store.get("run/a") == b"x"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_folder_that_has_gone_is_a_sentence_and_not_an_empty_store(
    tmp_path: Path, operation: str
) -> None:
    place = tmp_path / "store"
    store = open_store(str(place))
    store.put("run/a", b"x")
    place.rename(tmp_path / "away")
    sentence = refusal(lambda: OPERATIONS[operation](store))
    assert sentence == (
        f"The store {place} cannot {operation}: the folder has gone; mount it or put it back."
    )
    assert not place.exists()
    (tmp_path / "away").rename(place)
    assert store.get("run/a") == b"x"


def test_a_link_whose_reply_was_lost_is_known_as_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the client of a file server has it that asks again: made, and refused."""
    store, link = open_store(str(tmp_path)), os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert store.create("a", b"mine") is True
    assert store.create("a", b"mine") is False
