"""The lease of a driver in a bucket: renewed, honoured, taken over when stale, its loss noticed."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from benchmark.errors import StoreError
from benchmark.store import lease, open_store
from benchmark.store.holder import Holder
from prove.proxy import FaultyProxy
from tests.support.storage import OPERATIONS, refusal, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that beat ten times a second."""
    monkeypatch.setattr(lease, "RENEW_S", 0.1)


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
        assert told.wait(300)
        for action in OPERATIONS.values():
            assert "'run'" in refusal(lambda action=action: action(store))
    assert open_store(s3).get(lease.lease_path("driver-run")) == usurper


@pytest.mark.slow
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


@pytest.mark.slow
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
        assert wrote.wait(300)
        asked = len(proxy.seen)
        until(lambda: len(proxy.seen) > asked + 6, "beats that fail")
        proxy.fault = lambda request, number: None
        first = open_store(s3).stored(lease.lease_path("driver-run"))
        until(
            lambda: open_store(s3).stored(lease.lease_path("driver-run")) != first, "a new renewal"
        )
        store.put("a", b"x")


def test_a_driver_stops_when_its_lease_is_taken(s3: str) -> None:
    from benchmark.compute.driving import driving

    script = (
        "import sys, time\nfrom benchmark.errors import StoreError\n"
        "from benchmark.compute.driving import driving\n"
        "from benchmark.store import lease, open_store\n"
        "lease.RENEW_S = 0.1\n"
        "try:\n    with driving(open_store(sys.argv[1]), 'run'):\n"
        "        print('driving', flush=True)\n"
        # Not one wait: a signal that comes just before it would be handled after it.
        "        while True:\n            time.sleep(0.1)\n"
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
    out, _ = driver.communicate(timeout=300)
    assert out.startswith("The lock on 'run' in ")


def test_a_writer_that_slept_past_its_lease_renews_it_before_it_writes(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a suspended machine or SIGSTOP: between waking and the next beat of its lease."""
    monkeypatch.setattr(lease, "RENEW_S", 50.0)
    store, awake_s = open_store(s3), lease._clock_s()
    with (
        pytest.raises(StoreError, match="taken from this process, by process 77 on far"),
        store.lock("driver-run"),
    ):
        first = store.stored(lease.lease_path("driver-run"))
        monkeypatch.setattr(lease, "_clock_s", lambda: awake_s + 70)
        store.put("a", b"x")
        assert store.stored(lease.lease_path("driver-run")).e_tag != first.e_tag
        open_store(s3).put(lease.lease_path("driver-run"), elsewhere().to_bytes())
        monkeypatch.setattr(lease, "_clock_s", lambda: awake_s + 140)
        for action in (lambda: store.put("a", b"y"), lambda: store.create("b", b"y")):
            refusal(action)
        refusal(lambda: store.delete(["a"]))
    assert open_store(s3).get("a") == b"x"


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_a_lease_is_judged_by_the_stores_clock(
    s3: str, monkeypatch: pytest.MonkeyPatch, off_s: float
) -> None:
    store = open_store(s3)
    store.put(lease.lease_path("driver-run"), elsewhere().to_bytes())
    now = lease.time.time
    monkeypatch.setattr(lease.time, "time", lambda: now() + off_s)
    assert store.is_locked("driver-run")
    monkeypatch.setattr(lease, "STALE_S", -1)
    assert not store.is_locked("driver-run")
