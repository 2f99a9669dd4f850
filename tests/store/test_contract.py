"""One contract for every store."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.errors import StoreError
from benchmark.store import Store, open_store
from benchmark.store.bucket import BucketStore
from tests.support.writers import kill, start


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
            barrier.wait(timeout=300)
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


def test_locks_and_staging_are_not_listed(store: Store) -> None:
    with store.lock("driver-x"):
        store.put("a", b"")
        assert store.list() == ["a"]
