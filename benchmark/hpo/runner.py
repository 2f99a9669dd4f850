"""HPORunner: a study from Python, in a script, a notebook or a flow.

    from benchmark.hpo import HPORunner

    def objective(trial):
        return (trial.suggest_float("x", -5, 5) - 2) ** 2

    found = HPORunner(objective, trials=30).run()
    found.best_params, found.best_value, found.frame()

`run` blocks, and raises KeyboardInterrupt on Ctrl-C and SIGTERM, once its trials are stopped.
`run_async` is awaited (a cancelled one stops asking and lets running trials end), `trigger` hands
the study to a process that runs on without this one, `resume` goes on with a study of the store by
its name. Trials run in the sandbox, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import io
import itertools
import logging
import math
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.config.loading import Config, load_config
from benchmark.files.safe_text import unguarded_cell
from benchmark.hpo.driver import control, launch
from benchmark.hpo.driver.deployment import TriggeredFlow, in_namespace
from benchmark.hpo.driver.study_list import opened, study_file
from benchmark.hpo.formats.project import is_project, python_objective, read_project
from benchmark.hpo.report import export, trial_line
from benchmark.hpo.report.shown_study import ShownStudy
from benchmark.hpo.sandboxed.python_trial import refuse_elsewhere
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define, read_study
from benchmark.hpo.study.study import Study
from benchmark.store import Store, open_store

if TYPE_CHECKING:
    import optuna
    import pandas as pd

    from benchmark.hpo.formats.callables import Space
    from benchmark.records.results import Record
    from benchmark.records.tasks import Run

    Callback = Callable[[optuna.Study, optuna.trial.FrozenTrial], None]
    Objective = Callable[[optuna.Trial], Any] | str | Path | Mapping[str, Any]

_AGAIN_S = 1.0


@dataclass(frozen=True, repr=False)
class Found(ShownStudy):
    """A study as it stands when its driver has ended.

    `stopped` says that someone ended it early by a request; `without_result` are trials whose
    attempts were lost, which run again when the study goes on; `why_stopped` is the limit of the
    study's own that was reached.
    """

    name: str
    run: Run
    definition: StudyDefinition
    stopped: bool = False
    without_result: list[Record] = field(default_factory=list)
    why_stopped: str | None = None

    @property
    def records(self) -> list[Record]:
        """The trials' records in their order."""
        return export.trial_records(self.run)

    @property
    def best(self) -> list[dict[str, Any]]:
        """The best trial; of several directions the Pareto front; nothing before a success."""
        return [export.configuration(record) for record in export.best(self.run, self.definition)]

    @property
    def best_params(self) -> dict[str, Any]:
        """The tunables of the (first) best trial; {} before a success."""
        return next((one["params"] for one in self.best), {})

    @property
    def best_value(self) -> float | None:
        """The first value of the (first) best trial; None before a success."""
        return next((one["values"][0] for one in self.best), None)

    def frame(self) -> pd.DataFrame:
        """A row for each trial: its number, state, values, tunables, metrics, seconds.

        Tunables and attributes have the values and types of the records; None where there is none.
        """
        import pandas as pd

        records = self.records
        found = pd.read_csv(io.StringIO(export.table(records, self.definition)))
        found = found.rename(columns=unguarded_cell)
        found["message"] = [record.message or math.nan for record in records]
        headed = export.headings(records, self.definition)
        choices = {t.name for t in self.definition.space.tunables if t.choices}
        for name, head in headed.tunables.items():
            values = [(record.labels.get("params") or {}).get(name) for record in records]
            kinds = {type(value) for value in values}
            # pandas would make floats of integers beside None.
            apart = name in choices or (len(kinds) > 1 and kinds != {float, type(None)})
            found[head] = pd.Series(values, dtype=object) if apart else pd.Series(values)
        for name in {name for record in records for name in export.text_attributes(record)}:
            values = [(record.labels.get("user_attrs") or {}).get(name) for record in records]
            if name in headed.metrics and not any(name in record.metrics for record in records):
                found[headed.metrics[name]] = pd.Series(values, dtype=object)
        return found

    def report(self, folder: str | Path) -> Path:
        """Write the report with its figures into a folder; returns the HTML file."""
        from benchmark.hpo.report.html_report import write_report

        return write_report(self.run, self.definition, Path(folder))


class HPORunner:
    """One study: its objective, its space, and where it runs.

    Args:
        objective: a function `objective(trial)` as Optuna users write it, `"file.py:objective"`,
            the entry `objective` of a study file, a study file, or a directory with one or with
            config.json.
        space: the tunables as in a study file, or Optuna's distributions by name; without one the
            objective declares them itself by asking the trial.
        name: the study's name; a study of that name in the store goes on.
        config: the configuration, or a path to one; without it batch.config as every command has.
        on_record: called with each trial's record; without it each has a line on standard error.
        callbacks: called in this process after each trial with Optuna's study and frozen trial, as
            by `study.optimize`; `study.stop()` ends this drive.
        namespace: of Metaflow, where that runs the trials; other methods have none.
        settings: any other key of a study file, such as trials, direction, parallel, algorithm.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        space: Space | None = None,
        *,
        name: str | None = None,
        config: Config | str | Path | None = None,
        on_record: Callable[[Record], None] | None = None,
        callbacks: Sequence[Callback] = (),
        namespace: str | None = None,
        **settings: Any,
    ) -> None:
        if "HPO_TRIAL" in os.environ:
            raise StudyError(
                "HPORunner was made within a trial: the objective's file runs it when it is "
                "imported; put it below `if __name__ == '__main__':`."
            )
        _hush_optuna()
        self.namespace = namespace
        self.name = name
        self._objective = objective
        self._space = space
        self._settings = settings
        self._on_record = on_record
        if isinstance(callbacks, str) or not all(map(callable, callbacks)):
            raise StudyError(f"'callbacks' is {callbacks!r}; give a list of functions.")
        self._callbacks = tuple(callbacks)
        if config is None or isinstance(config, (str, Path)):
            config = load_config(None if config is None else str(config)).values
        self._config = in_namespace(config, namespace)

    def run(self) -> Found:
        """Run the study to its end, or go on with the one of this name, and return what it found.

        Raises:
            BenchmarkError: the study is wrong, or another process drives it.
            KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP ended it. Its trials have been stopped,
                `found` returns the results so far, and `resume` resumes it.
        """
        store = self._store()
        with self._definition(store) as declared:
            definition = self._unlike_others(store, declared)
            self.name = definition.name
            with launch.taken(
                store, definition.name, lambda: Study.begin(store, definition)
            ) as study:
                return self._driven(study)

    async def run_async(self) -> Found:
        """The same for a running event loop, which stays free."""
        return await self._in_thread(self.run)

    def resume(self, name: str | None = None) -> Found:
        """Go on with a study of the store as it was declared; settings given here go over it.

        Raises:
            StudyError: there is none of that name.
            KeyboardInterrupt: as by `run`.
        """
        chosen = self._named(name)
        store = self._store()
        with launch.taken(
            store, chosen, lambda: Study.open(store, chosen, self._settings)
        ) as study:
            return self._driven(study)

    async def resume_async(self, name: str | None = None) -> Found:
        """The same for a running event loop."""
        return await self._in_thread(lambda: self.resume(name))

    def trigger(self, *, deploy: bool | None = None) -> launch.Triggered | TriggeredFlow:
        """Begin the study and hand it to what runs on when this process has ended.

        That is a process of this machine, or a flow on the orchestrator that `metaflow` of the
        configuration names; `deploy` says whether that flow is deployed where it is not
        (by default as the configuration says).

        Raises:
            BenchmarkError: the study is wrong, or the orchestrator does not take it.
        """
        if self._callbacks:
            raise StudyError("'callbacks' are called in this process; use run, not trigger.")
        config = self._config
        if deploy is not None:
            options = config.metaflow.model_copy(update={"deploy": deploy})
            config = config.model_copy(update={"metaflow": options})
        store = self._store()
        with self._definition(store) as declared:
            definition = self._unlike_others(store, declared)
            self.name = definition.name
            with launch.taken(store, self.name, lambda: Study.begin(store, definition)) as study:
                idle = launch.nothing_left(study)
        if idle:
            trial_line.show(idle, logging.WARNING)
        return launch.trigger(definition, config)

    def found(self, name: str | None = None) -> Found:
        """The study as it stands in the store, whichever process drives it."""
        chosen = self._named(name)
        run, definition = opened(self._store(), chosen)
        return Found(chosen, run, definition)

    def _driven(self, study: Study) -> Found:
        method, config = launch.prepared(study.definition, self._config, study.files)
        for note in (*study.notes, *study.definition.warnings):
            trial_line.show(f"warning: {note}", logging.WARNING)
        definition = study.definition
        store = study.run.store
        on_record = self._on_record or (
            lambda record: trial_line.show(trial_line.line(record, definition, store))
        )
        if self._callbacks:
            on_record = self._calling(study, on_record)
        tuned = launch.drive(study, config, method, on_record)
        for fault in (tuned.why_stopped, *tuned.faults):
            if fault:
                trial_line.show(f"Stopped: {fault}", logging.WARNING)
        if tuned.interrupted:
            raise KeyboardInterrupt(
                f"Study '{definition.name}' was interrupted; "
                f"HPORunner().resume({definition.name!r}) resumes it."
            )
        return Found(
            study.definition.name,
            study.run,
            study.definition,
            tuned.stopped,
            tuned.without_result,
            tuned.why_stopped,
        )

    def _calling(
        self, study: Study, on_record: Callable[[Record], None]
    ) -> Callable[[Record], None]:
        """`on_record`, and after it the callbacks."""
        from benchmark.hpo.storages.optuna_private import as_in_optimize, has_stopped

        shown = study.optimizer.study
        as_in_optimize(shown)
        refuse_elsewhere(shown, "a callback")

        def call(record: Record) -> None:
            on_record(record)
            study.optimizer.refresh()
            trial = copy.deepcopy(study.optimizer.by_number()[int(record.task)])
            for callback in self._callbacks:
                callback(shown, trial)
            if has_stopped(shown):
                study.drive_stop.request(f"A callback stopped it after trial {record.task}.")

        return call

    def _unlike_others(self, store: Store, definition: StudyDefinition) -> StudyDefinition:
        """Under the next free name where no one chose one and the study of this name is another.

        Who edits an objective and runs it again has started another study.
        """
        if self.name is not None or self._settings.get("name") or not callable(self._objective):
            return definition
        base, chosen = definition.name, definition
        for number in itertools.count(2):
            if Study.may_begin(store, chosen):
                break
            name = f"{base}-{number}"
            chosen = replace(definition, name=name, source=definition.source | {"name": name})
        if chosen is not definition:
            trial_line.show(
                f"The study '{base}' measures another objective; this is '{chosen.name}'."
            )
        return chosen

    async def _in_thread(self, function: Callable[[], Found]) -> Found:
        task = asyncio.create_task(asyncio.to_thread(function))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Again until it has an effect: the driver withdraws an old request when it starts.
            while not task.done():
                self._request_stop()
                await asyncio.wait({task}, timeout=_AGAIN_S)
            raise

    def _request_stop(self) -> None:
        if self.name is not None:
            with contextlib.suppress(StudyError):
                control.request(opened(self._store(), self.name)[0], "stop")

    def _store(self) -> Store:
        return open_store(self._config.store_url)

    def _named(self, name: str | None) -> str:
        chosen = name or self.name
        if chosen is None:
            raise StudyError("Name the study that is meant: resume(name).")
        self.name = chosen
        return chosen

    @contextlib.contextmanager
    def _definition(self, store: Store) -> Iterator[StudyDefinition]:
        """The study as declared; its objective's files are there while the block lasts."""
        from benchmark.hpo.formats.callables import as_objective, tunables_of

        objective = self._objective
        changes = {"name": self.name, "tunables": tunables_of(self._space), **self._settings}
        changes = {key: value for key, value in changes.items() if value is not None}
        if objective is None:
            raise StudyError("HPORunner has no objective; give it one, or call resume(name).")
        if callable(objective):
            with as_objective(objective) as (folder, entry):
                yield define(_named_values(changes, objective) | {"objective": entry}, folder)
        elif isinstance(objective, (str, Path)) and is_project(Path(objective)):
            yield read_project(Path(objective), store, changes).definition
        elif isinstance(objective, (str, Path)) and _is_study(Path(objective)):
            yield read_study(study_file(Path(objective)), changes)
        else:
            folder, entry = _declared(objective)
            yield define(_named_values(changes, objective) | {"objective": entry}, folder)


def _is_study(path: Path) -> bool:
    return path.is_dir() or path.suffix in (".yaml", ".yml", ".json")


def _hush_optuna() -> None:
    """Warnings only, unless the user has asked for another level than Optuna's own default."""
    with warnings.catch_warnings():
        # In a notebook without widgets tqdm, which Optuna imports, would print a warning.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import optuna

    if optuna.logging.get_verbosity() == optuna.logging.INFO:
        optuna.logging.set_verbosity(optuna.logging.WARNING)


def _declared(objective: str | Path | Mapping[str, Any]) -> tuple[Path, Any]:
    """The folder of the files, and the entry `objective` of a study file."""
    if isinstance(objective, (str, Path)):
        place, _, function = str(objective).rpartition(":")
        if place.endswith(".py"):
            return Path(place).absolute().parent, python_objective(Path(place), function)
        return Path.cwd(), str(objective)
    return Path.cwd(), dict(objective)


def _named_values(changes: dict[str, Any], objective: Any) -> dict[str, Any]:
    """With a name and a direction, where none was given."""
    several = {} if "directions" in changes else {"direction": "minimize"}
    name = getattr(objective, "__name__", "study").strip("<>_") or "study"
    return {"name": name, **several, **changes}
