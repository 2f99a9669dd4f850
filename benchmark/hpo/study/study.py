"""A study in its store: trials are asked for, dispatched as tasks, and ended from their records.

    study = Study.begin(store, definition)
    for task in study.ask(2):
        ...                                  # any dispatcher
    study.tell(record)

The record is the truth. A trial is ended from it, once, however often it is tried; a trial that was
asked and has no record is run again under its own number.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import ConditionsDifferError
from benchmark.hpo.objectives.objective import EXTERNAL
from benchmark.hpo.report import trial_line
from benchmark.hpo.report.shown_study import ShownStudy
from benchmark.hpo.samplers.define_by_run import OpenOptimizer
from benchmark.hpo.samplers.optimizer import Optimizer
from benchmark.hpo.samplers.proposal import Asked, ExhaustedError, Status, Told
from benchmark.hpo.space.search_space import Params, held_beside, layers_of
from benchmark.hpo.spec.stop_rules import IMPORTED, DriveStop, Progress, Stop
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define
from benchmark.hpo.spec.trial_task import stored_point, trial_task
from benchmark.hpo.storages.storage import open_storage
from benchmark.hpo.study import source_files, warm_start
from benchmark.hpo.study.deletion import forget_trial
from benchmark.hpo.study.safety import DRIFT, Safety
from benchmark.hpo.study.source_files import check_startable
from benchmark.hpo.study.store import (
    EXACT,
    check_same,
    journal_path,
    manifest_of,
    more_conditions,
    no_study,
    run_name,
)
from benchmark.hpo.study.task_order import AFTER
from benchmark.hpo.study.trial_states import TrialStates, attrs_of
from benchmark.hpo.study.warm_start import WarmStart
from benchmark.hpo.trials import objective_files
from benchmark.records import results
from benchmark.records.layout import DELETED, OUT, TASKS
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task, same_values
from benchmark.store import Store

WORKER = "worker"
_STATUS: dict[str, Status] = {"success": "success", "prune": "prune"}


class Study(ShownStudy):
    """One study. Not for several threads.

    `worker` is the name of one of several processes that share the study, see local_workers.py.
    """

    def __init__(self, run: Run, definition: StudyDefinition, worker: str | None = None) -> None:
        self.run = run
        self.definition = definition
        self.worker = worker
        self.exhausted = False
        self._begin_with: list[Params] | None = None
        self.notes: list[str] = []
        self._progress = Progress(definition.directions)
        self._regret = definition.stop.regret_bound(
            definition.space, definition.directions, definition.seed
        )
        self._warm = WarmStart.of(run, definition)
        self.drive_stop = DriveStop(definition.stop.failures)
        self._read: set[str] = set()
        self._has_past = False
        kind = OpenOptimizer if definition.is_open else Optimizer
        self.optimizer: Optimizer = kind(
            definition.space,
            list(definition.directions.values()),
            definition.algorithm,
            definition.seed,
            open_storage(definition.storage or journal_path(run.store, run.name), definition.name),
            definition.name,
            definition.algorithm_options,
        )
        self._safety = Safety.of(definition, self.optimizer)
        self._states = TrialStates(self.optimizer)
        self._restore()
        states = {trial.state.name for trial in self.optimizer.trials()}
        self.drive_stop.works = bool(states & {"COMPLETE", "PRUNED"})

    @staticmethod
    def begin(store: Store, definition: StudyDefinition, worker: str | None = None) -> Study:
        """Begin a study, or go on with the one of that name.

        Raises:
            ConditionsDifferError: there is one of that name that measures something else.
            SetupError: the environment that it declares cannot be resolved.
            DataError: a data set of its benchmark cannot be had.
        """
        name = run_name(definition.name)
        files = objective_files.gather(definition)
        check_startable(definition.objective, files, definition.folder)
        is_present = store.get(f"{name}/manifest.json") is not None
        present = Run.open(store, name) if is_present else None
        known = present.manifest.conditions if present else {}
        more = more_conditions(store, definition, known)
        manifest = manifest_of(definition, objective_files.describe(files), more)
        run = Run(name, store, manifest)
        if present is not None:
            check_same(present, manifest)
        else:
            warm_start.keep(run, definition)
        objective_files.keep(run, files)
        run.save()
        study = Study(run, definition, worker)
        study.notes += source_files.changed_outside(run)
        source_files.keep(run, definition, files)
        return study

    @staticmethod
    def may_begin(store: Store, definition: StudyDefinition) -> bool:
        """Whether no study of that name measures something else."""
        name = run_name(definition.name)
        if store.get(f"{name}/manifest.json") is None:
            return True
        present = Run.open(store, name)
        more = more_conditions(store, definition, present.manifest.conditions)
        files = objective_files.describe(objective_files.gather(definition))
        try:
            check_same(present, manifest_of(definition, files, more))
        except ConditionsDifferError:
            return False
        return True

    @staticmethod
    def open(
        store: Store, name: str, changes: dict[str, Any] | None = None, worker: str | None = None
    ) -> Study:
        """A study of the store, by its name; `changes` are keys that differ from now on.

        An `objective` among them measures from now on what a service's clients measured before.

        Raises:
            StudyError: there is none, or it has an objective of its own.
            ConditionsDifferError: with a change it would measure something else.
        """
        if store.get(f"{run_name(name)}/manifest.json") is None:
            raise StudyError(no_study(name, store))
        run = Run.open(store, run_name(name))
        given = {key: value for key, value in (changes or {}).items() if value is not None}
        known = run.manifest.conditions["study"]
        # A command reports nothing to prune by, as clients do.
        mine = {key: v for key, v in known.items() if "objective" not in given or key != "pruner"}
        is_kept = not {"tunables", "forbidden", "objective"} & given.keys()
        definition = define(mine | given, Path(), f"Study '{name}'", stored=is_kept)
        if not same_values(given.get("objective", known["objective"]), known["objective"], EXACT):
            if known["objective"] != EXTERNAL:
                raise StudyError(
                    f"Study '{name}' has a command of its own; --command is for one that a "
                    "service's clients have measured."
                )
            files = objective_files.gather(definition)
            objective_files.keep(run, files)
            run = Run(run.name, store, manifest_of(definition, objective_files.describe(files)))
            run.save()
        elif not same_values(definition.source, known, definition.source):
            # Workers and drivers elsewhere open it by its name.
            conditions = run.manifest.conditions | {"study": definition.source}
            manifest = replace(run.manifest, conditions=conditions)
            check_same(run, manifest)
            run = Run(run.name, store, manifest)
            run.save()
        study = Study(run, definition, worker)
        study.notes += source_files.changed(run)
        return study

    @property
    def files(self) -> dict[str, Any]:
        """The files that every trial gets, by name."""
        kept: dict[str, Any] = self.run.manifest.conditions["files"]
        return kept

    @property
    def left(self) -> int:
        """How many trials may still be asked."""
        return max(0, self.definition.trials - self.asked)

    @property
    def asked(self) -> int:
        """How many trials have started; those that were imported do not count."""
        self._states.look()
        return self._states.asked

    @property
    def why_stop(self) -> str | None:
        """Why no more trials should begin though some are left, in a sentence."""
        stop = self.definition.stop
        if self.drive_stop.why_stop or stop == Stop(failures=stop.failures):
            return self.drive_stop.why_stop
        return self.progress.why_stop(stop) or stop.why_regret(self._regret, self._progress)

    @property
    def progress(self) -> Progress:
        """What the trials have taken and brought so far, those of other workers among them."""
        if not self._has_past or self.worker is not None:
            self._look_back()
        return self._progress

    def _look_back(self) -> None:
        """Take in the records of the store that are new here, in the order of their ends.

        Later those of the trials that have ended since.
        """
        store, found = self.run.store, []
        self._states.look()
        if self._has_past:
            paths = [self.run.out_path(str(number)) for number in self._states.ended]
        else:
            paths = store.list(f"{self.run.name}/{OUT}")
        self._states.ended.clear()
        new = [path for path in paths if path not in self._read]
        for path, data in store.get_many(new):
            record = Record.from_bytes(data)
            if record is not None and record.task.isdigit():
                found.append(record)
            self._read.add(path)
        for record in sorted(found, key=lambda record: record.ended or ""):
            self._learn(record)
        self._has_past = True

    def _learn(self, record: Record) -> None:
        self._progress.add(record)
        self._warm.add(record)
        if self._safety:
            self._safety.add(record)

    def unfinished(self) -> list[Task]:
        """The trials that were asked and have no record, after telling those that have one.

        One that a living worker or driver has is theirs.
        """
        waiting = []
        for asked in self.optimizer.running():
            record = results.current_record(self.run, str(asked.number))
            if record is not None and self.tell(record):
                continue
            labels = self._labels_of(asked.number)
            other = labels.pop(WORKER, None)
            if not other and self.worker and self.run.store.is_locked(f"driver-{self.run.name}"):
                continue
            if other and other != self.worker and self.run.store.is_locked(f"worker-{other}"):
                continue
            waiting.append(self._task(asked, **labels))
        return waiting

    def ask(self, count: int = 1, after: Iterable[str] = ()) -> list[Task]:
        """At most that many new trials as tasks: fewer where trials or points are used up.

        `after` are the keys of tasks that must have a record before these run, see task_order.py.
        """
        asked: list[Task] = []
        labels: dict[str, Any] = {AFTER: list(after)} if after else {}
        for _ in range(min(count, self.left)):  # counted once: a look at every trial
            if self.exhausted:
                break
            try:
                one, more = self._next()
                asked.append(self._task(one, **labels, **more))
            except ExhaustedError:
                self.exhausted = True
        return asked

    def tell(self, record: Record) -> bool:
        """Tell the optimizer how a trial ended; False where it has no result yet."""
        if not record.is_result:
            return False
        labels = record.labels
        number = int(record.task)
        outcome = Told(
            status=_STATUS.get(record.status, "failure"),
            values=tuple(labels.get("values") or ()),
            constraints=tuple(labels.get("constraints") or ()),
            intermediate={int(k): v for k, v in (labels.get("intermediate") or {}).items()},
            metrics=dict(record.metrics),
            attrs=attrs_of(labels),
        )
        if isinstance(self.optimizer, OpenOptimizer):
            self.optimizer.suggested(number, labels)
        self.optimizer.tell(number, outcome)
        self.drive_stop.add(record)
        if not self._has_past:
            self._look_back()
        if self.run.out_path(record.task) not in self._read:
            self._learn(record)
        self._read.add(self.run.out_path(record.task))
        self.run.store.delete([self.run.task_path(record.task)])  # the record has all of it
        unsafe = self._safety.warning if self._safety else None
        warnings = () if labels.get(IMPORTED) else (self._progress.warning, unsafe)
        for warning in filter(None, warnings):
            trial_line.show(f"warning: {warning}", logging.WARNING)
        return True

    def adopt(self, params: Params, source: str) -> Task:
        """A trial at a point that was measured elsewhere; `source` says which row it was."""
        return self._task(self.optimizer.ask(params), imported=source)

    def _next(self) -> tuple[Asked, dict[str, Any]]:
        """The next trial, with what its task says of where its point comes from."""
        definition = self.definition
        first = None if definition.is_open else self._first()
        if first is not None:
            return self.optimizer.ask(first), self._warm.label(first)
        if self._safety or self._warm.past:
            self._look_back()
        if self._safety:
            return self._safety.next(self.optimizer)
        every, layers = definition.default_every, layers_of(definition.space)
        if not every and len(layers) < 2:
            return self._warm.next(self.optimizer)
        self._states.look()
        number = self._states.asked  # imported trials take no layer's turn
        if every and number % every == 0:
            return self.optimizer.ask(definition.space.default()), {DRIFT: True}
        layer = definition.layering.layer_of(number, definition.trials, layers)
        if layer is None:
            return self._warm.next(self.optimizer)
        return self._of_layers(layers, layers.index(layer))

    def _of_layers(self, layers: tuple[str, ...], turn: int) -> tuple[Asked, dict[str, Any]]:
        """A point of one layer; where that has none left, of the next one."""
        best = self.progress.best
        for layer in (*layers[turn:], *layers[:turn]):
            held = held_beside(self.definition.space, layer, best)
            try:
                return self.optimizer.ask(held=held), {"layer": layer}
            except ExhaustedError:
                continue
        return self.optimizer.ask(), {}

    def _first(self) -> Params | None:
        """The default and the initial points come before what the algorithm proposes."""
        if self._begin_with is None:
            self._begin_with = self.optimizer.begin_with(self._warm.first)
        return self._begin_with.pop(0) if self._begin_with else None

    def _task(self, asked: Asked, **labels: Any) -> Task:
        worker = {WORKER: self.worker} if self.worker else {}
        task = trial_task(self.run, self.definition, asked.number, asked.params, **labels, **worker)
        self.run.store.put(self.run.task_path(task.key), task.to_json().encode())
        return task

    def _labels_of(self, number: int) -> dict[str, Any]:
        """The labels of a trial that was asked before; the worker that had it among them."""
        data = self.run.store.get(self.run.task_path(str(number)))
        labels: dict[str, Any] = json.loads(data).get("labels", {}) if data else {}
        return {
            key: value for key, value in labels.items() if key not in ("study", "trial", "params")
        }

    def _restore(self) -> None:
        """Trials in the store that Optuna does not know: its file was lost.

        What a kill left of a trial that was being deleted is removed.
        """
        store, run = self.run.store, self.run
        gone, out, tasks = (
            {run.key_of(path) or "" for path in store.list(f"{run.name}/{part}")}
            for part in (DELETED, OUT, TASKS)
        )
        known = len(self.optimizer.by_number())
        # The repeats that confirm a best configuration are tasks of the run and no trials.
        for number in sorted(int(key) for key in gone | out | tasks if key.isdigit()):
            if number >= known:
                params = stored_point(run, number)
                restored = self.optimizer.ask(None if self.definition.is_open else params)
                if restored.number != number:
                    raise StudyError(
                        f"Trial {number} of '{self.definition.name}' cannot be restored, because "
                        f"an earlier one is missing in {store.url}."
                    )
            if number not in self.optimizer.deleted and str(number) in gone:
                self.optimizer.delete(number)
            elif number in self.optimizer.deleted and str(number) in out | tasks:
                forget_trial(run, self.optimizer, number)
