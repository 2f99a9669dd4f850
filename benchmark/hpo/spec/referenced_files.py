"""The parts of a study file that stand in files of their own: layers, registered applications.

    layers: [container.yaml, os.yaml]
    objective: {application: pgbench, value: tps}

What they say is put into the study's values, so that the manifest needs no other file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.files.spelling import check_keys, meant
from benchmark.hpo.spec.documents import StudyError, read_document

if TYPE_CHECKING:
    from collections.abc import Mapping

APPLICATIONS = "applications"
ENDINGS = (".yaml", ".yml", ".json")
LAYER_KEYS = ("name", "tunables", "forbidden")


def put_in(values: Mapping[str, Any], folder: Path) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The values with their parts in place, and the folders that parts have files in.

    Raises:
        StudyError: a part cannot be read, or is none.
    """
    whole = dict(values)
    layers = whole.get("layers")
    if isinstance(layers, list):
        whole |= _layers(layers, folder, list(whole.get("forbidden") or []))
    objective = whole.get("objective")
    if not isinstance(objective, dict) or "application" not in objective:
        return whole, ()
    file = _application(objective["application"], folder)
    registered = read_document(file)
    own = {key: value for key, value in objective.items() if key != "application"}
    whole["objective"] = {**registered, **own}
    return whole, (file.absolute().parent,)


def _layers(entries: list[Any], folder: Path, forbidden: list[Any]) -> dict[str, Any]:
    layers: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, str):
            raise StudyError(f"'layers' holds {entry!r}; name the files, such as container.yaml.")
        values = read_document(folder / entry)
        strange: list[str] = []
        check_keys(values, LAYER_KEYS, f"The layer {entry}", strange)
        if strange:
            raise StudyError(" ".join(strange))
        name = str(values.get("name") or Path(entry).stem)
        if name in layers:
            raise StudyError(f"Two layers are named '{name}'; give {entry} another 'name'.")
        layers[name] = values.get("tunables") or []
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
