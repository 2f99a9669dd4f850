"""What a folder promises beyond the contract of stores."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmark.errors import StoreError
from benchmark.store import open_store
from benchmark.store.objects import STAGING
from tests.support.writers import kill, start

WRITER = """
import sys
from benchmark.store.objects import STAGING
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


def test_a_file_in_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be created.*s3_bucket_root"):
        open_store(str(tmp_path / "store"))


def test_a_file_in_place_of_a_folder_below_is_a_sentence(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("run", b"in the way")
    for write in (store.put, store.create):
        with pytest.raises(StoreError, match="cannot write 'run/out/a'"):
            write("run/out/a", b"x")


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


def test_nothing_is_deleted_through_a_link(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    home = tmp_path / "home"
    (home / "inner").mkdir(parents=True)
    for file in ("letter", "inner/letter"):
        (home / file).touch()
    (tmp_path / "store" / "runs").symlink_to(home)
    store.put("real/a", b"")
    for path in ("runs/letter", "runs/inner/letter"):
        with pytest.raises(StoreError, match="links are not followed"):
            store.delete(["real/a", path])
    assert sorted(path.name for path in home.rglob("*")) == ["inner", "letter", "letter"]
    assert store.get("real/a") is None


@pytest.mark.parametrize("planted", ["the folder", "a file", "another name"])
def test_the_sweep_of_the_staging_folder_follows_no_link(tmp_path: Path, planted: str) -> None:
    root, home = tmp_path / "store", tmp_path / "home"
    home.mkdir()
    letter = home / f"1-{'0' * 16}"
    letter.touch()
    os.utime(letter, (0, 0))
    if planted == "the folder":
        root.mkdir()
        (root / STAGING).symlink_to(home)
        with pytest.raises(StoreError, match="links are not followed"):
            open_store(str(root))
    else:
        (root / STAGING).mkdir(parents=True)
        name = letter.name if planted == "a file" else "letter"
        place = root / STAGING / name
        place.symlink_to(letter)
        open_store(str(root))
        assert place.is_symlink()
    assert letter.exists()


@pytest.mark.parametrize("kind", ["pipe", "loop", "socket", "device"])
def test_what_is_no_file_counts_as_absent_and_is_named_once(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(str(tmp_path / "store"))
    store.put("r/out/a.json", b"1")
    odd = tmp_path / "store/r/out/b.json"
    with contextlib.ExitStack() as held:
        if kind == "pipe":
            os.mkfifo(odd)
        elif kind == "loop":
            odd.symlink_to(odd)
        elif kind == "device":
            odd.symlink_to("/dev/zero")
        else:
            listening = held.enter_context(socket.socket(socket.AF_UNIX))
            held.enter_context(contextlib.chdir(odd.parent))  # Its name may not be long.
            listening.bind(odd.name)
        assert store.list("r") == ["r/out/a.json", "r/out/b.json"]
        for _ in range(2):
            assert dict(store.get_many(store.list("r"))) == {
                "r/out/a.json": b"1",
                "r/out/b.json": None,
            }
    assert [("r/out/b.json" in line) for line in caplog.messages] == [True]
    store.put("r/out/b.json", b"2")
    assert store.get("r/out/b.json") == b"2"


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_lock_is_taken_on_a_regular_file_only(tmp_path: Path, kind: str) -> None:
    store, other = open_store(str(tmp_path / "store")), tmp_path / "other"
    other.write_text("mine")
    place = tmp_path / "store/.locks/run"
    place.parent.mkdir(exist_ok=True)
    os.mkfifo(place) if kind == "pipe" else place.symlink_to(other)
    with pytest.raises(StoreError, match="run"):
        store.is_locked("run")
    with pytest.raises(StoreError, match="run"), store.lock("run"):
        pass
    assert other.read_text() == "mine"
