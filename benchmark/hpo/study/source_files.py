"""Where the files of a study came from, and which of them are not what they were.

A study keeps the files that it was started with, and every trial gets those. Who has edited one
since, and goes on with the study by its name, is warned that the edit does not count. A file that a
command names by an absolute path is not kept: a change of it does count, and is reported as well.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmark.files.input_files import read_bytes
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
