"""One contract for every store, and what a folder promises beyond it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmark.errors import StoreError
from benchmark.store import Store, open_store
from benchmark.store.bucket import BucketStore

ROOT = Path(__file__).parents[1]
KINDS = ("folder", "memory", "s3")


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store of each kind."""
    if request.param == "s3":
        return str(request.getfixturevalue("s3"))
    return {"folder": str(tmp_path / "store"), "memory": "memory://"}[request.param]


@pytest.fixture(params=("folder", "s3"))
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new store of each kind that several processes can share."""
    return str(request.getfixturevalue("s3") if request.param == "s3" else tmp_path / "store")


@pytest.fixture
def store(url: str) -> Store:
    return open_store(url)


def test_what_was_put_is_got(store: Store) -> None:
    store.put("run/out/a.json", b"one\x00\xff")
    assert store.get("run/out/a.json") == b"one\x00\xff"


def test_put_replaces(store: Store) -> None:
    store.put("a", b"a long first value")
    store.put("a", b"short")
    assert store.get("a") == b"short"


def test_an_empty_object_is_not_a_missing_one(store: Store) -> None:
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert store.create("empty", b"x") is False


def test_a_large_object_comes_back_whole(store: Store) -> None:
    data = bytes(range(256)) * 40_000
    store.put("large", data)
    assert store.get("large") == data


def test_get_of_nothing_is_none(store: Store) -> None:
    assert store.get("nothing") is None
    assert store.get("no/thing/here") is None


def test_create_makes_once_and_keeps_the_first(store: Store) -> None:
    assert store.create("a/b", b"first") is True
    assert store.create("a/b", b"second") is False
    assert store.get("a/b") == b"first"


def test_create_after_delete_makes_anew(store: Store) -> None:
    store.create("a", b"first")
    store.delete(["a"])
    assert store.create("a", b"second") is True
    assert store.get("a") == b"second"


def test_delete_removes_just_these_and_forgives_what_is_not_there(store: Store) -> None:
    for name in ("a", "b", "c"):
        store.put(name, b"")
    store.delete(["nothing", "a", "no/thing", "b"])
    assert store.list() == ["c"]


def test_get_many_answers_in_the_order_asked(store: Store) -> None:
    names = [f"many/{number}" for number in range(100)]
    for name in names:
        store.put(name, name.encode())
    asked = [*reversed(names), "many/nothing", names[0]]
    expected = [(name, None if name == "many/nothing" else name.encode()) for name in asked]
    assert list(store.get_many(iter(asked))) == expected


def test_list_takes_whole_segments_and_sorts(store: Store) -> None:
    for path in ("a/bc/x", "a/b/z", "a/b/c/y", "a/b/a", "a/b.json", "b/b/x"):
        store.put(path, b"")
    assert store.list("a/b") == ["a/b/a", "a/b/c/y", "a/b/z"]
    assert store.list("a/b/") == ["a/b/a", "a/b/c/y", "a/b/z"]
    assert store.list() == sorted(["a/bc/x", "a/b/z", "a/b/c/y", "a/b/a", "a/b.json", "b/b/x"])
    assert store.list("nowhere/at/all") == []


def test_list_takes_more_than_one_page(store: Store) -> None:
    names = [f"page/{number:04d}" for number in range(1200)]
    store.delete(["page"])
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put(name, b""), names))
    assert store.list("page") == names


@pytest.mark.parametrize(
    "path",
    ["a b", "a%2Fb", "h2o@3.44", "ünïcode/雪", "a~b", "a#b?c", "100%", "x" * 150, "a&b<c>'d'"],
)
def test_names_come_back_as_they_were_given(store: Store, path: str) -> None:
    assert store.create(path, b"1") is True
    assert store.list() == [path]
    assert store.get(path) == b"1"
    store.delete([path])
    assert store.get(path) is None


def test_creating_at_once_has_exactly_one_winner(store: Store) -> None:
    # SeaweedFS makes those who meet at a key wait for seconds.
    writers, count = (4, 6) if store.url.startswith("s3:") else (16, 30)
    keys = [f"race/{key}" for key in range(count)]
    barrier = threading.Barrier(writers)

    def write(number: int) -> list[bool]:
        won = []
        for key in keys:
            barrier.wait(timeout=60)
            won.append(store.create(key, b"%d" % number))
        return won

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(write, range(writers)))
    for place, key in enumerate(keys):
        winners = [number for number in range(writers) if won[number][place]]
        assert len(winners) == 1, key
        assert store.get(key) == b"%d" % winners[0]


RACER = """
import sys
from benchmark.store import open_store
url, number = sys.argv[1:]
store = open_store(url)
store.get("warm")
print("ready", flush=True)
for line in sys.stdin:
    print(int(store.create(line.strip(), number.encode())), flush=True)
"""


def test_processes_creating_at_once_have_exactly_one_winner(shared_url: str) -> None:
    racers = [start(RACER, shared_url, str(number)) for number in range(3)]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for key in range(6):
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(f"race/{key}\n")
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.flush()
            won = [racer.stdout.readline() for racer in racers if racer.stdout]
            assert sorted(won) == ["0\n", "0\n", "1\n"]
            assert open_store(shared_url).get(f"race/{key}") == b"%d" % won.index("1\n")
    finally:
        for racer in racers:
            kill(racer)


def test_delete_takes_more_than_one_request_holds(store: Store) -> None:
    names = [f"mass/{number:04d}" for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: store.put(name, b""), names))
    store.delete(name for name in ["mass/nothing", *names[1:]])
    assert store.list("mass") == names[:1]


def test_get_many_reads_no_further_ahead_than_a_window(store: Store) -> None:
    store.put("one", b"1")
    asked = 0

    def paths() -> Iterator[str]:
        nonlocal asked
        for asked in range(1, 10_001):  # noqa: B007
            yield "one"

    answers = store.get_many(paths())
    assert [next(answers) for _ in range(3)] == [("one", b"1")] * 3
    assert asked < 100
    answers.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["s3"], indirect=True)
def test_replace_writes_over_just_the_state_that_was_read(store: Store) -> None:
    assert isinstance(store, BucketStore)
    store.put("a", b"1")
    first = store.stored("a")
    assert first is not None
    second = store.replace("a", b"2", first.e_tag)
    assert second is not None
    assert store.replace("a", b"3", first.e_tag) is None
    assert store.get("a") == b"2"
    assert store.replace("a", b"4", second) is not None
    store.delete(["a"])
    assert store.replace("a", b"5", second) is None
    assert store.get("a") is None


def test_a_url_of_no_store_is_refused() -> None:
    with pytest.raises(StoreError, match="ftp://host/folder"):
        open_store("ftp://host/folder")


@pytest.mark.parametrize("path", ["../out", "a/../../out", "/etc/out", "a//b", "a/./b", "", "a/"])
def test_a_folder_refuses_to_write_paths_that_climb_out(tmp_path: Path, path: str) -> None:
    store = open_store(str(tmp_path / "store"))
    for write in (store.put, store.create):
        with pytest.raises(StoreError):
            write(path, b"x")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/../secret"])
def test_a_folder_reads_and_deletes_nothing_outside(tmp_path: Path, path: str) -> None:
    store = open_store(str(tmp_path / "store"))
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    for use in (lambda: store.get(path), lambda: store.delete([path])):
        with contextlib.suppress(StoreError):
            assert use() != b"secret"
    assert secret.read_bytes() == b"secret"


def test_two_folders_see_the_same_objects(tmp_path: Path) -> None:
    one, other = open_store(str(tmp_path / "s")), open_store(f"file://{tmp_path}/s")
    one.put("a/b", b"x")
    assert other.get("a/b") == b"x"
    assert other.create("a/b", b"y") is False


def test_locks_and_staging_are_not_listed(store: Store) -> None:
    with store.lock("driver-x"):
        store.put("a", b"")
        assert store.list() == ["a"]


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be made.*s3_bucket_root"):
        open_store(str(tmp_path / "store"))


def test_a_file_in_place_of_a_folder_below_is_a_sentence(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("run", b"in the way")
    for write in (store.put, store.create):
        with pytest.raises(StoreError, match="cannot write 'run/out/a'"):
            write("run/out/a", b"x")


WRITER = """
import sys
from benchmark.store import open_store
store = open_store(sys.argv[1])
print("begun", flush=True)
number = 0
while True:
    number += 1
    store.put("o/replaced", b"%08d" % number * 50_000)
    store.create(f"o/{number}", b"%08d" % number * 50_000)
    if number == 3:
        print("writing", flush=True)
"""
HOLDER = """
import sys
from benchmark.store import open_store
with open_store(sys.argv[1]).lock("driver-mine"):
    print("held", flush=True)
    sys.stdin.read()
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_killed_writer_leaves_no_half_object(tmp_path: Path) -> None:
    for _ in range(5):
        writer = start(WRITER, str(tmp_path / "store"))
        assert writer.stdout is not None
        assert [writer.stdout.readline(), writer.stdout.readline()] == ["begun\n", "writing\n"]
        kill(writer)
        store = open_store(str(tmp_path / "store"))
        paths = store.list()
        assert len(paths) >= 4
        assert all(path.startswith("o/") for path in paths)
        for path, data in store.get_many(paths):
            assert data is not None
            assert len(data) == 400_000, path
            assert data == data[:8] * 50_000, path
        store.delete(paths)


def test_the_staging_of_a_killed_writer_goes_when_it_is_old(tmp_path: Path) -> None:
    open_store(str(tmp_path))
    old, new = tmp_path / ".staging" / "1-old", tmp_path / ".staging" / "2-new"
    for staged in (old, new):
        staged.write_bytes(b"half")
    os.utime(old, (1, 1))
    open_store(str(tmp_path))
    assert not old.exists()
    assert new.exists()


@pytest.fixture
def holder(shared_url: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock `driver-mine` of the shared store."""
    process = start(HOLDER, shared_url)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    kill(process)


def test_a_held_lock_is_a_sentence_that_says_who(
    shared_url: str, holder: subprocess.Popen[str]
) -> None:
    store = open_store(shared_url)
    who = rf"drives 'mine' in .*: process {holder.pid} on {re.escape(platform.node())} since 20"
    with pytest.raises(StoreError, match=who), store.lock("driver-mine"):
        pass
    assert store.is_locked("driver-mine")
    assert not store.is_locked("driver-other")
    with store.lock("driver-other"):
        assert store.is_locked("driver-other")


def test_the_lock_goes_with_a_killed_process(
    shared_url: str, holder: subprocess.Popen[str]
) -> None:
    kill(holder)
    store = open_store(shared_url)
    assert not store.is_locked("driver-mine")
    with store.lock("driver-mine"):
        assert store.is_locked("driver-mine")
    assert not store.is_locked("driver-mine")


def test_the_lock_goes_with_an_exception(store: Store) -> None:
    with pytest.raises(ValueError, match="oops"), store.lock("driver-mine"):
        raise ValueError("oops")
    assert not store.is_locked("driver-mine")


def test_a_lock_is_refused_to_its_own_process_as_well(store: Store) -> None:
    with (
        store.lock("driver-mine"),
        pytest.raises(StoreError, match="drives 'mine'"),
        store.lock("driver-mine"),
    ):
        pass
    with store.lock("driver-mine"):
        pass


def test_taking_a_lock_at_once_has_exactly_one_winner(url: str) -> None:
    takers = 4
    barrier, done = threading.Barrier(takers), threading.Barrier(takers)
    first = open_store(url)

    def take(number: int) -> bool:
        store = first if url.startswith("memory") else open_store(url)
        barrier.wait(timeout=60)
        try:
            with store.lock("driver-mine"):
                done.wait(timeout=60)
                return True
        except StoreError:
            done.wait(timeout=60)
            return False

    with ThreadPoolExecutor(takers) as pool:
        assert sum(pool.map(take, range(takers))) == 1
    assert not first.is_locked("driver-mine")


def test_asking_for_a_lock_does_not_keep_others_from_it(shared_url: str) -> None:
    store, asking = open_store(shared_url), threading.Event()

    def ask() -> None:
        while not asking.is_set():
            store.is_locked("driver-mine")

    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        try:
            for _ in range(20):
                with open_store(shared_url).lock("driver-mine"):
                    pass
        finally:
            asking.set()
        asked.result()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_sentence_and_keeps_what_was_there(tiny: Path) -> None:
    store = open_store(str(tiny))
    store.put("old", b"old")
    for write in (store.put, store.create):
        with pytest.raises(StoreError, match="cannot write 'new': No space left on device"):
            write("new", b"x" * 1_000_000)
    with pytest.raises(StoreError):
        store.put("old", b"x" * 1_000_000)
    assert store.get("old") == b"old"
    assert store.list() == ["old"]
    assert list((tiny / ".staging").iterdir()) == []
    assert store.create("new", b"small") is True
