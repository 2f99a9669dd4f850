"""Artifacts: files of a trial's folder that are kept with its record.

    record = with_artifacts(trial, run, record, attempt)

What a trial leaves is hostile input: links, pipes and files that are too large are left out, each
with its reason. Folders are opened one below the other, so that no link leads elsewhere.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.files.safe_text import plain_text
from benchmark.hpo.objectives.artifacts_key import KEPT, LEFT_OUT, MOST, Artifacts
from benchmark.hpo.sandboxed.command_steps import FOLDER
from benchmark.hpo.trials.trial_record import Trial
from benchmark.records.results import Record
from benchmark.records.tasks import Run

_MB = 2**20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def with_artifacts(trial: Trial, run: Run, record: Record, attempt: int) -> Record:
    """The record of a trial, with the files of its folder that are kept."""
    wanted, key = trial.definition.objective.artifacts, trial.task.key
    if wanted is None or not key.isdigit() or not record.is_result:
        return record
    kept = keep_artifacts(run, key, attempt, trial.outcome.folder, wanted)
    return replace(record, labels=record.labels | kept)


def keep_artifacts(
    run: Run, key: str, attempt: int, folder: Path, wanted: Artifacts
) -> dict[str, Any]:
    """Put the wanted files into the store; labels of what was kept and what was left out."""
    kept: list[dict[str, Any]] = []
    left_out: list[str] = []
    room = wanted.total
    own = run.manifest.conditions["files"]
    for name, parent in _found(folder, wanted.patterns):
        if name in own or not _is_text(name):
            continue
        found = _read(name, parent, wanted.largest, room if len(kept) < MOST else -1)
        if isinstance(found, str):
            left_out.append(f"{plain_text(name)} {found}")
            continue
        path = run.artifact_path(key, attempt, name)
        run.store.put(path, found)
        kept.append({"name": plain_text(name), "bytes": len(found), "path": path})
        room -= len(found)
    return ({KEPT: kept} if kept else {}) | ({LEFT_OUT: left_out[:MOST]} if left_out else {})


def _found(folder: Path, patterns: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """The paths in the folder that a pattern matches, each with its open parent folder."""
    for root, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        inner = os.path.relpath(root, folder)
        folders[:] = sorted(one for one in folders if inner != "." or one != FOLDER)
        # A link to a folder is listed among the folders, and not walked.
        links = [one for one in folders if _is_link(one, descriptor)]
        for one in sorted([*files, *links]):
            name = one if inner == "." else f"{inner}/{one}"
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                yield name, descriptor


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8, as the store's are."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_link(name: str, parent: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)


def _read(name: str, parent: int, largest: int, room: int) -> bytes | str:
    """The bytes of a regular file; else why it is left out."""
    try:
        file = os.fdopen(os.open(os.path.basename(name), _OPEN, dir_fd=parent), "rb")  # noqa: PTH119
    except OSError as error:
        is_link = _is_link(os.path.basename(name), parent)  # noqa: PTH119
        return "is a link" if is_link else f"cannot be read: {error.strerror}"
    with file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return "is not a regular file"
        if facts.st_nlink > 1:
            return "is a link"
        if facts.st_size > largest:
            return f"has {facts.st_size / _MB:,.3f} MiB, more than {largest / _MB:,.3f}"
        if facts.st_size > room:
            return f"is beyond the limits of a trial: {MOST} files, and 'total'"
        return file.read(largest)
