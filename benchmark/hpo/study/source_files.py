"""Where the files of a study came from, which of them are not what they were, and which cannot run.

A study keeps the files that it was started with, and every trial gets those. Who has edited one
since, and goes on with the study by its name, is warned that the edit does not count. A file that a
command names by an absolute path is not kept: a change of it does count, and is reported as well.

Of a command that cannot be started only what no trial could fix is refused. Where a hook may make
the file, or a tunable is in its name, the first trials show it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.files.input_files import read_bytes
from benchmark.hpo.objectives.objective import Objective
from benchmark.hpo.spec.documents import StudyError
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.tasks import Run

# Scripts are small; programs and data are not looked at.
_LARGEST = 2**20


def keep(run: Run, definition: StudyDefinition, files: dict[str, Path]) -> None:
    """Note where the study file and its objective's files are, and what lies outside."""
    file = definition.file
    outside = {word: _hash(Path(word)) for word in definition.objective.words if _is_script(word)}
    values = {
        "study": {} if file is None else {str(file): _hash(file)},
        "files": {name: str(path.absolute()) for name, path in files.items()},
        "outside": outside,
    }
    run.store.put(_path(run), json.dumps(values).encode())


def changed_outside(run: Run) -> list[str]:
    """A sentence for each script outside of the study that has changed since it was noted."""
    return [
        f"{place} has changed since the study was last started; it is not kept with the study, so "
        "trials from now on run the new one."
        for place, known in _values(run).get("outside", {}).items()
        if _hash(Path(place)) not in (known, None)
    ]


def changed(run: Run) -> list[str]:
    """A sentence for each file whose change the study does not see, or that changes its trials."""
    values = _values(run)
    kept = run.manifest.conditions["files"]
    places = {place: kept[name]["hash"] for name, place in values.get("files", {}).items()}
    places |= values.get("study", {})
    said = [
        f"{place} has changed since the study began, which goes on with what it was then; for the "
        "new one begin a study of another name, with tune FILE --name NAME."
        for place, known in places.items()
        if _hash(Path(place)) not in (known, None)
    ]
    return said + changed_outside(run)


def _is_script(word: str) -> bool:
    try:
        path = Path(word)
        return path.is_absolute() and path.is_file() and path.stat().st_size <= _LARGEST
    except (OSError, ValueError):
        return False


def _hash(path: Path) -> str | None:
    """The hash of a file; None where it cannot be read, as on another machine."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except OSError:
        return None


def _values(run: Run) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(run.store.get(_path(run)) or b"{}")
    return values


def _path(run: Run) -> str:
    return f"{run.name}/origin.json"


_INTERPRETERS = ("python", "python3", "sh", "bash")
_SCRIPTS = (".py", ".sh")


def check_startable(objective: Objective, files: Mapping[str, Path], folder: Path) -> None:
    """Refuse commands whose file is missing, not executable, or says not what runs it.

    Raises:
        StudyError: names the file and the fix.
    """
    made = bool(objective.prepare or objective.reset)
    for argv in (objective.argv, objective.prepare, objective.reset, objective.restore):
        if not argv or "{" in argv[0]:
            continue
        program = argv[0]
        kept = files.get(os.path.normpath(program))
        if kept is not None:
            _check_program(program, kept)
        elif Path(program).is_absolute():
            continue
        elif "/" in program and not made:
            raise StudyError(
                f"The command's '{program}' is not in {folder}; put it there, or name it by its "
                "whole path."
            )
        elif program in _INTERPRETERS and len(argv) > 1 and not made:
            script = argv[1]
            wanted = script.endswith(_SCRIPTS) and "{" not in script and not script.startswith("-")
            if wanted and not Path(script).is_absolute() and os.path.normpath(script) not in files:
                raise StudyError(
                    f"The command's script '{script}' is not in {folder}; put it there, or name it "
                    "by its whole path."
                )


def check_found(objective: Objective, files: Mapping[str, object]) -> None:
    """Refuse a program that is not on this machine, where trials run on this one.

    Raises:
        StudyError: names it.
    """
    if "PATH" in objective.environment:
        return
    for argv in (objective.argv, objective.prepare, objective.reset, objective.restore):
        program = argv[0] if argv else ""
        if not program or "{" in program or os.path.normpath(program) in files:
            continue
        absent = Path(program).is_absolute() or "/" not in program
        if absent and program not in ("python", "python3") and shutil.which(program) is None:
            raise StudyError(
                f"The command's program '{program}' is not on this machine, or not executable; "
                "install it, put a script of that name beside the study file, or fix its name."
            )


def _check_program(name: str, path: Path) -> None:
    if not os.access(path, os.X_OK):
        raise StudyError(
            f"The command's '{name}' is not executable; run `chmod +x {path}`, or write its "
            f"interpreter before it, such as [sh, {name}]."
        )
    with path.open("rb") as file:
        begin = file.read(4)
    if not begin.startswith((b"#!", b"\x7fELF")):
        raise StudyError(
            f"The command's '{name}' does not say what runs it; write #!/bin/sh or the like as "
            "its first line, or its interpreter before it in the command."
        )
