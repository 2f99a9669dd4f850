"""The command that runs a study, or goes on with one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.output import notice, report
from benchmark.cli.session import loaded_configuration
from benchmark.cli.studies import facts, lines
from benchmark.errors import BenchmarkError
from benchmark.hpo import export, worker
from benchmark.hpo.drift import drift
from benchmark.hpo.listing import study_file
from benchmark.hpo.logs import is_told, set_levels
from benchmark.hpo.study import Study, run_name
from benchmark.hpo.study_file import read_study
from benchmark.hpo.tune import driving
from benchmark.hpo.tune import tune as drive
from benchmark.hpo.worker import living
from benchmark.hpo.workers import tune_by_workers
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse

    from benchmark.config import Config
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.store import Store


def tune(options: argparse.Namespace) -> int:
    """Run a study, or go on with it."""
    set_levels(options.log_level, options.optuna_log_level)
    base = loaded_configuration(options).values
    store = open_store(base.store_url)
    changes = {key: getattr(options, key) for key in ("name", "trials", "algorithm", "parallel")}
    if options.objective_command:
        changes["objective"] = {"command": options.objective_command}
    if (options.study is None) == (options.resume is None):
        raise BenchmarkError("Name a study file, or --resume NAME to go on with a study.")
    name = options.resume
    definition = None
    if options.study is not None:
        definition = read_study(study_file(Path(options.study)), changes)
        name = definition.name
    if options.worker:
        return _join(store, str(name), options.trials_per_task)
    with driving(run_name(name), store):
        others = living(store, run_name(name))
        if others:
            raise BenchmarkError(
                f"The study '{name}' has {len(others)} workers; join them with tune --resume "
                f"{name} --worker, or end them."
            )
        study = Study.begin(store, definition) if definition else Study.open(store, name, changes)
        if not study.definition.max_parallelism:
            return _drive(options, study, base)
    # Nobody leads workers, so that those of other machines can join.
    return _drive(options, study, base)


def _join(store: Store, name: str, trials: int | None) -> int:
    """Be one of the workers of a study."""
    arguments = [store.url, name]
    return worker.main(arguments + (["--trials-per-task", str(trials)] if trials else []))


def _drive(options: argparse.Namespace, study: Study, base: Config) -> int:
    definition = study.definition
    if definition.objective.is_external:
        raise BenchmarkError(
            f"The trials of '{definition.name}' are measured by clients of the HPO service; go on "
            "with it by `main.py serve`, or say what measures them with --command."
        )
    method = (base.compute or {}).get("*", "local")
    config = base.model_copy(
        update={
            "cores": definition.cores,
            "memory": definition.memory_mb,
            "runtime": definition.time_s,
            "hard_limit": definition.time_s,
            "parallel": definition.max_parallelism or definition.parallel,
        }
    )
    from benchmark.compute import discovery

    discovery.load_method(method).check(config)
    for warning in definition.warnings:
        notice(f"warning: {warning}")
    had = len(study.optimizer.trials())
    notice(
        f"Study '{definition.name}': {definition.trials} trials ({had} asked before), "
        f"{config.parallel} at a time, {definition.algorithm}, {definition.memory_mb} MB and "
        f"at most {definition.time_s:g} s each, in {study.run.store.url}"
    )

    def tell(record: Record) -> None:
        if is_told(logging.INFO):
            notice(_line(record, definition))

    if definition.max_parallelism:
        tuned = tune_by_workers(study, config, tell)
    else:
        tuned = drive(study, config, method, tell)
    if tuned.why_stopped:
        notice(f"Stopped: {tuned.why_stopped}")
    if study.exhausted:
        notice("Every point of the space has been tried.")
    drifted = drift(export.trial_records(study.run), definition)
    if definition.default_every and drifted:
        notice(drifted)
    for fault in tuned.faults:
        notice(f"warning: {fault}")
    if tuned.stopped:
        notice(f"Stopped by `studies stop`: tune --resume {definition.name} goes on.")
    if tuned.interrupted:
        notice(f"Interrupted: tune --resume {definition.name} goes on where this stopped.")
    for record in tuned.without_result:
        notice(f"warning: trial {record.task} has no result ({record.cause}): {record.message}")
    report(options, facts(study.run, definition), lines(study.run, definition))
    return 1 if tuned.interrupted or tuned.without_result or tuned.faults else 0


def _line(record: Record, definition: StudyDefinition) -> str:
    told = record.message
    if record.status == "success":
        values = [f"{name} {record.metrics[name]:g}" for name in definition.directions]
        told = ", ".join(values) + ("" if export.is_feasible(record) else " (infeasible)")
    params = " ".join(f"{k}={v}" for k, v in (record.labels.get("params") or {}).items())
    return f"trial {record.task}: {record.cause or record.status}: {told} [{params}]"
