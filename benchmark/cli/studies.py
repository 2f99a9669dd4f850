"""The commands on studies that exist: list, show, best, export, import, pause, stop, delete …"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.session import loaded_configuration, stored_studies
from benchmark.errors import AbsentStoreError, BenchmarkError
from benchmark.hpo import control, export, listing
from benchmark.hpo.objective import told_apart
from benchmark.hpo.stopping import EMPTY, without_numbers
from benchmark.hpo.verdict import known
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmark.hpo.study_file import StudyDefinition
    from benchmark.results import Record
    from benchmark.store import Store
    from benchmark.tasks import Run

WORDS: dict[str, control.Word] = {"pause": "pause", "stop": "stop", "resume": "go"}
_MEANING = {
    "pause": "no more trials are asked for until `studies resume`",
    "stop": "driver and workers end when the trials that run have; `tune --resume` goes on",
    "resume": "driver or workers that wait go on; without any, `tune --resume` does",
}


def studies(options: argparse.Namespace) -> int:
    """List studies, or do something with one."""
    if options.action == "import":
        return _import(options)
    if options.action == "list":
        return _list(options)
    store = stored_studies(loaded_configuration(options).values)
    if options.name is None:
        raise BenchmarkError(f"Name the study: studies {options.action} NAME.")
    if options.action == "delete":
        return _delete(options, store)
    run, definition = listing.opened(store, options.name)
    if options.action in WORDS:
        control.say(run, WORDS[options.action])
        said = f"{options.name}: {options.action}: {_MEANING[options.action]}."
        report(options, {"study": options.name, "said": options.action}, [said])
        return 0
    actions = {"show": _show, "best": _best, "export": _export, "report": _report}
    return actions[options.action](options, run, definition)


def _list(options: argparse.Namespace) -> int:
    try:
        store = stored_studies(loaded_configuration(options).values)
        found = listing.listed(store)
    except AbsentStoreError:
        found = []
    report(options, {"studies": found}, listing.lines(found) or ["There are no studies."])
    return 0


def _show(options: argparse.Namespace, run: Run, definition: StudyDefinition) -> int:
    told = facts(run, definition)
    told["state"] = listing.state_of(run, definition, told["told"])
    last = f", last trial {told['last']}" if told["last"] else ""
    more = [
        f"{told['state']}; {', '.join(definition.directions.values())} {told['objective']}; "
        f"{definition.algorithm}; begun {told['begun']}{last}"
    ]
    more += [f"{one['trials']} failed so: {one['message']}" for one in told["failures"][:3]]
    verdict = known(run, definition)
    if verdict:
        told["verdict"] = verdict.facts()
        more.append(str(verdict))
    first, *rest = lines(run, definition)
    report(options, told, [first, *more, *rest])
    return 0


def _best(options: argparse.Namespace, run: Run, definition: StudyDefinition) -> int:
    records = export.best(run, definition)
    if options.format != "json" and len(definition.directions) > 1:
        raise BenchmarkError(
            f"'{definition.name}' has several directions and so no one best; use --format json."
        )
    if not records:
        ended = [record.status for record in export.trial_records(run)]
        broken = ended.count("success")
        why = f"; {broken} succeeded and broke a constraint" if broken else ""
        notice(f"'{definition.name}' has no best: {len(ended)} trials ended{why}.")
        if options.json:
            report(options, [], [])
        return 1
    if options.format == "json" or options.json:
        found = [export.configuration(record) for record in records]
        report(options, found, [json.dumps(one, ensure_ascii=False) for one in found])
    elif options.format == "env":
        report(options, None, export.as_environment(records[0]).splitlines())
    else:
        report(options, None, export.as_arguments(records[0], definition).splitlines())
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

    from benchmark.hpo.report import write_report

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(options.output or f"report-{definition.name.replace('/', '-')}")
    path = write_report(run, definition, folder)
    report(options, {"report": str(path)}, [str(path)])
    return 0


def _import(options: argparse.Namespace) -> int:
    import optuna

    from benchmark.hpo.importing import Mapping, import_rows, read_rows
    from benchmark.hpo.study import Study, run_name
    from benchmark.hpo.study_file import read_study
    from benchmark.hpo.tune import driving

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.name is None or options.file is None:
        raise BenchmarkError("Name the study (or its file) and the data: studies import NAME FILE.")
    pairs = [_pair(text) for text in options.map]
    paths = dict(pairs)
    if len(paths) < len(pairs):
        raise BenchmarkError("--map gives a name twice; give each name one path.")
    rows = read_rows(options.file, Mapping(options.rows, paths))
    store = open_store(loaded_configuration(options).values.store_url)
    path = listing.study_file(Path(options.name)) if Path(options.name).exists() else None
    definition = read_study(path) if path else None
    name = definition.name if definition else options.name
    with driving(run_name(name), store):
        study = Study.begin(store, definition) if definition else Study.open(store, name)
        outcome = import_rows(study, rows)
    for tunable in study.definition.space.tunables:
        if tunable.has_default and all(row.get(tunable.name) in (None, "") for row in rows):
            notice(
                f"warning: no row has '{tunable.name}', so that all are taken as measured at its "
                f"default, {tunable.default}; name its column with --map {tunable.name}=COLUMN."
            )
    for number, why in outcome.skipped[:10]:
        notice(f"warning: row {number} is skipped: {why}.")
    if len(outcome.skipped) > 10:
        notice(f"warning: {len(outcome.skipped) - 10} more rows are skipped; --json has all.")
    told = {"study": name, "imported": outcome.told, "known": outcome.known}
    told["skipped"] = [{"row": number, "why": why} for number, why in outcome.skipped]
    line = (
        f"{name}: {outcome.told} of {len(rows)} rows imported, {outcome.known} known before, "
        f"{len(outcome.skipped)} skipped"
    )
    report(options, told, [line])
    return 0 if outcome.told or outcome.known else 1


def _delete(options: argparse.Namespace, store: Store) -> int:
    from benchmark.hpo.deleting import delete
    from benchmark.hpo.study import run_name
    from benchmark.hpo.tune import driving

    run, definition = listing.opened(store, options.name)
    if not options.yes and not agreed(f"Delete the study '{options.name}' with its trials?"):
        return 1
    with driving(run_name(options.name), store):
        delete(run, definition)
    report(options, {"deleted": options.name}, [f"Deleted: {options.name}"])
    return 0


def facts(run: Run, definition: StudyDefinition) -> dict[str, Any]:
    """Where a study stands: trials by how they ended, and the best."""
    records = export.trial_records(run)
    states = [record.status for record in records]
    imported = sum(bool(record.labels.get("imported")) for record in records)
    return {
        "study": definition.name,
        "store": run.store.url,
        "objective": listing.objective_of(definition),
        "directions": definition.directions,
        "algorithm": definition.algorithm,
        "begun": run.manifest.created,
        "last": max((record.ended or "" for record in records), default="") or None,
        "failures": _failures(records),
        "trials": definition.trials,
        "told": len(records) - imported,
        "imported": imported,
        **{state: states.count(state) for state in ("success", "failure", "prune")},
        "word": control.said(run.store, run.name),
        "best": [export.configuration(r) for r in export.best_of(records, definition)],
    }


def lines(run: Run, definition: StudyDefinition) -> list[str]:
    """The same for people."""
    told = facts(run, definition)
    more = f" and {told['imported']} imported" if told["imported"] else ""
    found = [
        f"{definition.name}: {told['told']} of {definition.trials} trials{more}, "
        f"{told['success']} successes, {told['failure']} failures, {told['prune']} pruned"
        + ("" if told["word"] == "go" else f"; it was told to {told['word']}"),
    ]
    asked = export.trial_records(run) if definition.is_open else []
    choices = export.choices(asked, definition)
    for one in told["best"]:
        values = zip(definition.directions, one["values"], strict=True)
        said = ", ".join(f"{name} {value!r}" for name, value in values)
        found.append(f"best: trial {one['trial']}: {said}")
        found += [
            f"  {name} = {told_apart(value, choices.get(name, ()), str)}"
            for name, value in one["params"].items()
        ]
    return found


def _failures(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Why trials failed or measured nothing, the most frequent first; numbers aside."""
    lost = [r.message for r in records if r.status == "failure" or r.labels.get(EMPTY)]
    last = {without_numbers(text): text for text in lost}
    counted = Counter(map(without_numbers, lost)).most_common()
    return [{"message": last[text], "trials": count} for text, count in counted]


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name or not path:
        raise BenchmarkError(f"--map takes NAME=PATH, and '{text}' is none.")
    return name, path
