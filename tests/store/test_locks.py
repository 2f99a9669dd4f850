"""Locks: one holder, gone with its process."""

from __future__ import annotations

import platform
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.errors import StoreError
from benchmark.store import Store, open_store
from tests.support.writers import kill, start

HOLDER = """
import sys
from benchmark.store import open_store
with open_store(sys.argv[1]).lock("driver-mine"):
    print("held", flush=True)
    sys.stdin.read()
"""


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
        barrier.wait(timeout=300)
        try:
            with store.lock("driver-mine"):
                done.wait(timeout=300)
                return True
        except StoreError:
            done.wait(timeout=300)
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
