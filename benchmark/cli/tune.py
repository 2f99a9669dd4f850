"""The command that runs a study, or goes on with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.output import notice, report
from benchmark.cli.session import loaded_configuration
from benchmark.cli.studies import facts, lines
from benchmark.errors import BenchmarkError
from benchmark.hpo import export
from benchmark.hpo.listing import study_file
from benchmark.hpo.study import Study, run_name
from benchmark.hpo.study_file import read_study
from benchmark.hpo.tune import driving
from benchmark.hpo.tune import tune as drive
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse

    from benchmark.config import Config
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record


def tune(options: argparse.Namespace) -> int:
    """Run a study, or go on with it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
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
    with driving(run_name(name), store):
        study = Study.begin(store, definition) if definition else Study.open(store, name, changes)
        return _drive(options, study, base)


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
            "parallel": definition.parallel,
        }
    )
    from benchmark.compute import discovery

    discovery.load_method(method).check(config)
    for warning in definition.warnings:
        notice(f"warning: {warning}")
    had = len(study.optimizer.trials())
    notice(
        f"Study '{definition.name}': {definition.trials} trials ({had} asked before), "
        f"{definition.parallel} at a time, {definition.algorithm}, {definition.memory_mb} MB and "
        f"at most {definition.time_s:g} s each, in {study.run.store.url}"
    )
    tuned = drive(study, config, method, lambda record: notice(_line(record, definition)))
    if study.exhausted:
        notice("Every point of the space has been tried.")
    if tuned.stopped:
        notice(f"Stopped by `studies stop`: tune --resume {definition.name} goes on.")
    if tuned.interrupted:
        notice(f"Interrupted: tune --resume {definition.name} goes on where this stopped.")
    for record in tuned.without_result:
        notice(f"warning: trial {record.task} has no result ({record.cause}): {record.message}")
    report(options, facts(study.run, definition), lines(study.run, definition))
    return 1 if tuned.interrupted or tuned.without_result else 0


def _line(record: Record, definition: StudyDefinition) -> str:
    told = record.message
    if record.status == "success":
        values = [f"{name} {record.metrics[name]:g}" for name in definition.directions]
        told = ", ".join(values) + ("" if export.is_feasible(record) else " (infeasible)")
    params = " ".join(f"{k}={v}" for k, v in (record.labels.get("params") or {}).items())
    return f"trial {record.task}: {record.cause or record.status}: {told} [{params}]"
