"""A runner's scratch folder, and the sweeping of what killed runners left behind.

The runner holds a lock on its folder while it lives; a process that can take the lock of a folder
knows that its runner is gone, ends the control groups and marked processes it noted, and removes
it.

Tasks of the same user may be able to write here, so nothing is believed: the root is a folder of
this user's that no one else can open, links are never followed, and only folders of our own form
are removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path
from typing import IO

from benchmark.errors import SetupError
from benchmark.execution.task_files import TaskFileError, read_left
from benchmark.execution.worker.cgroups import PREFIX, Group, create, hierarchies
from benchmark.execution.worker.crowd import Crowd
from benchmark.files.removal import OPEN_FOLDER, fault_of, remove_tree

LOCK = "lock"
_GROUPS = "groups"
_MARK = "mark"
_LARGEST_NOTE = 1 << 14
# A runner's folder, or a shared one such as "parts-4f2a…-holdout-75".
_FORM = re.compile(r"[a-z0-9_]{8}|[a-z]+-.+")


def scratch_root() -> Path:
    """The folder of this user's scratch folders, made where it is not there.

    TMPDIR may be a link. The folder in it may not, and is this user's alone.

    Raises:
        SetupError: something else is in its place.
    """
    # Below the real folder: a link that changes later leads nowhere else.
    root = Path(os.path.realpath(tempfile.gettempdir())) / f"automl-benchmark-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        root.mkdir(mode=0o700)
    fault = _fault(root.lstat())
    if fault:
        raise SetupError(
            f"The scratch folder {root} {fault}; remove it, or set TMPDIR to a folder of your own."
        )
    return root


def _fault(facts: os.stat_result) -> str | None:
    """Why a folder cannot be a scratch root of this user."""
    fault = fault_of(facts)
    if fault is None and facts.st_mode & 0o077:
        return f"is open to other users (mode {stat.S_IMODE(facts.st_mode):03o})"
    return fault


class Scratch:
    """A folder that goes with this process, however it ends.

    with Scratch() as scratch:
        group = scratch.group(memory_mb=300, cores=[0])
    """

    def __init__(self) -> None:
        self.folder, self._lock = _locked_folder()
        self._count = 0

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def group(self, memory_mb: float, cores: list[int]) -> Group | None:
        """A control group for one task, noted before it exists; None where that is not allowed."""
        self._count += 1
        name = f"{PREFIX}{self.folder.name}-{self._count}"
        group = create(name, memory_mb, cores)
        if group:
            self._note(_GROUPS, json.dumps(group.folders))
        return group

    def mark(self) -> str:
        """A mark for the processes of one zygote (see worker/crowd.py), noted for a sweep."""
        self._count += 1
        self._note(_MARK, "")
        return f"{self.folder.name}-{self._count}"

    def work_folder(self, name: str) -> Path:
        """A new folder for one Work, under another name where the last one cannot be removed."""
        folder = self.folder / name
        why = remove_tree(folder)
        while why or not _made(folder):
            self._count += 1
            folder, why = self.folder / f"{name}-{self._count}", None
        return folder

    def close(self) -> None:
        _remove(self.folder)
        self._lock.close()
        _remove_empty_root(self.folder.parent)

    def _note(self, name: str, text: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(self.folder / name, flags, 0o600), "w") as file:  # noqa: PTH123
            file.write(text)


def sweep() -> int:
    """Remove what runners that are gone have left: their groups with what runs in them, folders.

    Never raises: what cannot be removed stays, and `doctor` names it.

    Returns:
        How many were removed.
    """
    removed = 0
    with contextlib.suppress(SetupError, FileNotFoundError):
        root = scratch_root()
        for folder in _folders(root):
            lock = lock_of(folder, wait=False)
            if lock:
                with lock:
                    removed += _remove(folder) is None
        _remove_empty_root(root)
    return removed


def left_behind() -> list[str]:
    """What is in the scratch root and belongs to no living runner, after a sweep: each with why.

    Raises:
        SetupError: the scratch root is not this user's own folder.
    """
    root = scratch_root()
    with contextlib.suppress(FileNotFoundError):
        ours = {folder.name for folder in _folders(root)}
        found = []
        for place in sorted(root.iterdir()):
            if place.name not in ours:
                found.append(f"{ascii(str(place))[1:-1]}: it is not a folder of ours")
                continue
            lock = lock_of(place, wait=False)
            if lock:
                with lock:
                    why = _remove(place)
                found += [why] if why else []
            elif not _is_regular(place / LOCK):
                found.append(f"{place}: its lock is not a regular file")
        _remove_empty_root(root)
        return found
    return []


def discard(folder: Path) -> None:
    """Remove a folder of the scratch root unless someone holds its lock."""
    lock = lock_of(folder, wait=False)
    if lock:
        with lock:
            _remove(folder)
    _remove_empty_root(folder.parent)


def lock_of(folder: Path, wait: bool, shared: bool = False) -> IO[bytes] | None:
    """The lock of a folder; None where it is held (and not waited for), or is no lock of ours."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        if _fault(folder.parent.lstat()):
            return None
        inside = os.open(folder, OPEN_FOLDER)
    except OSError:
        return None  # It has gone, or a link is in its place.
    try:
        file = os.fdopen(os.open(LOCK, flags, 0o600, dir_fd=inside), "ab")
    except OSError:
        return None  # A link or a folder is in the lock's place.
    finally:
        os.close(inside)
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
            return file
    except BlockingIOError:
        pass
    file.close()
    return None


def _folders(root: Path) -> list[Path]:
    """The folders in the scratch root that are of our form, and this user's."""
    found = []
    for folder in root.iterdir():
        with contextlib.suppress(FileNotFoundError):
            facts = folder.lstat()
            if fault_of(facts) is None and _FORM.fullmatch(folder.name):
                found.append(folder)
    return found


def _remove_empty_root(root: Path) -> None:
    """Nothing of ours stays in the temporary folder when no one runs."""
    with contextlib.suppress(OSError):
        root.rmdir()


def _locked_folder() -> tuple[Path, IO[bytes]]:
    """Made and locked; made again if a sweep was faster."""
    while True:
        try:
            folder = Path(tempfile.mkdtemp(prefix="", dir=scratch_root()))
        except FileNotFoundError:
            continue  # Another process has just removed the empty root.
        lock = lock_of(folder, wait=False)
        if lock and folder.exists() and (folder / LOCK).exists():
            return folder, lock


def _made(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return False
    return True


def _remove(folder: Path) -> str | None:
    """End what runs for a folder of the scratch root and remove it; why something stayed."""
    try:
        fault = _fault(folder.parent.lstat())
    except FileNotFoundError:
        return None
    if fault:
        return f"{folder.parent} {fault}"
    for group in _noted_groups(folder):
        group.kill()
        group.remove()
    if _is_regular(folder / _MARK):
        Crowd(f"{folder.name}-").kill_all()
    return remove_tree(_out_of_reach(folder))


def _out_of_reach(folder: Path) -> Path:
    """Rename a shared folder before its removal, so that no process opens it half removed."""
    if "-" not in folder.name:
        return folder
    aside = folder.with_name(f"gone-{secrets.token_hex(8)}")
    try:
        folder.rename(aside)
    except OSError:
        return folder  # Removing it will say what is wrong with it.
    return aside


def _noted_groups(folder: Path) -> list[Group]:
    """The group that the runner noted, and any other with its name."""
    noted = _read_note(folder / _GROUPS)
    own = re.compile(re.escape(f"{PREFIX}{folder.name}-") + r"\d+")
    mounts = tuple(f"{mount}/" for mount in hierarchies().values())
    for path in noted.values():
        # A note that names another place is not the runner's.
        if not os.path.realpath(path).startswith(mounts):
            return []
    groups = []
    for member in {name for path in noted.values() for name in _siblings(path, own)}:
        paths = {kind: str(Path(path).parent / member) for kind, path in noted.items()}
        groups.append(
            Group({kind: path for kind, path in paths.items() if Path(path).is_dir()} or paths)
        )
    return groups


def _read_note(path: Path) -> dict[str, str]:
    """A note's JSON; {} where it is not such as a runner writes."""
    try:
        noted = json.loads(read_left(path, _LARGEST_NOTE) or b"")
    except (TaskFileError, ValueError, RecursionError):
        return {}
    known = {"memory", "cpuset", "unified"}
    if not isinstance(noted, dict) or not {"memory", "unified"} & noted.keys():
        return {}
    paths = {kind: path for kind, path in noted.items() if isinstance(path, str)}
    return paths if paths.keys() == noted.keys() <= known else {}


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _siblings(path: str, own: re.Pattern[str]) -> list[str]:
    parent = Path(path).parent
    if not parent.is_dir():
        return []
    return [entry.name for entry in parent.iterdir() if own.fullmatch(entry.name)]
