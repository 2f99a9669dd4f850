"""Where a study lies in its store, and the conditions that its manifest holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import __version__
from benchmark.errors import ConditionsDifferError
from benchmark.files.spelling import meant
from benchmark.hpo.objectives import environment
from benchmark.hpo.objectives.objective import HOOKS
from benchmark.records import results
from benchmark.records.results import utc_now
from benchmark.records.tasks import Manifest, Run, same_values
from benchmark.store import FolderStore, Store

if TYPE_CHECKING:
    from benchmark.hpo.spec.study_file import StudyDefinition

FOLDER = "studies"
JOURNAL = "optuna.journal"
# What may differ when a study goes on: how it is searched and carried, not what is measured.
_FREE = (
    *("trials", "parallel", "algorithm", "seed", "storage", "initial", "stop", "default_every"),
    *("secrets", "remeasure", "safe"),
    *("tune_layers", "layer_trials", "trials_per_task", "max_parallelism"),
)
# The choices 1 and 1.0 are different points, and different words of a command; a limit of 1 s is
# one of 1.0 s.
EXACT = ("choices", "command", *HOOKS, "environment", "params")


def run_name(study: str) -> str:
    return f"{FOLDER}/{study}"


def study_names(store: Store) -> list[str]:
    """The studies of a store."""
    end = "/manifest.json"
    paths = [path for path in store.list(FOLDER) if path.endswith(end)]
    return sorted(path.removeprefix(f"{FOLDER}/").removesuffix(end) for path in paths)


def no_study(name: str, store: Store) -> str:
    """The sentence that there is no such study."""
    return f"There is no study '{name}' in {store.url}; {meant(name, study_names(store))}"


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

    `more` are those of `more_conditions`.
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


def more_conditions(
    store: Store, definition: StudyDefinition, known: dict[str, Any]
) -> dict[str, Any]:
    """The lock of a study's environment, and the material of its benchmark, as far as it has them.

    Of a study that goes on these are kept as `known`: what is resolved or fetched today may differ
    from what was measured with on the first day.

    Raises:
        SetupError: the environment cannot be resolved.
        BenchmarkError: the framework is unknown, or a data set cannot be had.
    """
    more: dict[str, Any] = {}
    if definition.environment:
        before = known.get("environment") or {}
        same = all(before.get(key) == value for key, value in definition.environment.items())
        more["environment"] = before if same else environment.locked(definition.environment)
    if definition.objective.benchmark is not None:
        from benchmark.hpo.trials.benchmark_inputs import gathered

        more["benchmark"] = known.get("benchmark") or gathered(
            store, definition.objective.benchmark
        )
    return more


def check_same(run: Run, manifest: Manifest) -> None:
    """Refuse to go on with a study that measures something else.

    Raises:
        ConditionsDifferError: says what differs.
    """
    before, now = dict(run.manifest.conditions), dict(manifest.conditions)
    old, new = dict(before.pop("study")), dict(now.pop("study"))
    differing = [
        key
        for key in sorted({*old, *new})
        if key not in _FREE and not same_values(old.get(key), new.get(key), EXACT)
    ]
    kept, given = before.get("files") or {}, now.get("files") or {}
    other = [name for name in sorted({*kept, *given}) if kept.get(name) != given.get(name)]
    differing += [
        f"files ({', '.join(other)})" if key == "files" else key
        for key in before
        if not same_values(before[key], now.get(key))
    ]
    if differing:
        name = run.name.removeprefix(FOLDER + "/")
        lost = any(record.status == "success" for record in results.records(run))
        raise ConditionsDifferError(
            f"The study '{name}' in {run.store.url} was started with other values of "
            f"{' and '.join(differing)}; give this one another name (--name), or remove that one"
            f"{'' if lost else ', which has no success to lose,'} with studies delete {name}."
        )
