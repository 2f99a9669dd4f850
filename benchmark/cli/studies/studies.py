"""The commands on existing studies: list, show, best, export, import, pause, stop, delete …"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.cli.output import agreed, notice, report, width
from benchmark.cli.progress import counted
from benchmark.cli.session import loaded_configuration, stored_studies
from benchmark.errors import AbsentStoreError, BenchmarkError
from benchmark.files.input_files import expanded
from benchmark.files.numbers import plain_number
from benchmark.hpo.driver import control, study_list
from benchmark.hpo.objectives.artifacts_key import KEPT, LEFT_OUT
from benchmark.hpo.objectives.objective import VALUE_UNITS, told_apart
from benchmark.hpo.report import export
from benchmark.hpo.report.trial_line import counts
from benchmark.hpo.report.verdict import known
from benchmark.hpo.spec.stop_rules import EMPTY, without_numbers
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from benchmark.store import Store, open_store

REQUESTS: dict[str, control.Request] = {"pause": "pause", "stop": "stop", "resume": "go"}
_MEANING = {
    "pause": "no new trials start until `studies resume`",
    "stop": "driver and workers end after the running trials; `tune --resume NAME` continues",
    "resume": "waiting driver or workers continue; if there are none, use `tune --resume NAME`",
}


def studies(options: argparse.Namespace) -> int:
    """List studies, or run an action on one."""
    if options.trial is not None and options.action != "delete":
        raise BenchmarkError(f"--trial is for studies delete; {options.action} takes no trial.")
    if options.restored is not None and options.action != "resume":
        raise BenchmarkError(
            f"--restored is for studies resume; {options.action} takes no machine."
        )
    extra = options.name if options.action == "list" else options.file
    if extra is not None and options.action != "import":
        raise BenchmarkError(
            f"studies {options.action} takes no further argument, and '{extra}' is one; leave it "
            "out."
        )
    if options.action == "import":
        return _import(options)
    if options.action == "list":
        return _list(options)
    if options.action == "migrate":
        return _migrate(options)
    store = stored_studies(loaded_configuration(options).values)
    if options.name is None:
        raise BenchmarkError(f"Name the study: studies {options.action} NAME.")
    if options.action == "delete":
        return _delete(options, store)
    run, definition = study_list.opened(store, options.name)
    if options.action in REQUESTS:
        return _request(options, run)
    actions = {"show": _show, "best": _best, "export": _export, "report": _report}
    return actions[options.action](options, run, definition)


def _list(options: argparse.Namespace) -> int:
    config = loaded_configuration(options).values
    try:
        found = study_list.listed(stored_studies(config))
    except AbsentStoreError:
        found = []
    table = study_list.lines(found, width())
    place = config.store_url
    if "://" not in place:
        place = str(expanded(place).absolute())
    none = f"There are no studies in {place}; start one with tune FILE."
    report(options, {"studies": found}, table or [none])
    return 0


def _request(options: argparse.Namespace, run: Run) -> int:
    found, lines = {"study": options.name, "said": options.action}, []
    if options.restored is not None:
        from benchmark.hpo.trials.restore_hooks import forget_all

        forgotten = forget_all(run, options.restored)
        found["forgotten"] = forgotten
        lines = [f"Forgot the restore hooks of {options.restored}: trial {', '.join(forgotten)}"]
    control.request(run, REQUESTS[options.action])
    lines.append(f"{options.name}: {options.action}: {_MEANING[options.action]}.")
    report(options, found, lines)
    return 0


def _aims(definition: StudyDefinition) -> str:
    """What is minimized and maximized: "maximize tps, minimize p99"."""
    return ", ".join(f"{way} {name}" for name, way in definition.directions.items())


def _show(options: argparse.Namespace, run: Run, definition: StudyDefinition) -> int:
    found = facts(run, definition)
    found["state"] = study_list.state_of(run, definition, found["told"])
    last = f", last trial {_minute(found['last'])}" if found["last"] else ""
    more = [
        f"{found['state']}; {_aims(definition)}: {found['objective']}; "
        f"{definition.algorithm}; started {_minute(found['begun'])}{last}"
    ]
    more += [
        f"{counted(one['trials'], 'failed trial')}: {one['message']}"
        for one in found["failures"][:3]
    ]
    verdict = known(run, definition)
    if verdict:
        found["verdict"] = verdict.facts()
        more.append(str(verdict))
    first, *rest = lines(run, definition)
    report(options, found, [first, *more, *rest])
    return 0


def _best(options: argparse.Namespace, run: Run, definition: StudyDefinition) -> int:
    records = export.best(run, definition)
    if options.format != "json" and len(definition.directions) > 1:
        raise BenchmarkError(
            f"'{definition.name}' has several directions and thus no single best; use --format "
            "json."
        )
    if not records:
        ended = [record.status for record in export.trial_records(run)]
        broken = ended.count("success")
        why = f"; {broken} succeeded but violated a constraint" if broken else ""
        notice(f"'{definition.name}' has no best trial: {counted(len(ended), 'trial')} ended{why}.")
        if options.json:
            report(options, [], [])
        return 1
    if options.format == "json" or options.json:
        found = [export.configuration(record) for record in records]
        report(options, found, [json.dumps(one, ensure_ascii=False) for one in found])
    elif options.format == "env":
        report(options, None, export.as_environment(records[0]).split("\n")[:-1])
    else:
        report(options, None, export.as_arguments(records[0], definition).split("\n")[:-1])
    return 0


def _export(options: argparse.Namespace, run: Run, definition: StudyDefinition) -> int:
    folder = Path(options.output or ".")
    try:
        written = [str(path) for path in export.write(run, definition, folder)]
    except OSError as error:
        raise BenchmarkError(
            f"The export cannot be written to {folder}: {error.strerror}; name another --output."
        ) from None
    report(options, {"files": written}, written)
    return 0


def _report(options: argparse.Namespace, run: Run, definition: StudyDefinition) -> int:
    import optuna

    from benchmark.hpo.report.html_report import write_report

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(options.output or f"report-{definition.name.replace('/', '-')}")
    notice(f"Drawing the figures of study '{definition.name}'")
    path = write_report(run, definition, folder)
    report(options, {"report": str(path)}, [str(path)])
    return 0


def _import(options: argparse.Namespace) -> int:
    import optuna

    from benchmark.compute.driving import driving
    from benchmark.hpo.spec.study_file import read_study
    from benchmark.hpo.study.store import run_name, study_names
    from benchmark.hpo.study.study import Study
    from benchmark.hpo.study.trial_import import Mapping, import_rows, read_rows

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.name is None or options.file is None:
        raise BenchmarkError("Name the study (or its file) and the data: studies import NAME FILE.")
    pairs = [_pair(text) for text in options.map]
    paths = dict(pairs)
    if len(paths) < len(pairs):
        raise BenchmarkError("--map gives a name twice; give each name one path.")
    rows = read_rows(options.file, Mapping(options.rows, paths))
    store = open_store(loaded_configuration(options).values.store_url)
    path = Path(options.name)
    declared = path.exists() and not (path.is_dir() and options.name in study_names(store))
    definition = read_study(study_list.study_file(path)) if declared else None
    name = definition.name if definition else options.name
    with driving(store, run_name(name)):
        study = Study.begin(store, definition) if definition else Study.open(store, name)
        outcome = import_rows(study, rows)
    for tunable in study.definition.space.tunables:
        if tunable.has_default and all(row.get(tunable.name) in (None, "") for row in rows):
            notice(
                f"warning: no row has '{tunable.name}', so all count as measured at its "
                f"default, {tunable.default}; name its column with --map {tunable.name}=COLUMN."
            )
    for said in outcome.reasons[:10]:
        notice(f"warning: {said}")
    if len(outcome.reasons) > 10:
        notice("warning: rows are skipped for other reasons, too; --json has all.")
    found = {"study": name, "imported": outcome.imported, "known": outcome.known}
    found["skipped"] = [{"row": number, "why": why} for number, why in outcome.skipped]
    line = (
        f"{name}: {outcome.imported} of {len(rows)} rows imported, {outcome.known} known before, "
        f"{len(outcome.skipped)} skipped"
    )
    report(options, found, [line])
    return 0 if outcome.imported or outcome.known else 1


def _migrate(options: argparse.Namespace) -> int:
    import optuna

    from benchmark.hpo.storages.journal_migration import migrate

    if options.name is None:
        raise BenchmarkError("Name the database: studies migrate postgresql://user@host/db.")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    moved = {}
    for name, trials in migrate(options.name):
        moved[name] = trials
        if not options.json:
            report(options, None, [f"Migrated: {name} ({trials} trial{'s'[: trials != 1]})"])
    report(options, {"migrated": moved}, [] if moved else ["There is nothing to migrate."])
    return 0


def _delete(options: argparse.Namespace, store: Store) -> int:
    from benchmark.compute.driving import driving
    from benchmark.hpo.study.deletion import delete
    from benchmark.hpo.study.store import run_name

    run, definition = study_list.opened(store, options.name)
    if options.trial is not None:
        return _delete_trial(options, store)
    with driving(store, run_name(options.name)):
        if not options.yes and not agreed(f"Delete the study '{options.name}' with its trials?"):
            return 1
        delete(run, definition)
    report(options, {"deleted": options.name}, [f"Deleted: {options.name}"])
    return 0


def _delete_trial(options: argparse.Namespace, store: Store) -> int:
    import optuna

    from benchmark.compute.driving import driving
    from benchmark.hpo.study.deletion import check_deletable, delete_trial
    from benchmark.hpo.study.store import run_name
    from benchmark.hpo.study.study import Study

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    name, number = options.name, options.trial
    with driving(store, run_name(name)):
        study = Study.open(store, name)
        check_deletable(study.optimizer, number)
        if not options.yes and not agreed(f"Delete trial {number} of the study '{name}'?"):
            return 1
        delete_trial(study.run, study.optimizer, number)
    line = f"Deleted: trial {number} of {name}; one more may be run in its place"
    report(options, {"study": name, "deleted": number}, [line])
    return 0


def facts(run: Run, definition: StudyDefinition) -> dict[str, Any]:
    """The state of a study: trials by outcome, and the best."""
    from benchmark.hpo.report.hypervolume import hypervolume

    records = export.trial_records(run)
    states = [record.status for record in records]
    imported = sum(bool(record.labels.get("imported")) for record in records)
    return {
        "study": definition.name,
        "store": run.store.url,
        "objective": study_list.objective_of(definition),
        "directions": definition.directions,
        "algorithm": definition.algorithm,
        "begun": run.manifest.created,
        "last": max((record.ended or "" for record in records), default="") or None,
        "failures": _failures(records),
        "trials": definition.trials,
        "told": len(records) - imported,
        "imported": imported,
        **{state: states.count(state) for state in ("success", "failure", "prune")},
        "word": control.requested(run.store, run.name),
        "hypervolume": hypervolume(records, definition),
        "best": [export.configuration(r) for r in export.best_of(records, definition)],
    }


def lines(run: Run, definition: StudyDefinition) -> list[str]:
    """The state of a study as lines of text."""
    state = facts(run, definition)
    records = export.trial_records(run)
    found = [
        f"{definition.name}: {counts(records, definition)}"
        + ("" if state["word"] == "go" else f"; requested: {state['word']}"),
    ]
    if state["success"] and not state["best"]:
        broken = Counter(text for one in records for text in export.violated(one, definition))
        listed = ", ".join(f"{text} ({counted(n, 'trial')})" for text, n in broken.most_common(3))
        found.append(f"best: none, since every success violates a constraint: {listed}")
    if len(definition.directions) > 1 and state["best"]:
        volume = state["hypervolume"]
        shown = "" if volume is None else f", hypervolume {volume:.3f}"
        found.append(f"Pareto front: {counted(len(state['best']), 'trial')}{shown}")
    asked = records if definition.is_open else []
    choices = export.choices(asked, definition)
    for one in state["best"]:
        values = zip(definition.directions, one["values"], strict=True)
        units = one.get(VALUE_UNITS) or {}
        shown = ", ".join(
            " ".join([name, plain_number(value), *filter(None, [units.get(name)])])
            for name, value in values
        )
        fresh = [value for value in one.get(export.FRESH, ()) if value is not None]
        if fresh:
            shown += f" (run again: {', '.join(plain_number(value) for value in fresh)})"
        found.append(f"best: trial {one['trial']}: {shown}")
        units = {name: f" {unit.name}" for name, unit in definition.space.units.items()}
        for name, value in one["params"].items():
            text = told_apart(value, choices.get(name, ()), plain_number)
            found.append(f"  {name} = {text}{units.get(name, '')}")
        kept = one.get(KEPT, ())
        for file in kept:
            place = run.store.place_of(file["path"])
            found.append(f"  artifact: {place} ({_kilobytes(file['bytes'])})")
        found += [f"  not kept: {why}" for why in one.get(LEFT_OUT, ())]
    return found


def _kilobytes(size: int) -> str:
    return f"{size / 1024:,.1f} kB" if size >= 1024 else f"{size} bytes"


def _failures(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Why trials failed or measured nothing, most frequent first, ignoring numbers in messages."""
    lost = [r.message for r in records if r.status == "failure" or r.labels.get(EMPTY)]
    last = {without_numbers(text): text for text in lost}
    frequencies = Counter(map(without_numbers, lost)).most_common()
    return [{"message": last[text], "trials": count} for text, count in frequencies]


def _minute(time: str) -> str:
    """A record's time to the minute, as lists show it."""
    return time[:16].replace("T", " ") + " UTC"


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise BenchmarkError(f"--map takes NAME=PATH, and '{text}' is not of that form.")
    return name, path
