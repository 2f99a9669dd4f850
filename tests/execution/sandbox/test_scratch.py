"""The scratch root is this user's own folder, and its sweep follows nothing that is planted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.errors import SetupError
from benchmark.execution.sandbox import scratch
from benchmark.execution.sandbox.scratch import LOCK, Scratch, discard, left_behind, lock_of, sweep


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scratch root will be; nothing is there yet."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp" / f"automl-benchmark-{os.getuid()}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that nobody may lose: files, folders such as ours, a lock that nobody holds."""
    home = tmp_path / "home"
    for name in ("documents", "abcdefgh", "data-2ac5"):
        (home / name).mkdir(parents=True)
        (home / name / "letter").write_text("dear")
    (home / "letter").write_text("dear")
    (home / LOCK).touch()
    home.chmod(0o700)
    return home


def content(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def refused(match: str) -> None:
    for use in (scratch.scratch_root, Scratch, left_behind):
        with pytest.raises(SetupError, match=match):
            use()


def test_a_link_as_the_root_is_refused_and_not_followed(root: Path, home: Path) -> None:
    before = content(home)
    root.symlink_to(home)
    assert sweep() == 0
    discard(root / "abcdefgh")
    refused("is a link; remove it")
    assert content(home) == before
    assert root.is_symlink()


def test_what_others_can_write_to_is_refused(root: Path) -> None:
    root.mkdir(mode=0o700)
    (root / "abcdefgh").mkdir()
    root.chmod(0o770)
    assert sweep() == 0
    refused(r"is open to other users \(mode 770\)")
    assert (root / "abcdefgh").exists()


def test_a_file_in_its_place_is_refused(root: Path) -> None:
    root.touch()
    assert sweep() == 0
    refused("is not a folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(root: Path) -> None:
    root.mkdir(mode=0o700)
    (root / "abcdefgh").mkdir()
    os.chown(root, 65534, 65534)
    assert sweep() == 0
    refused(r"belongs to another user \(65534\)")
    assert (root / "abcdefgh").exists()


def test_a_link_as_tmpdir_is_the_users_choice(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(root.parent)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "link"))
    with Scratch() as made:
        assert made.folder.parent == root
        (tmp_path / "link").unlink()  # it has been resolved once
    assert list(root.parent.iterdir()) == []


def link(place: Path, home: Path) -> None:
    place.symlink_to(home)


def lock_that_is_a_link(place: Path, home: Path) -> None:
    place.mkdir()
    (place / LOCK).symlink_to(home / "made by the sweep")


def lock_that_is_a_pipe(place: Path, home: Path) -> None:
    place.mkdir()
    os.mkfifo(place / LOCK)


@pytest.mark.parametrize("plant", [link, lock_that_is_a_link, lock_that_is_a_pipe])
def test_a_sweep_leaves_what_is_planted(
    root: Path, home: Path, plant: Callable[[Path, Path], None]
) -> None:
    before = content(home)
    root.mkdir(mode=0o700)
    plant(root / "abcdefgh", home)
    plant(root / "data-2ac5", home)
    assert sweep() == 0
    assert content(home) == before
    assert len(left_behind()) == 2


def test_links_in_a_dead_runners_folder_are_not_followed(root: Path, home: Path) -> None:
    before = content(home)
    dead = root / "abcdefgh"
    dead.mkdir(parents=True)
    root.chmod(0o700)
    for name in ("work", "groups", "mark"):
        (dead / name).symlink_to(home)
    assert sweep() == 1
    assert content(home) == before
    assert not root.exists()


@pytest.mark.parametrize(
    "note",
    [
        '{"memory": "HOME/documents"}',
        '{"unified": "HOME/automl-abcdefgh-1"}',
        '{"memory": 7}',
        "[" * 100_000,
        '{"cpuset": "/sys/fs/cgroup"}',
        "\0" * (1 << 20),
    ],
    ids=["documents", "a name of ours", "a number", "brackets", "no memory", "a large one"],
)
def test_a_note_of_groups_is_not_believed(root: Path, home: Path, note: str) -> None:
    (home / "automl-abcdefgh-1").mkdir()
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        for name in ("documents", "automl-abcdefgh-1"):
            (home / name / "cgroup.procs").write_text(f"{sleeper.pid}\n")
        before = content(home)
        dead = root / "abcdefgh"
        dead.mkdir(parents=True)
        root.chmod(0o700)
        (dead / "groups").write_text(note.replace("HOME", str(home)))
        assert sweep() == 1
        assert content(home) == before
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


def test_the_runners_notes_are_not_written_through_links(root: Path, home: Path) -> None:
    with Scratch() as made:
        (made.folder / "mark").symlink_to(home / "letter")
        with pytest.raises(OSError, match="mark"):
            made.mark()
    assert (home / "letter").read_text() == "dear"
    assert not root.exists()


def test_what_is_no_folder_of_ours_is_named_and_stays(root: Path) -> None:
    root.mkdir(mode=0o700)
    for name in ("notes.txt", "my\x1b[2Jfolder"):
        (root / name).mkdir()
    (root / "abcdefgh").write_text("a file")
    with Scratch():
        assert sweep() == 0
        assert [line.rpartition(": ")[2] for line in left_behind()] == [
            "it is not a folder of ours"
        ] * 3
        assert "\x1b" not in "".join(left_behind())


def test_what_cannot_be_removed_is_named_and_stops_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir(mode=0o700)
    for name in ("abcdefgh", "ijklmnop"):
        (root / name).mkdir()
    monkeypatch.setattr(
        scratch, "remove_tree", lambda folder: f"{folder}/x: Operation not permitted"
    )
    assert sweep() == 0
    assert left_behind() == [
        f"{root}/{n}/x: Operation not permitted" for n in ("abcdefgh", "ijklmnop")
    ]


def test_a_work_folder_is_new_whatever_lies_in_the_place_of_the_last(
    root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(home)
    with Scratch() as made:
        first = made.work_folder("work")
        (first / "file").touch()
        again = made.work_folder("work")
        assert (again, list(again.iterdir())) == (first, [])
        again.rmdir()
        again.symlink_to(home)
        third = made.work_folder("work")
        assert third != first
        assert list(third.iterdir()) == []
        monkeypatch.setattr(scratch, "remove_tree", lambda folder: f"{folder}: no")
        assert made.work_folder("work") not in (first, third)
        monkeypatch.undo()
    assert content(home) == before


def test_a_lock_is_waited_for_or_not(root: Path) -> None:
    with Scratch() as made:
        assert lock_of(made.folder, wait=False) is None
        discard(made.folder)
        assert made.folder.exists()
    assert lock_of(root / "absent", wait=True) is None
    assert left_behind() == []
