"""The commands of studies: tune runs one, studies lists, shows, exports and deletes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.session import loaded_configuration, stored
from benchmark.errors import BenchmarkError
from benchmark.hpo import export
from benchmark.hpo.study import Study, run_name, study_names
from benchmark.hpo.study_file import define, read_study
from benchmark.hpo.tune import driving
from benchmark.hpo.tune import tune as drive
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse

    from benchmark.config import Config
    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.store import Store
    from benchmark.tasks import Run


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
        definition = read_study(_file(Path(options.study)), changes)
        name = definition.name
    with driving(run_name(name), store):
        study = Study.begin(store, definition) if definition else Study.open(store, name, changes)
        return _drive(options, study, base)


def _drive(options: argparse.Namespace, study: Study, base: Config) -> int:
    definition = study.definition
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
    tuned = drive(
        study,
        config,
        method,
        lambda record: notice(_line(record, definition)),
        detach=options.detach,
    )
    if study.exhausted:
        notice("Every point of the space has been tried.")
    if tuned.detached:
        notice(f"Left to run by {method}: tune --resume {definition.name} goes on with it.")
    elif tuned.interrupted:
        notice(f"Interrupted: tune --resume {definition.name} goes on where this stopped.")
    for record in tuned.without_result:
        notice(f"warning: trial {record.task} has no result ({record.cause}): {record.message}")
    report(options, _facts(study.run, definition), _lines(study.run, definition))
    return 1 if tuned.interrupted or tuned.without_result else 0


def studies(options: argparse.Namespace) -> int:
    """List, show, export or delete studies."""
    store = stored(loaded_configuration(options).values)
    if options.action == "list":
        names = study_names(store)
        report(options, {"studies": names}, names or ["There are no studies."])
        return 0
    if options.name is None:
        raise BenchmarkError(f"Name the study: studies {options.action} NAME.")
    run, definition = _opened(store, options.name)
    if options.action == "show":
        report(options, _facts(run, definition), _lines(run, definition))
    elif options.action == "best":
        found = [export.configuration(record) for record in export.best(run, definition)]
        report(options, found, [str(one) for one in found] or ["No trial has succeeded yet."])
    elif options.action == "export":
        folder = Path(options.output or ".")
        folder.mkdir(parents=True, exist_ok=True)
        files = export.as_files(run, definition)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        written = [str(folder / name) for name in files]
        report(options, {"files": written}, written)
    else:
        if not options.yes and not agreed(f"Delete the study '{options.name}' with its trials?"):
            return 1
        with driving(run.name, store):
            store.delete(store.list(run.name))
        report(options, {"deleted": options.name}, [f"Deleted: {options.name}"])
    return 0


def _opened(store: Store, name: str) -> tuple[Run, StudyDefinition]:
    """A study to read: no storage of Optuna's is opened."""
    from benchmark.tasks import Run

    if name not in study_names(store):
        others = ", ".join(study_names(store)) or "none"
        raise BenchmarkError(f"There is no study '{name}' in {store.url}; it has {others}.")
    run = Run.open(store, run_name(name))
    return run, define(run.manifest.conditions["study"], Path(), f"Study '{name}'")


def _file(path: Path) -> Path:
    """A study file, or the one in a folder."""
    if not path.is_dir():
        return path
    for name in ("study.yaml", "study.yml", "study.json"):
        if (path / name).is_file():
            return path / name
    raise BenchmarkError(f"The folder {path} has no study.yaml or study.json; name the file.")


def _line(record: Record, definition: StudyDefinition) -> str:
    told = record.message
    if record.status == "success":
        values = [f"{name} {record.metrics[name]:g}" for name in definition.directions]
        told = ", ".join(values) + ("" if export.is_feasible(record) else " (infeasible)")
    params = " ".join(f"{k}={v}" for k, v in (record.labels.get("params") or {}).items())
    return f"trial {record.task}: {record.cause or record.status}: {told} [{params}]"


def _facts(run: Run, definition: StudyDefinition) -> dict[str, Any]:
    records = export.trial_records(run)
    states = [record.status for record in records]
    return {
        "study": definition.name,
        "store": run.store.url,
        "trials": definition.trials,
        "told": len(records),
        **{state: states.count(state) for state in ("success", "failure", "prune")},
        "best": [export.configuration(record) for record in export.best(run, definition)],
    }


def _lines(run: Run, definition: StudyDefinition) -> list[str]:
    facts = _facts(run, definition)
    lines = [
        f"{definition.name}: {facts['told']} of {definition.trials} trials, {facts['success']} "
        f"successes, {facts['failure']} failures, {facts['prune']} pruned"
    ]
    for one in facts["best"]:
        values = zip(definition.directions, one["values"], strict=True)
        told = ", ".join(f"{name} {value!r}" for name, value in values)
        lines.append(f"best: trial {one['trial']}: {told}")
        lines += [f"  {name} = {value}" for name, value in one["params"].items()]
    return lines
