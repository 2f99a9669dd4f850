"""Where a study lies in its store, and the conditions that its manifest holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import __version__
from benchmark.errors import ConditionsDifferError
from benchmark.results import utc_now
from benchmark.store import FolderStore
from benchmark.tasks import Manifest

if TYPE_CHECKING:
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.store import Store
    from benchmark.tasks import Run

FOLDER = "studies"
JOURNAL = "optuna.journal"
# What may differ when a study goes on: how it is searched and carried, not what is measured.
_FREE = (
    *("trials", "parallel", "algorithm", "seed", "storage", "initial", "stop", "default_every"),
    "secrets",
    *("tune_layers", "layer_trials", "trials_per_task", "max_parallelism"),
)


def run_name(study: str) -> str:
    return f"{FOLDER}/{study}"


def study_names(store: Store) -> list[str]:
    """The studies of a store."""
    end = "/manifest.json"
    paths = [path for path in store.list(FOLDER) if path.endswith(end)]
    return sorted(path.removeprefix(f"{FOLDER}/").removesuffix(end) for path in paths)


def journal_path(store: Store, run: str) -> str:
    """Where a study without a `storage` has Optuna's journal.

    Beside the records where the store is a folder, else in the working directory.
    """
    if isinstance(store, FolderStore):
        return str(Path(store.url.removeprefix("file://")) / run / JOURNAL)
    return str(Path(run) / JOURNAL)


def manifest_of(
    definition: StudyDefinition,
    files: dict[str, dict[str, Any]],
    more: dict[str, Any] | None = None,
) -> Manifest:
    """The conditions of a study: what is measured, with which files, within which limits.

    `more` holds the environment's lock, and what a benchmark's data and framework are.
    """
    return Manifest(
        conditions={
            "study": definition.source,
            "files": files,
            "cores": definition.cores,
            "memory": definition.memory_mb,
            "runtime": definition.time_s,
            "hard_limit": definition.time_s,
            **(more or {}),
        },
        frameworks={},
        datasets={},
        cells=(),
        created=utc_now(),
        harness=__version__,
    )


def check_same(run: Run, manifest: Manifest) -> None:
    """Refuse to go on with a study that measures something else.

    Raises:
        ConditionsDifferError: says what differs.
    """
    before, now = dict(run.manifest.conditions), dict(manifest.conditions)
    old, new = dict(before.pop("study")), dict(now.pop("study"))
    differing = [
        key for key in sorted({*old, *new}) if key not in _FREE and old.get(key) != new.get(key)
    ]
    differing += [key for key in before if before[key] != now.get(key)]
    if differing:
        raise ConditionsDifferError(
            f"The study '{run.name.removeprefix(FOLDER + '/')}' in {run.store.url} was begun with "
            f"other values of {' and '.join(differing)}; give this one another name, or remove "
            "that one with studies delete."
        )
