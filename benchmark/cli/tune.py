"""The command that runs a study, goes on with one, or writes a directory to begin with."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.leaving import question
from benchmark.cli.output import notice, report
from benchmark.cli.session import loaded_configuration, stored_studies
from benchmark.cli.studies import facts, lines
from benchmark.errors import BenchmarkError
from benchmark.hpo import export, launching, worker
from benchmark.hpo.deploying import in_namespace, is_deployed
from benchmark.hpo.drift import drift
from benchmark.hpo.listing import study_file
from benchmark.hpo.logs import is_told, set_levels
from benchmark.hpo.project import is_project, read_project
from benchmark.hpo.study import Study, study_names
from benchmark.hpo.study_file import StudyError, read_study
from benchmark.hpo.study_store import no_study
from benchmark.hpo.telling import ending, line
from benchmark.hpo.verdict import CONFIRM, check, doubt
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from benchmark.config import Config
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.store import Store

NEW = "new"
TRIGGER = 3


def tune(options: argparse.Namespace) -> int:
    """Run a study, or go on with it."""
    if options.study == NEW:
        return _new(options)
    if options.folder is not None:
        raise BenchmarkError(f"'{options.folder}' is one argument too many; only new takes two.")
    set_levels(options.log_level, options.optuna_log_level)
    base = loaded_configuration(options).values

    @cache
    def opened() -> Store:
        return open_store(base.store_url) if options.study else stored_studies(base)

    changes = {key: getattr(options, key) for key in ("name", "trials", "algorithm", "parallel")}
    if options.objective_command:
        changes["objective"] = {"command": options.objective_command}
    base = in_namespace(base, options.namespace)
    if options.namespace and (base.compute or {}).get("*") != "metaflow":
        notice(f"The namespace '{options.namespace}' says nothing to this compute method.")
    definition = _declared(options, opened, changes)
    store = opened()
    if definition is None and options.resume not in study_names(store):
        raise StudyError(no_study(options.resume, store))
    name = definition.name if definition else options.resume
    if options.worker:
        arguments = ["--trials-per-task", str(options.trials_per_task)]
        return worker.main([store.url, name, *(arguments if options.trials_per_task else [])])

    def begin() -> Study:
        return Study.begin(store, definition) if definition else Study.open(store, name, changes)

    with launching.taken(store, name, begin) as study:
        if options.mode != TRIGGER:
            return _drive(options, study, base)
        if options.confirm is not None:
            _check_confirm(study.definition, base, options.confirm)
    started = launching.trigger(study.definition, base, _handed_on(options))
    report(options, started.facts, [started.sentence])
    return 0


def _check_confirm(definition: StudyDefinition, base: Config, repeats: int) -> None:
    """Refuse a verdict that nobody would come to when this process has ended."""
    if is_deployed(base):
        raise BenchmarkError(
            "Workers of a flow come to no verdict; leave --confirm out, and ask for it when they "
            f"have ended: tune --resume {definition.name} --confirm {repeats}"
        )
    _check_repeats(definition, repeats)


def _check_repeats(definition: StudyDefinition, repeats: int) -> None:
    """Refuse what cannot be judged, and warn of too few pairs, before any trial is run for it."""
    check(definition, repeats)
    doubtful = doubt(repeats)
    if doubtful:
        notice(f"warning: {doubtful}")


def _handed_on(options: argparse.Namespace) -> list[str]:
    """The options that a driver of its own gets; the study and the configuration have the rest."""
    told = ["--log-level", options.log_level, "--optuna-log-level", options.optuna_log_level]
    if options.confirm is not None:
        told += ["--confirm", str(options.confirm)]
    return [*told, "--detach"] if options.detach else told


def _declared(
    options: argparse.Namespace, opened: Callable[[], Store], changes: dict[str, Any]
) -> StudyDefinition | None:
    """The study that a file or a directory declares; None where one of the store goes on.

    The store is opened, and with that made, only where there is something to begin.
    """
    if options.study is None:
        if options.resume is None:
            raise BenchmarkError("Name a study file, or --resume NAME to go on with a study.")
        return None
    if options.resume is not None:
        if options.name not in (None, options.resume):
            raise BenchmarkError(f"The study that goes on is '{options.resume}'; leave --name out.")
        if options.resume not in study_names(opened()):
            raise StudyError(no_study(options.resume, opened()))
        changes["name"] = options.resume
    path = Path(options.study)
    if path.is_dir() and is_project(path):
        project = read_project(path, opened(), changes)
        if project.ignored:
            notice(f"Of config.json these say nothing here: {', '.join(project.ignored)}")
        return project.definition
    return read_study(study_file(path), changes)


def _drive(options: argparse.Namespace, study: Study, base: Config) -> int:
    definition = study.definition
    method, config = launching.prepared(definition, base, study.files)
    if options.confirm is not None:
        _check_repeats(definition, options.confirm)
    for warning in (*study.notes, *definition.warnings):
        notice(f"warning: {warning}")
    had = len(study.optimizer.trials())
    notice(
        f"Study '{definition.name}': {definition.trials} trials ({had} asked before), "
        f"{config.parallel} at a time, {definition.algorithm}, {definition.memory_mb} MB and "
        f"at most {definition.time_s:g} s each, in {study.run.store.url}"
    )

    def tell(record: Record) -> None:
        if is_told(logging.INFO):
            notice(line(record, definition))

    tuned = launching.drive(
        study, config, method, tell, detach=options.detach, ask=question(nullcontext)
    )
    if study.exhausted:
        notice("Every point of the space has been tried.")
    drifted = drift(export.trial_records(study.run), definition)
    if definition.default_every and drifted:
        notice(drifted)
    if tuned.why_stopped:
        notice(f"Stopped: {tuned.why_stopped}")
    if tuned.stopped:
        notice(f"Stopped by `studies stop`: tune --resume {definition.name} goes on.")
    if tuned.detached:
        notice(f"Left to run by {method}: tune --resume {definition.name} goes on with it.")
    elif tuned.interrupted:
        notice(f"Interrupted: tune --resume {definition.name} goes on where this stopped.")
    for record in tuned.without_result:
        notice(f"warning: trial {record.task} has no result ({record.cause}): {record.message}")
    for fault in tuned.faults:
        notice(f"warning: {fault}")
    told, said = facts(study.run, definition), lines(study.run, definition)
    lost = bool(tuned.interrupted or tuned.without_result or tuned.faults)
    if told["told"] and not told["success"]:
        notice("No trial has succeeded; `studies export` has what they printed.")
        lost = True
    if options.confirm is not None and not lost and not tuned.stopped:
        lost = _confirm(options, study, config, method, told, said)
    report(options, told, said)
    return int(lost)


def _confirm(  # noqa: PLR0917
    options: argparse.Namespace,
    study: Study,
    config: Config,
    method: str,
    told: dict[str, Any],
    said: list[str],
) -> bool:
    """Add the verdict to what is told; whether it was interrupted."""
    from benchmark.hpo.confirming import confirm

    notice(f"Best and default against each other, {options.confirm} pairs")

    def told_pair(record: Record) -> None:
        notice(f"{record.labels[CONFIRM]}: {ending(record, study.definition)}")

    verdict = confirm(study, config, method, options.confirm, told_pair)
    if verdict is None:
        notice("Interrupted: the same command goes on with what is missing of the verdict.")
        return True
    told["verdict"] = verdict.facts()
    said.append(str(verdict))
    return False


def _new(options: argparse.Namespace) -> int:
    from benchmark.hpo.new_project import write_project

    if options.folder is None:
        raise BenchmarkError("Name the directory to write: tune new DIR.")
    written = [str(path) for path in write_project(Path(options.folder))]
    report(options, {"files": written}, [*written, f"Run it: ./main.py tune {options.folder}"])
    return 0
