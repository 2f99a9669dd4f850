"""Remove a folder and everything below it, never through a link.

    why = remove_tree(folder)       # None if it is removed, else the first path that stayed and why

Every step is relative to an open folder, so a link that replaces a folder is removed and not
followed. The walk keeps one folder open and no stack of calls, so a tree may be of
any depth. Folders without permissions get them. Another mount is never entered.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_REASON = 300


@dataclass
class _Level:
    """A folder of the walk: its name, its identity, and the folders still in it."""

    name: str
    identity: tuple[int, int]
    folders: list[str]


def remove_tree(folder: Path) -> str | None:
    """Remove a folder of this user's; a missing one is fine. Never raises OSError.

    Returns:
        None, or what stayed and why. A link, a mount point, another user's folder or anything else
        but a folder is not touched.
    """
    folder = folder.absolute()
    try:
        parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _reason([str(folder.parent)], error.strerror)
    try:
        facts = os.stat(folder.name, dir_fd=parent, follow_symlinks=False)
        fault = fault_of(facts)
        return _reason([str(folder)], f"it {fault}") if fault else _remove(folder, parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _reason([str(folder)], error.strerror)
    finally:
        os.close(parent)


def clear(folder: Path) -> None:
    """Remove a folder of this user's, so that another can be created in its place.

    Raises:
        OSError: something stayed; `strerror` says what and why.
    """
    why = remove_tree(folder)
    if why:
        raise OSError(errno.ENOTEMPTY, why)


def fault_of(facts: os.stat_result) -> str | None:
    """Why a path is not a folder of this user's, such as "is a link"; None if it is one."""
    if stat.S_ISLNK(facts.st_mode):
        return "is a link"
    if not stat.S_ISDIR(facts.st_mode):
        return "is not a folder"
    if facts.st_uid != os.geteuid():
        return f"belongs to another user ({facts.st_uid})"
    return None


def _remove(folder: Path, parent: int) -> str | None:
    left: list[str] = []
    levels: list[_Level] = []

    def note(name: str, error: OSError) -> None:
        """Keep the first reason; the path is only built here, because a tree may be deep."""
        if not left:
            above = [level.name for level in levels[1:]]
            left.append(_reason([str(folder), *above, name], error.strerror))

    mount = _mount(parent)
    current = _enter(folder.name, parent, mount)
    try:
        levels.append(_Level(folder.name, _identity(current), []))
        levels[-1].folders = _empty(current, note)
        while True:
            if levels[-1].folders:
                name = levels[-1].folders.pop()
                try:
                    inner = _enter(name, current, mount)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    note(name, error)
                    continue
                os.close(current)
                current = inner
                levels.append(_Level(name, _identity(current), []))
                levels[-1].folders = _empty(current, note)
                continue
            if len(levels) == 1:
                break
            above = os.open("..", OPEN_FOLDER, dir_fd=current)
            os.close(current)
            current = above
            name = levels.pop().name
            if _identity(current) != levels[-1].identity:
                return _reason([str(folder)], "it was moved while it was removed")
            _remove_folder(name, current, note)
        _remove_folder(folder.name, parent, lambda _, error: note("", error))
    finally:
        os.close(current)
    return left[0] if left else None


def _remove_folder(name: str, parent: int, note: Callable[[str, OSError], None]) -> None:
    """Remove an emptied folder; one that is not empty has its reason already."""
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        note(name, error)


def _empty(folder: int, note: Callable[[str, OSError], None]) -> list[str]:
    """Remove all but the folders in a folder; returns their names."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            try:
                os.unlink(entry.name, dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                note(entry.name, error)
    return folders


def _enter(name: str, parent: int, mount: str) -> int:
    """Open a folder so that its content can be removed.

    Raises:
        OSError: it has become a link, is on another mount, or gives no access.
    """
    try:
        folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
    except PermissionError:
        _give_access(name, parent)
        folder = os.open(name, OPEN_FOLDER, dir_fd=parent)
    try:
        if _mount(folder) != mount:
            raise OSError(0, "it is a mount point")
        if os.fstat(folder).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            with contextlib.suppress(OSError):  # Removing its content shows whether that matters.
                os.fchmod(folder, stat.S_IRWXU)
    except OSError:
        os.close(folder)
        raise
    return folder


def _give_access(name: str, parent: int) -> None:
    """chmod 700 on the folder itself: a link that replaces it meanwhile is not followed."""
    if sys.platform != "linux":
        os.chmod(name, stat.S_IRWXU, dir_fd=parent, follow_symlinks=False)
        return
    handle = os.open(name, os.O_PATH | OPEN_FOLDER, dir_fd=parent)
    try:
        Path(f"/proc/self/fd/{handle}").chmod(stat.S_IRWXU)
    finally:
        os.close(handle)


def _mount(folder: int) -> str:
    """The mount of an open folder; a bind mount has the same device as its source."""
    try:
        with open(f"/proc/self/fdinfo/{folder}") as lines:  # noqa: PTH123 # a pseudo file
            return next(line for line in lines if line.startswith("mnt_id"))
    except (OSError, StopIteration):
        return str(os.fstat(folder).st_dev)


def _identity(folder: int) -> tuple[int, int]:
    facts = os.fstat(folder)
    return facts.st_dev, facts.st_ino


def _reason(path: list[str], why: str | None) -> str:
    """Such as "/tmp/x/y: Operation not permitted", in characters that a terminal can show."""
    text = os.fsencode("/".join(path)).decode("utf-8", "backslashreplace")
    if len(text) > _LONGEST_REASON:
        text = text[: _LONGEST_REASON // 2] + "…" + text[-_LONGEST_REASON // 2 :]
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return f"{text}: {why}"
