"""The parts of a study file that stand in files of their own: layers, registered applications.

    layers: [container.yaml, os.yaml]
    objective: {application: pgbench, value: tps}

What they say is put into the study's values, so that the manifest needs no other file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.files.spelling import check_keys, meant
from benchmark.files.value_faults import shown
from benchmark.hpo.spec.documents import StudyError, faults_of, read_document

APPLICATIONS = "applications"
ENDINGS = (".yaml", ".yml", ".json")
LAYER_KEYS = ("name", "tunables", "forbidden")


def put_in(
    values: Mapping[str, Any], folder: Path, place: str, faults: list[str]
) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The values with their parts in place, and the folders that parts have files in.

    What is wrong within a part goes into `faults`; `place` is the study's file.

    Raises:
        StudyError: parts cannot be read, all of them in one answer.
    """
    whole, unread, also = dict(values), list[str](), tuple[Path, ...]()
    layers = whole.get("layers")
    if isinstance(layers, list):
        whole |= _layers(layers, folder, list(whole.get("forbidden") or []), faults, unread)
    objective = whole.get("objective")
    if isinstance(objective, dict) and "application" in objective:
        try:
            file = _application(objective["application"], folder)
            own = {key: value for key, value in objective.items() if key != "application"}
            whole["objective"] = {**read_document(file), **own}
            also = (file.absolute().parent,)
        except StudyError as error:
            unread.append(str(error))
    if unread:  # without these parts their names would be unknown to the rest
        raise StudyError(faults_of(place, [*unread, *faults]))
    return whole, also


def _layers(
    entries: list[Any], folder: Path, forbidden: list[Any], faults: list[str], unread: list[str]
) -> dict[str, Any]:
    layers: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, str):
            unread.append(f"'layers' holds {shown(entry)}; name the files, such as container.yaml.")
            continue
        try:
            values = read_document(folder / entry)
        except StudyError as error:
            unread.append(str(error))
            continue
        check_keys(values, LAYER_KEYS, f"The layer {entry}", faults)
        name = str(values.get("name") or Path(entry).stem)
        if name in layers:
            faults.append(f"Two layers are named '{name}'; give {entry} another 'name'.")
        layers[name] = layers.get(name, []) + (values.get("tunables") or [])
        forbidden += values.get("forbidden") or []
    return {"layers": layers, "forbidden": forbidden}


def _application(name: Any, folder: Path) -> Path:
    """The file of a registered application: beside the study, here, or in the user's own folder."""
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise StudyError(f"'application' is {name!r}; write the name that it is registered by.")
    shared = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    places = [folder, Path(), shared / "automl-benchmark"]
    for place in places:
        for ending in ENDINGS:
            file = place / APPLICATIONS / f"{name}{ending}"
            if file.is_file():
                return file
    known = sorted({f.stem for p in places for f in (p / APPLICATIONS).glob("*.*")})
    raise StudyError(
        f"There is no application '{name}'; {meant(name, known, 'registered are')} Put "
        f"{APPLICATIONS}/{name}.yaml beside the study file or into {places[-1]}."
    )
