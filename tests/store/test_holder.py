"""Whether the holder of a lock is alive, dead, or cannot be seen."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest

from benchmark.store import holder
from benchmark.store.holder import Holder, Life, process_life


def ended() -> int:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_what_can_be_seen() -> None:
    here = Holder.here()
    assert here.life is Life.ALIVE
    assert replace(here, started="1").life is Life.DEAD  # the number is another process's now
    assert replace(here, pid=ended()).life is Life.DEAD


@pytest.mark.parametrize("place", ["", "another boot pid:[1]"])
def test_another_boot_or_container_is_unknown(place: str) -> None:
    one = replace(Holder.here(), pid=ended(), place=place)
    assert (one.life, one.is_dead) == (Life.UNKNOWN, False)


def test_hidden_processes_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with the mount option hidepid, which hides other users' processes."""
    monkeypatch.setattr(holder, "_started", lambda pid: None)
    assert process_life(os.getpid(), "1") is Life.UNKNOWN

    def refuse(pid: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert process_life(1, "1") is Life.UNKNOWN
