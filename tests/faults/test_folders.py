"""A folder that is full, read-only or gone: one sentence, and what was there stays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.store import open_store
from tests.support.storage import OPERATIONS, refusal

ROOT = Path(__file__).parents[2]


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
        f"The store {place} cannot {operation}: the folder no longer exists; mount it or put it "
        "back."
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
