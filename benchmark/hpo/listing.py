"""The studies of a store, read without opening Optuna's storage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.hpo import control
from benchmark.hpo.study import FOLDER, run_name, study_names
from benchmark.hpo.study_file import StudyError, define
from benchmark.tasks import Run

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.store import Store

FILES = ("study.yaml", "study.yml", "study.json")


def listed(store: Store) -> list[dict[str, Any]]:
    """Every study with how many trials have a record, and the word that stands; one listing."""
    paths = store.list(FOLDER)
    names = [path for path in paths if path.endswith("/manifest.json")]
    ended: dict[str, int] = {}
    for path in paths:
        place, _, name = path.rpartition("/out/")
        if place and name.removesuffix(".json").isdigit():
            ended[place] = ended.get(place, 0) + 1
    found = []
    for path in sorted(names):
        run = path.removesuffix("/manifest.json")
        word = control.said(store, run) if f"{run}/control.json" in paths else "go"
        name = run.removeprefix(f"{FOLDER}/")
        found.append({"study": name, "ended": ended.get(run, 0), "word": word})
    return found


def lines(found: list[dict[str, Any]]) -> list[str]:
    """A line for each study."""
    width = max((len(one["study"]) for one in found), default=0)
    return [
        f"{one['study']:<{width}}  {one['ended']:>5} trials ended"
        + ("" if one["word"] == "go" else f"  (told to {one['word']})")
        for one in found
    ]


def opened(store: Store, name: str) -> tuple[Run, StudyDefinition]:
    """A study to read.

    Raises:
        StudyError: there is none of that name.
    """
    names = study_names(store)
    if name not in names:
        raise StudyError(
            f"There is no study '{name}' in {store.url}; it has {', '.join(names) or 'none'}."
        )
    run = Run.open(store, run_name(name))
    return run, define(run.manifest.conditions["study"], Path(), f"Study '{name}'")


def study_file(path: Path) -> Path:
    """A study file, or the one in a folder.

    Raises:
        BenchmarkError: the folder has none.
    """
    if not path.is_dir():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
    raise BenchmarkError(f"The folder {path} has no {' or '.join(FILES[::2])}; name the file.")
