"""The evaluation of a trial: its objective into the sandbox, metrics and value out of it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.errors import SetupError
from benchmark.execution.machine.mpi import launcher
from benchmark.execution.sandbox.zygotes import THREADS
from benchmark.execution.task_files import TaskFileError, read_left
from benchmark.execution.work import Limits, Outcome, Work
from benchmark.hpo.objectives.metrics.measured_values import (
    MeasureError,
    NotThereError,
    OtherUnitError,
)
from benchmark.hpo.objectives.metrics.measuring import LARGEST, read_answer
from benchmark.hpo.objectives.metrics.prometheus import UnreachableError
from benchmark.hpo.objectives.objective import HOOKS, HOST, STILL_PRINTING
from benchmark.hpo.objectives.patterns import PatternError
from benchmark.hpo.objectives.stages import READY_BEFORE, WARM_UPS, WaitReady, WarmUp
from benchmark.hpo.report.default_runs import CONFIRM
from benchmark.hpo.sandboxed import command_steps
from benchmark.hpo.space.templates import filled, filled_words, plain
from benchmark.hpo.space.units import Unit
from benchmark.hpo.spec.stop_rules import EMPTY, WRONG, WRONG_UNIT
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, define
from benchmark.hpo.trials import objective_files, python_objective, restore_hooks
from benchmark.hpo.trials.artifacts import with_artifacts
from benchmark.hpo.trials.failed_runs import Ran, ended
from benchmark.hpo.trials.name_lease import NameLease
from benchmark.hpo.trials.trial_record import Trial
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

CONFIG_FILE = "trial.json"
_STEPS = "trial-steps.json"
_HOST = "host-"
_WHY_PRUNED = "That counts as pruned; with prune: {empty: false} it is a failure."


class TrialEvaluation:
    """A point of a space measured by the study's command or Python function."""

    def __init__(self) -> None:
        self._definitions: dict[str, StudyDefinition] = {}
        self._history = python_objective.History()
        self._marks = restore_hooks.Marks()
        self._lease: NameLease | None = None
        self._host: str | None = None

    def prepare(self, task: Task, run: Run) -> Work:
        """The objective's command, with its files and the point laid out in the work folder.

        Raises:
            SetupError: the study's files are not in the store, its environment cannot be built, a
                secret of the runner's is not set, or what an earlier trial changed cannot be put
                back.
        """
        definition = self._definition(run)
        objective = definition.objective
        if objective.measuring.prometheus is not None:
            objective.measuring.prometheus.check()
        if objective.restore:
            self._marks.put_all_back(run)
        if objective.hosts:
            names = [f"{_HOST}{host}" for host in objective.hosts]
            self._lease = self._lease or NameLease(run.store, names)
            self._host = self._lease.take().removeprefix(_HOST)
        if objective.restore:
            argv = self._argv(objective.restore, task, run)
            variables = self._variables(definition, task)
            hook = restore_hooks.Hook(
                argv, variables, objective.hook_s, definition.secrets, objective.has_steps
            )
            self._marks.add(run, task.key, hook)
        return self._work(definition, task, run)

    def finish(self, task: Task, run: Run, outcome: Outcome) -> Record:
        """The record: metrics as the median of the repeats, values, or why there are none."""
        definition = self._definition(run)
        trial = Trial(task, definition, outcome, dict(task.payload["params"]))
        trial.ran(outcome)
        try:
            if definition.objective.function:
                record = self._of_function(trial, run)
            else:
                record = self._of_command(trial, run)
            record = with_artifacts(trial, run, record, outcome.attempt)
        except PatternError as error:
            record = trial.failed(Cause.FRAMEWORK, str(error))
        finally:
            fault = _put_back(definition, run, task, outcome)
            self._free_host()
        if fault is not None:
            record = replace(record, labels=record.labels | {"not_restored": fault})
        if self._host is not None:
            record = replace(record, labels=record.labels | {HOST: self._host})
        return record

    def close(self) -> None:
        """Give the target host to the next, and what is owed to who comes after."""
        self._free_host()
        self._marks.close()

    def _free_host(self) -> None:
        if self._lease is not None:
            self._lease.give_back()

    def _definition(self, run: Run) -> StudyDefinition:
        if run.name not in self._definitions:
            source = run.manifest.conditions["study"]
            place = f"The manifest of {run.name}"
            self._definitions[run.name] = define(source, Path(), place, stored=True)
        return self._definitions[run.name]

    def _work(self, definition: StudyDefinition, task: Task, run: Run) -> Work:
        objective = definition.objective
        number, params = int(task.payload["trial"]), task.payload["params"]
        function = objective.function is not None
        request: dict[str, Any] = {}
        entry: dict[str, Any]
        preload: tuple[str, ...]
        if function:
            # A repeat that confirms is measured to its end: it has no past to be pruned by.
            past = [] if CONFIRM in task.payload else self._history.of(run, definition)
            request = python_objective.request(definition, task, past)
        elif objective.has_steps:
            request = self._steps(definition, task, run)

        def inputs(folder: Path) -> dict[str, Any]:
            try:
                objective_files.lay_out(run, folder)
            except StudyError as error:
                raise SetupError(str(error)) from None
            # A result that lies among the study's files is none of this trial's.
            for name in objective.measuring.files:
                path = folder / name
                if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
                    path.unlink()
            place = objective.config_file or CONFIG_FILE
            objective_files.lay_out_point(folder, place, number, params)
            if request:
                name = python_objective.REQUEST if function else _STEPS
                (folder / name).write_text(json.dumps(request), encoding="utf-8")
            return {}

        limit_s = definition.time_s
        python, preload = Path(sys.executable), ()
        if function and not objective.environment:
            python, preload = python_objective.interpreter(run), python_objective.PRELOAD
            entry = python_objective.script()
        elif function:
            # Variables such as PYTHONPATH or OMP_NUM_THREADS are for an interpreter's start.
            entry = {"argv": python_objective.argv(python_objective.interpreter(run))}
        elif request:
            entry = {"argv": [sys.executable, str(Path(command_steps.__file__).resolve()), _STEPS]}
            limit_s = definition.total_s
        else:
            argv = self._argv(objective.argv, task, run, objective.positional)
            entry = {"argv": [*_launched(task), *argv]}
        return Work(
            python=python,
            preload=preload,
            entry=entry,
            limits=Limits(limit_s, task.resources.memory_mb, task.resources.cores),
            seed=number,
            inputs=inputs,
            environment=self._variables(definition, task),
            secrets=definition.secrets,
            stdout_apart=not (function or request),
        )

    def _variables(self, definition: StudyDefinition, task: Task) -> dict[str, str]:
        values = self._values(task)
        own = definition.objective.environment
        mpi = task.resources.mpi
        return {
            **(dict.fromkeys(THREADS, str(mpi.threads_per_rank)) if mpi else {}),
            "HPO_TRIAL": str(task.payload["trial"]),
            **({"HPO_TARGET": self._host} if self._host else {}),
            **{key: filled(text, values) for key, text in own.items()},
        }

    def _values(self, task: Task) -> dict[str, Any]:
        return {**task.payload["params"], **({HOST: self._host} if self._host else {})}

    def _argv(
        self, words: tuple[str, ...], task: Task, run: Run, positional: bool = False
    ) -> list[str]:
        values = self._values(task)
        argv = filled_words(words, values)
        if positional:
            names = self._definition(run).space.names
            argv += [plain(values.get(name)) for name in names]
        # `python` is this interpreter: the one that a user sees may be another, or none.
        if argv[0] in ("python", "python3") and shutil.which(argv[0]) is None:
            argv[0] = sys.executable
        elif argv[0] in run.manifest.conditions["files"]:
            argv[0] = f"./{argv[0].removeprefix('./')}"
        return argv

    def _steps(self, definition: StudyDefinition, task: Task, run: Run) -> dict[str, Any]:
        objective = definition.objective
        hooks = {name: getattr(objective, name) for name in HOOKS}
        argv = self._argv(objective.argv, task, run, objective.positional)
        return {
            **{name: self._argv(hook, task, run) if hook else [] for name, hook in hooks.items()},
            "command": [*_launched(task), *argv],
            "turns": objective.turns,
            "time_s": definition.time_s,
            "hook_s": objective.hook_s,
            "measured": list(objective.measuring.files),
            "wait_ready": self._stage(objective.wait_ready, task, run),
            "warm_up": self._stage(objective.warm_up, task, run),
        }

    def _stage(
        self, wanted: WaitReady | WarmUp | None, task: Task, run: Run
    ) -> dict[str, Any] | None:
        if wanted is None:
            return None
        argv = self._argv(wanted.command, task, run) if wanted.command else []
        return {"command": argv} | wanted.request(self._values(task))

    def _of_function(self, trial: Trial, run: Run) -> Record:
        measured = []
        for turn in range(trial.definition.objective.repeats):
            if turn:
                # At the point that the first run of an open study chose.
                task = trial.task
                task = replace(task, payload=task.payload | {"params": trial.params})
                trial.ran(trial.outcome.follow_up(self._work(trial.definition, task, run)))
            found = python_objective.measured(trial)
            if isinstance(found, Record):
                return found
            measured.append(found)
            if trial.is_narrow(measured):
                break
        return trial.measured(measured)

    def _of_command(self, trial: Trial, run: Run) -> Record:
        objective = trial.definition.objective
        measured: list[dict[str, float]] = []
        stopped: Record | None = None
        for turn, ran in enumerate(self._runs(trial, run)):
            stopped = ended(trial, ran)
            if stopped is not None:
                return stopped
            if turn < objective.warmups:
                continue
            try:
                measured.append(_read(trial, ran))
            except UnreachableError as error:
                return trial.failed(Cause.INFRASTRUCTURE, str(error))
            except MeasureError as error:
                empty = not (ran.output.strip() or objective.measuring.prometheus)
                # A file that cannot be read is something, and no sign of a point without values.
                empty = empty and not any(
                    (ran.folder / name).exists() for name in objective.measuring.files
                )
                if objective.prune.empty and empty:
                    trial.labels[EMPTY] = True
                    return trial.pruned(f"{error} {_WHY_PRUNED}")
                if isinstance(error, NotThereError) and not empty:
                    trial.blame_study(certain=error.certain)
                if isinstance(error, OtherUnitError):
                    trial.labels[WRONG] = WRONG_UNIT
                return trial.failed(Cause.FRAMEWORK, str(error))
            if trial.is_narrow(measured):
                break
        return trial.measured(measured)

    def _runs(self, trial: Trial, run: Run) -> Iterator[Ran]:
        """Each run of the command: all in one sandbox where there are hooks, else each in its own.

        A caller that has seen enough asks for no more.
        """
        objective = trial.definition.objective
        if not objective.has_steps:
            work: Work | None = None
            for turn in range(objective.turns):
                if turn:
                    work = work or self._work(trial.definition, trial.task, run)
                    trial.ran(trial.outcome.follow_up(work))
                ran = trial.outcome
                log, stdout = (text.decode(errors="replace") for text in (ran.log, ran.stdout))
                end = time.time() - (time.monotonic() - ran.gone)
                yield Ran(ran.folder, log, ran.code, stdout, (end - ran.wall_s, end))
            return
        log = trial.outcome.log.decode(errors="replace")
        answer = read_answer(trial.outcome.folder, command_steps.ANSWER)
        if trial.outcome.cause is not None or answer is None:
            yield Ran(trial.outcome.folder, log, trial.outcome.code or 1)
            return
        if answer["warm_ups"]:
            trial.labels[WARM_UPS] = answer["warm_ups"]
        if answer["ready_before"]:
            trial.labels[READY_BEFORE] = True
        if answer["printing"]:
            trial.labels[STILL_PRINTING] = answer["printing"]
        stopped = answer["stopped"]
        # What a hook did not collect is no result of its run.
        whole = answer["runs"][: -1 if stopped and stopped["step"] == "collect" else None]
        for turn, code in enumerate(whole):
            folder = trial.outcome.folder / command_steps.FOLDER / str(turn)
            output, stdout = map(_printed, command_steps.printed(folder))
            began, ended = answer["windows"][turn]
            yield Ran(folder, output, code, stdout, (began, ended))
        if stopped:
            trial.labels["stopped"] = stopped
            restored = _printed(
                command_steps.printed(trial.outcome.folder / command_steps.RESTORED)[0]
            ).strip()
            yield Ran(trial.outcome.folder, log.strip().removesuffix(restored), stopped["code"])


def _read(trial: Trial, ran: Ran) -> dict[str, float]:
    """The metrics of a run.

    Raises:
        MeasureError: there are none, or one has another unit than in an earlier run.
        UnreachableError: the server that has them does not answer.
    """
    units: dict[str, Unit] = {}
    measuring = trial.definition.objective.measuring
    metrics = measuring.read(ran.folder, ran.stdout, trial.texts, units, ran.window)
    trial.add_units(metrics, units)
    return metrics


def _put_back(definition: StudyDefinition, run: Run, task: Task, outcome: Outcome) -> str | None:
    """Run the restore hook, unless the trial did; what went wrong, in a sentence."""
    if not definition.objective.restore:
        return None
    if definition.objective.has_steps and not definition.objective.function:
        answer = read_answer(outcome.folder, command_steps.ANSWER)
        if answer is not None and answer.get("restored") is True:
            restore_hooks.forget(run, task.key)
            return None
    return restore_hooks.put_back(run, task.key)


def _launched(task: Task) -> list[str]:
    """What starts the ranks of an MPI program; nothing for any other."""
    mpi = task.resources.mpi
    return launcher(mpi, os.environ) if mpi else []


def _printed(path: Path) -> str:
    """What a run in the sandbox printed; nothing where the trial has put something else there."""
    try:
        return (read_left(path, LARGEST, cut=True) or b"").decode(errors="replace")
    except TaskFileError:
        return ""
