"""tune: run a study, resume one, or write a directory to start with."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.cli.interrupt import question, stopping
from benchmark.cli.output import notice, report
from benchmark.cli.progress import Bar, counted
from benchmark.cli.session import loaded_configuration, stored_studies
from benchmark.cli.studies.studies import facts, lines
from benchmark.config.extras import program
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError
from benchmark.files.numbers import plain_number
from benchmark.hpo.driver import launch, worker
from benchmark.hpo.driver.deployment import in_namespace, is_deployed
from benchmark.hpo.driver.loop import Tuned
from benchmark.hpo.driver.study_list import study_file
from benchmark.hpo.formats.project import is_project, read_project
from benchmark.hpo.report import export
from benchmark.hpo.report.default_runs import CONFIRM
from benchmark.hpo.report.drift import noise_known, noticed
from benchmark.hpo.report.log_levels import is_shown, set_levels
from benchmark.hpo.report.repeats import Plan, check, confirmed_trial, doubt
from benchmark.hpo.report.trial_line import ending, line
from benchmark.hpo.report.verdict import Verdict
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError, read_study
from benchmark.hpo.study.store import no_study, study_names
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.objective_files import gather, left_beside
from benchmark.records.results import Record
from benchmark.store import Store, open_store

NEW = "new"
TRIGGER = 3


def tune(options: argparse.Namespace) -> int:
    """Run a study, or resume it."""
    if options.study == NEW:
        return _new(options)
    if options.folder is not None:
        raise BenchmarkError(f"'{options.folder}' is an extra argument; only `tune new` takes two.")
    set_levels(options.log_level, options.optuna_log_level)
    plan = None if options.confirm is None else Plan.parse(options.confirm)
    if plan is None and options.measure_noise is not None:
        raise BenchmarkError("--measure-noise needs --confirm; add --confirm until-decided.")
    base = loaded_configuration(options).values

    @cache
    def opened() -> Store:
        return open_store(base.store_url) if options.study else stored_studies(base)

    changes = {key: getattr(options, key) for key in ("name", "trials", "algorithm", "parallel")}
    if options.objective_command:
        changes["objective"] = {"command": options.objective_command}
    base = in_namespace(base, options.namespace)
    if options.namespace and (base.compute or {}).get("*") != "metaflow":
        notice(
            f"--namespace {options.namespace} has no effect: this compute method has no namespaces."
        )
    definition = _declared(options, opened, changes)
    store = opened()
    if definition is None and options.resume not in study_names(store):
        raise StudyError(no_study(options.resume, store))
    name = definition.name if definition else options.resume
    if options.worker:
        arguments = ["--trials-per-task", str(options.trials_per_task)]
        return worker.main([store.url, name, *(arguments if options.trials_per_task else [])])

    def begin() -> Study:
        if definition is None:
            return Study.open(store, name, changes)
        if options.mode != TRIGGER:  # Refuse before a study of that name is stored.
            launch.prepared(definition, base, gather(definition))
        return Study.begin(store, definition)

    with launch.taken(store, name, begin) as study:
        if options.mode != TRIGGER:
            return _drive(options, study, base, plan)
        if plan is not None:
            _check_confirm(study.definition, base, plan)
        idle = launch.nothing_left(study) if plan is None else None
        if idle:
            report(
                options, {"study": name, "left": 0}, [f"{idle} --trials N sets a higher number."]
            )
            return 0
    started = launch.trigger(study.definition, base, _handed_on(options))
    report(options, started.facts, [started.sentence])
    return 0


def _check_confirm(definition: StudyDefinition, base: Config, plan: Plan) -> None:
    """Refuse --confirm for a deployed flow: no process would compute the verdict at its end."""
    if is_deployed(base):
        raise BenchmarkError(
            "Workers of a flow cannot confirm a result; leave --confirm out, and confirm when they "
            f"have ended: tune --resume {definition.name} --confirm {plan}"
        )
    _check_plan(definition, plan)


def _check_plan(definition: StudyDefinition, plan: Plan) -> None:
    """Refuse a study that cannot be confirmed and warn of too few pairs, before any trial runs."""
    check(definition)
    doubtful = doubt(plan)
    if doubtful:
        notice(f"warning: {doubtful}")


def _handed_on(options: argparse.Namespace) -> list[str]:
    """The options for a background driver; the study and the configuration have the rest."""
    handed = ["--log-level", options.log_level, "--optuna-log-level", options.optuna_log_level]
    if options.confirm is not None:
        handed += ["--confirm", options.confirm]
    if options.measure_noise is not None:
        handed += ["--measure-noise", str(options.measure_noise)]
    return [*handed, "--detach"] if options.detach else handed


def _declared(
    options: argparse.Namespace, opened: Callable[[], Store], changes: dict[str, Any]
) -> StudyDefinition | None:
    """The study that a file or a directory declares; None to resume one of the store.

    The store is opened, and thus created, only if there is a study to start.
    """
    if options.study is None:
        if options.resume is None:
            raise BenchmarkError("Name a study file, or --resume NAME to resume a study.")
        return None
    if options.resume is not None:
        if options.name not in (None, options.resume):
            raise BenchmarkError(f"The resumed study is '{options.resume}'; leave --name out.")
        if options.resume not in study_names(opened()):
            raise StudyError(no_study(options.resume, opened()))
        changes["name"] = options.resume
    path = Path(options.study)
    if path.is_dir() and is_project(path):
        project = read_project(path, opened(), changes)
        if project.ignored:
            notice(f"Ignored keys in config.json: {', '.join(project.ignored)}")
        return project.definition
    return read_study(study_file(path), changes)


def _drive(options: argparse.Namespace, study: Study, base: Config, plan: Plan | None) -> int:
    definition = study.definition
    method, config = launch.prepared(definition, base, study.files)
    if plan is not None:
        _check_plan(definition, plan)
    for warning in (*study.notes, *definition.warnings):
        notice(f"warning: {warning}")
    idle = launch.nothing_left(study)
    had = definition.trials - study.left
    if idle and plan is None:
        notice(f"{idle} --trials N sets a higher number.")
    elif not idle:
        notice(
            f"Study '{definition.name}': {counted(definition.trials, 'trial')} "
            f"({had} already started), {config.parallel} at a time, {_algorithm(definition)}, "
            f"{definition.memory_mb} MiB and at most {definition.time_s:g} s each, in "
            f"{study.run.store.url}"
        )

    with TrialProgress(study, config.parallel or 1) as progress:
        ask = question(progress.hidden)
        tuned = launch.drive(
            study,
            config,
            method,
            progress.add,
            detach=options.detach,
            ask=ask,
            on_stop=stopping(f"tune --resume {definition.name}"),
        )
        if tuned.why_stopped:
            progress.leave_out(progress.left)
    if study.exhausted:
        notice("Every point of the space has been tried.")
    for said in noticed(export.trial_records(study.run), definition):
        notice(said)
    _ends(tuned, definition, method)
    interrupted = tuned.interrupted and not tuned.detached
    lost = bool(interrupted or tuned.without_result or tuned.faults)
    ended = not (tuned.stopped or tuned.detached)
    if not lost and ended:
        lost = not _measure_again(study, config, method)
    found, text = facts(study.run, definition), lines(study.run, definition)
    if found["told"] and not found["success"]:
        notice(
            f"No trial has succeeded; `studies export {definition.name}` writes what they printed."
        )
        lost = True
    if plan is not None and not lost and ended:
        verdict = _confirm(study, config, method, plan, options.measure_noise)
        lost = verdict is None
        found |= {"verdict": verdict.facts()} if verdict else {}
        text += [str(verdict)] if verdict else []
    report(options, found, text)
    return int(lost)


class TrialProgress(Bar):
    """Shows each trial as it ends, and the best so far."""

    def __init__(self, study: Study, parallel: int) -> None:
        self._definition = study.definition
        self._store = study.run.store
        self._parallel = parallel
        records = export.trial_records(study.run)
        self._best = export.best_of(records, study.definition)
        imported = sum(bool(record.labels.get("imported")) for record in records)
        done = len(records) - imported
        super().__init__(max(study.definition.trials, done), done)

    def add(self, record: Record) -> None:
        self._best = export.best_of([*self._best, record], self._definition)
        self._advance(
            line(record, self._definition, self._store) if is_shown(logging.INFO) else None
        )

    def _state(self) -> str:
        running = f"{min(self._total - self._done, self._parallel)} running"
        if len(self._definition.directions) > 1:
            return f"{len(self._best)} on the Pareto front, {running}"
        found = [(plain_number(one.labels["values"][0]), one.task) for one in self._best]
        best = [f"best {value} (trial {number})" for value, number in found]
        return ", ".join([*best, running])


def _ends(tuned: Tuned, definition: StudyDefinition, method: str) -> None:
    """Why the trials ended, what goes on and what is missing."""
    if tuned.why_stopped:
        notice(f"Stopped: {tuned.why_stopped}")
        for name in left_beside(tuned.why_stopped, definition.folder):
            notice(
                f"{name} is beside the study file, and no trial has it: objective: files: [{name}]"
            )
    if tuned.stopped:
        notice(f"Stopped by `studies stop`; resume with: tune --resume {definition.name}")
    if tuned.detached:
        notice(f"Left running on {method}; resume with: tune --resume {definition.name}")
    elif tuned.interrupted:
        notice(f"Interrupted; resume with: tune --resume {definition.name}")
    for record in tuned.without_result:
        notice(f"warning: trial {record.task} has no result ({record.cause}): {record.message}")
    if tuned.without_result and not tuned.interrupted:
        notice(f"It counts as not run. Fix the cause; then: tune --resume {definition.name}")
    for fault in tuned.faults:
        notice(f"warning: {fault}")


def _measure_again(study: Study, config: Config, method: str) -> bool:
    """Run the leading trials again where the noise hides which is best; False if interrupted."""
    from benchmark.hpo.driver.confirmation import measure_leaders

    definition = study.definition
    found, why = export.to_measure_again(export.trial_records(study.run), definition)
    if not found or definition.remeasure is None:
        return True

    def show(record: Record) -> None:
        notice(f"trial {record.labels[export.LEADER]} again: {ending(record, definition)}")

    numbers = ", ".join(record.task for record in found)
    times = definition.remeasure.runs
    notice(f"Running trials {numbers} again, {times} times each, because {why}")
    if measure_leaders(study, config, method, found, show):
        return True
    notice("Interrupted: the same command continues with the runs that are missing.")
    return False


def _algorithm(definition: StudyDefinition) -> str:
    """The algorithm's name, and why `auto` chose it."""
    why = definition.algorithm_why
    return f"{definition.algorithm} (auto: {why})" if why else definition.algorithm


def _confirm(
    study: Study, config: Config, method: str, plan: Plan, noise_runs: int | None
) -> Verdict | None:
    """The verdict, after runs that measure the noise if requested; None if interrupted."""
    from benchmark.hpo.driver.confirmation import confirm, measure_noise
    from benchmark.hpo.report.verdict import judge

    def show_repeat(record: Record) -> None:
        notice(f"{record.labels[CONFIRM]}: {ending(record, study.definition)}")

    if confirmed_trial(study.run, study.definition) is None:
        return judge(study.run, study.definition, 0)
    if noise_runs is not None:
        notice(f"Running the default {noise_runs} times to measure the noise")
        if not measure_noise(study, config, method, noise_runs, show_repeat):
            notice("Interrupted: the same command continues with the runs that are missing.")
            return None
    most = "at most " if plan.stops else ""
    notice(f"Comparing best and default, {most}{plan.pairs} pairs")
    known = noise_known(study.run, study.definition, plan)
    notice(known or "The noise is unknown; --measure-noise N measures it first.")
    verdict = confirm(study, config, method, plan, show_repeat)
    if verdict is None:
        notice("Interrupted: the same command continues the verdict where it stopped.")
    return verdict


def _new(options: argparse.Namespace) -> int:
    from benchmark.hpo.formats.project import write_project

    if options.folder is None:
        raise BenchmarkError("Name the directory to write: tune new DIR.")
    written = [str(path) for path in write_project(Path(options.folder))]
    report(options, {"files": written}, [*written, f"Run it: {program()} tune {options.folder}"])
    return 0
