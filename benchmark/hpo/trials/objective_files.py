"""The files of an objective: kept in the store with the study, laid out for every trial."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.hpo.spec.documents import StudyError
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.tasks import Run

LARGEST = 64 * 2**20


def gather(definition: StudyDefinition) -> dict[str, Path]:
    """The files by the name that they have in a trial's folder.

    Those that `files` names (folders whole), the executable, arguments and words of shell scripts
    that are files beside the study file, and the file of a Python objective.

    Raises:
        StudyError: one is missing, lies outside of the study's folder, or they are too large.
    """
    objective = definition.objective
    wanted = list(objective.files)
    if objective.function:
        place = objective.function.rpartition(":")[0]
        wanted += [place] if place.endswith(".py") else []
    folders = (definition.folder, *definition.also)
    for word in (*objective.words, *objective.shell_words):
        loose = not Path(word).is_absolute() and "{" not in word
        if loose and any((folder / word).is_file() for folder in folders):
            wanted.append(word)
    found: dict[str, Path] = {}
    for name in wanted:
        folder = next((one for one in folders if (one / name).exists()), definition.folder)
        path = folder / name
        inside = PurePosixPath(os.path.normpath(name))
        if inside.is_absolute() or ".." in inside.parts:
            raise StudyError(f"The study's file '{name}' lies outside of {folder}; put it there.")
        if path.is_dir():
            parts = [part for part in sorted(path.rglob("*")) if part.is_file()]
        elif path.is_file():
            parts = [path]
        else:
            raise StudyError(f"The study's file '{name}' is not in {definition.folder}.")
        found |= {str(part.relative_to(folder)): part for part in parts}
    size = sum(path.stat().st_size for path in found.values())
    if size > LARGEST:
        raise StudyError(
            f"The study's files take {size // 2**20} MiB; they go into the store, which takes "
            f"{LARGEST // 2**20} MiB: leave data out and read it by an absolute path."
        )
    return found


def describe(files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Hash and mode by name, for the manifest."""
    return {
        name: {
            "hash": hashlib.sha256(path.read_bytes()).hexdigest(),
            "executable": os.access(path, os.X_OK),
        }
        for name, path in files.items()
    }


def keep(run: Run, files: dict[str, Path]) -> None:
    """Put them into the store, by their hash, so that one that changes later changes nothing."""
    for name, entry in describe(files).items():
        run.store.put(_path(run, entry["hash"]), files[name].read_bytes())


def lay_out(run: Run, folder: Path) -> None:
    """Write the study's files into a trial's folder.

    Raises:
        StudyError: one is no longer in the store.
    """
    for name, entry in run.manifest.conditions["files"].items():
        data = run.store.get(_path(run, entry["hash"]))
        if data is None:
            raise StudyError(f"The file '{name}' of {run.name} is not in {run.store.url}.")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if entry["executable"]:
            path.chmod(0o755)


def lay_out_point(folder: Path, name: str, number: int, params: dict[str, Any]) -> None:
    """The configuration file `{"trial": …, "x": […], "params": {…}}`: `x` has the values alone."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    point = {"trial": number, "x": list(params.values()), "params": params}
    path.write_text(json.dumps(point, indent=2), encoding="utf-8")


def _path(run: Run, digest: str) -> str:
    return f"{run.name}/files/{digest}"


def left_beside(message: str, folder: Path) -> list[str]:
    """What the message of a failed trial does not find, and lies beside the study file."""
    if "No such file" not in message:
        return []
    words = re.findall(r"[^\s'\":;,]+", message)
    names = dict.fromkeys(Path(word.rstrip(".")).name for word in words if "." in word)
    return [name for name in names if name and (folder / name).is_file()]
