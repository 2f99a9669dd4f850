"""A study in its store: asked, dispatched as tasks, told from their records.

    study = Study.begin(store, definition)
    for task in study.ask(2):
        ...                                  # any dispatcher
    study.tell(record)

The record is the truth. A trial is told from it, once, however often it is tried; a trial that was
asked and has no record is run again under its own number.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark import __version__, results
from benchmark.errors import ConditionsDifferError
from benchmark.hpo import staging
from benchmark.hpo.evaluation import PATH
from benchmark.hpo.journal import open_storage
from benchmark.hpo.optimizer import Asked, ExhaustedError, Optimizer, Told
from benchmark.hpo.space import identity
from benchmark.hpo.study_file import StudyError, define
from benchmark.results import utc_now
from benchmark.store import FolderStore
from benchmark.tasks import Manifest, Ranks, Resources, Run, Task

if TYPE_CHECKING:
    from benchmark.hpo.space import Params
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.store import Store

FOLDER = "studies"
JOURNAL = "optuna.journal"
# What may differ when a study goes on: how it is searched and carried, not what is measured.
_FREE = ("trials", "parallel", "algorithm", "seed", "storage", "initial")


def run_name(study: str) -> str:
    return f"{FOLDER}/{study}"


class Study:
    """One study. Not for several threads."""

    def __init__(self, run: Run, definition: StudyDefinition) -> None:
        self.run = run
        self.definition = definition
        self.exhausted = False
        self._begin_with: list[Params] | None = None
        self.optimizer = Optimizer(
            definition.space,
            list(definition.directions.values()),
            definition.algorithm,
            definition.seed,
            open_storage(definition.storage or _journal(run.store, run.name)),
            definition.name,
        )
        self._restore()

    @staticmethod
    def begin(store: Store, definition: StudyDefinition) -> Study:
        """Begin a study, or go on with the one of that name.

        Raises:
            ConditionsDifferError: there is one of that name that measures something else.
        """
        name = run_name(definition.name)
        files = staging.gather(definition)
        manifest = _manifest(definition, staging.describe(files))
        run = Run(name, store, manifest)
        if store.get(f"{name}/manifest.json") is not None:
            _check_same(Run.open(store, name), manifest)
        staging.keep(run, files)
        run.save()
        return Study(run, definition)

    @staticmethod
    def open(store: Store, name: str, changes: dict[str, Any] | None = None) -> Study:
        """A study of the store, by its name; `changes` are keys that may differ.

        Raises:
            StudyError: there is none.
        """
        path = f"{run_name(name)}/manifest.json"
        if store.get(path) is None:
            others = ", ".join(study_names(store)) or "none"
            raise StudyError(f"There is no study '{name}' in {store.url}; it has {others}.")
        run = Run.open(store, run_name(name))
        given = {key: value for key, value in (changes or {}).items() if value is not None}
        definition = define(run.manifest.conditions["study"] | given, Path(), f"Study '{name}'")
        return Study(run, definition)

    @property
    def left(self) -> int:
        """How many trials may still be asked."""
        return max(0, self.definition.trials - len(self.optimizer.trials()))

    def unfinished(self) -> list[Task]:
        """The trials that were asked and have no record, after telling those that have one."""
        waiting = []
        for asked in self.optimizer.running():
            record = results.current_record(self.run, str(asked.number))
            if record is None or not self.tell(record):
                waiting.append(self._task(asked))
        return waiting

    def ask(self, count: int = 1) -> list[Task]:
        """At most that many new trials as tasks: fewer where trials or points are used up."""
        asked: list[Task] = []
        while len(asked) < min(count, self.left + len(asked)) and not self.exhausted:
            try:
                asked.append(self._task(self.optimizer.ask(self._first())))
            except ExhaustedError:
                self.exhausted = True
        return asked

    def tell(self, record: Record) -> bool:
        """Tell the optimizer how a trial ended; False where it has no result yet."""
        if not record.is_result:
            return False
        labels = record.labels
        values = tuple(labels.get("values") or ())
        status = record.status if record.status in ("success", "prune") else "failure"
        told = Told(
            status=status,  # type: ignore[arg-type]
            values=values,
            constraints=tuple(labels.get("constraints") or ()),
            intermediate={int(k): v for k, v in (labels.get("intermediate") or {}).items()},
            metrics=dict(record.metrics),
        )
        self.optimizer.tell(int(record.task), told)
        return True

    def _first(self) -> Params | None:
        """The default and the initial points come before what the algorithm proposes."""
        if self._begin_with is None:
            default = self.definition.space.default()
            points = ([default] if default is not None else []) + [*self.definition.space.initial]
            params_of = self.optimizer.params_of
            asked = {identity(params_of(trial)) for trial in self.optimizer.trials()}
            new = {identity(point): point for point in points if identity(point) not in asked}
            self._begin_with = list(new.values())
        return self._begin_with.pop(0) if self._begin_with else None

    def _task(self, asked: Asked) -> Task:
        task = Task(
            key=str(asked.number),
            evaluation=PATH,
            environment="objective",
            payload={"trial": asked.number, "params": asked.params},
            resources=_resources(self.definition, asked.params),
            labels={"study": self.definition.name, "trial": asked.number, "params": asked.params},
        )
        self.run.store.put(self.run.task_path(task.key), task.to_json().encode())
        return task

    def _restore(self) -> None:
        """Trials whose tasks are in the store and that Optuna does not know: its file was lost."""
        prefix = f"{self.run.name}/tasks/"
        listed = self.run.store.list(f"{self.run.name}/tasks")
        numbers = sorted(int(path[len(prefix) :].removesuffix(".json")) for path in listed)
        known = len(self.optimizer.trials())
        for number in numbers:
            if number >= known:
                params = self.run.task(str(number)).payload["params"]
                restored = self.optimizer.ask(params)
                if restored.number != number:
                    raise StudyError(
                        f"Trial {number} of '{self.definition.name}' cannot be restored, because "
                        f"an earlier one is missing in {self.run.store.url}."
                    )


def study_names(store: Store) -> list[str]:
    """The studies of a store."""
    end = "/manifest.json"
    paths = [path for path in store.list(FOLDER) if path.endswith(end)]
    return sorted(path.removeprefix(f"{FOLDER}/").removesuffix(end) for path in paths)


def _resources(definition: StudyDefinition, params: dict[str, Any]) -> Resources:
    """What a trial takes; tunables may say how many ranks it has."""
    time_s = definition.time_s
    ranks = {
        key: int(params.get(value, 1)) if isinstance(value, str) else value
        for key, value in definition.resources.items()
    }
    # One process is no parallel program: it runs beside others in an allocation.
    mpi = Ranks(**ranks) if ranks and ranks["nodes"] * ranks["ranks_per_node"] > 1 else None
    cores = max(definition.cores, mpi.cores) if mpi else definition.cores
    return Resources(cores, definition.memory_mb, time_s, time_s, mpi)


def _journal(store: Store, run: str) -> str:
    """Beside the records where the store is a folder, else in the working directory."""
    if isinstance(store, FolderStore):
        return str(Path(store.url.removeprefix("file://")) / run / JOURNAL)
    return str(Path(run) / JOURNAL)


def _manifest(definition: StudyDefinition, files: dict[str, dict[str, Any]]) -> Manifest:
    return Manifest(
        conditions={
            "study": definition.source,
            "files": files,
            "cores": definition.cores,
            "memory": definition.memory_mb,
            "runtime": definition.time_s,
            "hard_limit": definition.time_s,
        },
        frameworks={},
        datasets={},
        cells=(),
        created=utc_now(),
        harness=__version__,
    )


def _check_same(run: Run, manifest: Manifest) -> None:
    before, now = dict(run.manifest.conditions), dict(manifest.conditions)
    old, new = dict(before.pop("study")), dict(now.pop("study"))
    differing = [
        key for key in sorted({*old, *new}) if key not in _FREE and old.get(key) != new.get(key)
    ]
    differing += [key for key in before if before[key] != now.get(key)]
    if differing:
        raise ConditionsDifferError(
            f"The study '{run.name.removeprefix(FOLDER + '/')}' in {run.store.url} was begun with "
            f"another {' and '.join(differing)}; give this one another name with --name."
        )
