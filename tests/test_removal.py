"""Removing a folder: no link is followed, no depth or mode stops it, what stays is named."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.files.removal import clear, remove_tree

ROOT = Path(__file__).parents[1]
DEPTH = 1500


def deep(folder: Path) -> None:
    """A chain of folders deeper than Python's stack and a path's longest form."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)


def closed(folder: Path) -> None:
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").touch()
    inner.chmod(0)
    (folder / "a").chmod(0o100)


def special(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    (folder / "name\n\x1b[2J").touch()
    os.open(os.fsencode(folder) + b"/\xff\xfe", os.O_CREAT)
    (folder / "loop").symlink_to("loop")


@pytest.mark.parametrize("fill", [deep, closed, special])
def test_whatever_lies_in_it_goes(tmp_path: Path, fill: Callable[[Path], None]) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fill(folder)
    assert remove_tree(folder) is None
    assert not folder.exists()


def test_links_below_are_removed_and_not_followed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "documents").mkdir(parents=True)
    (home / "documents" / "letter").write_text("dear")
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "link").symlink_to(home)
    (folder / "inner" / "again").symlink_to(home / "documents")
    (folder / "inner" / "hard").hardlink_to(home / "documents" / "letter")
    assert remove_tree(folder) is None
    assert not folder.exists()
    assert (home / "documents" / "letter").read_text() == "dear"


@pytest.mark.parametrize("kind", ["link", "file", "broken link"])
def test_what_is_no_folder_stays(tmp_path: Path, kind: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter").touch()
    place = tmp_path / "place"
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(home if kind == "link" else tmp_path / "nowhere")
    why = remove_tree(place)
    assert why == f"{place}: it is {'not a folder' if kind == 'file' else 'a link'}"
    assert (home / "letter").exists()
    assert os.path.lexists(place)
    with pytest.raises(OSError, match="it is"):
        clear(place)


def test_what_is_not_there_is_gone(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "absent") is None
    assert remove_tree(tmp_path / "absent" / "below") is None
    clear(tmp_path / "absent")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_stays(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    os.chown(folder, 65534, 65534)
    assert remove_tree(folder) == f"{folder}: it belongs to another user (65534)"
    assert (folder / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount here")
def test_a_mount_below_is_not_entered(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    (folder / "mounted").mkdir(parents=True)
    home.mkdir()
    (home / "letter").touch()
    done = subprocess.run(["mount", "--bind", home, folder / "mounted"], check=False)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        assert remove_tree(folder) == f"{folder}/mounted: it is a mount point"
        assert (home / "letter").exists()
    finally:
        subprocess.run(["umount", folder / "mounted"], check=True)
    assert remove_tree(folder) is None


_names = st.text(st.characters(blacklist_characters="/\x00", codec="utf-8"), min_size=1, max_size=8)
_trees = st.recursive(
    st.sampled_from(["file", "link", "fifo"]),
    lambda inner: st.dictionaries(
        _names.filter(lambda name: name not in (".", "..")), inner, max_size=4
    ),
    max_leaves=12,
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abc"), _trees), st.sampled_from([0o700, 0o500, 0o300, 0]))
def test_any_tree_goes_and_nothing_else(tree: dict[str, object], mode: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place, "kept")
        kept.mkdir()
        (kept / "file").touch()
        folder = Path(place, "tree")
        _make(folder, tree, kept, mode)
        assert remove_tree(folder) is None
        assert list(Path(place).iterdir()) == [kept]
        assert list(kept.iterdir()) == [kept / "file"]


def _make(path: Path, tree: object, kept: Path, mode: int) -> None:
    if isinstance(tree, dict):
        path.mkdir()
        for name, inner in tree.items():
            with contextlib.suppress(FileExistsError):  # names that a file system takes for one
                _make(path / name, inner, kept, mode)
        path.chmod(mode)
    elif tree == "link":
        path.symlink_to(kept)
    elif tree == "fifo":
        os.mkfifo(path)
    else:
        path.touch()


def test_trees_are_removed_in_one_way_only() -> None:
    """Python's own follows mounts and, before 3.13, fails on a deep tree."""
    files = [
        file
        for part in ("benchmark", "prove", "perf", "tests")
        for file in (ROOT / part).rglob("*.py")
    ]
    calls = re.compile(r"shutil\.rmtree|removedirs\(")
    found = [file for file in files if calls.search(file.read_text(encoding="utf-8"))]
    assert found == []
