"""Commands that run tasks: local, execute-compute, resume-compute, and how each ends."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmark.cli.interrupt import question, stopping
from benchmark.cli.output import finite, notice, report, show
from benchmark.cli.progress import Progress, counted, line, outcomes
from benchmark.cli.runs.question import lines as answer_lines
from benchmark.cli.session import again, configuration, is_narrowed, narrowing
from benchmark.cli.setup.data import Downloads, warned
from benchmark.compute.methods import at_once, choice_of
from benchmark.config.loading import TYPES, Config
from benchmark.errors import BenchmarkError
from benchmark.frameworks import registry
from benchmark.parallel import record_reader
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task
from benchmark.runs import begin, select
from benchmark.runs.early_stop.until import Until, is_asked
from benchmark.runs.execute import execute, finish
from benchmark.runs.plan import draft, plan
from benchmark.runs.summary import Summary
from benchmark.store import open_store


def local(options: argparse.Namespace) -> int:
    """Run one task in a temporary store."""
    from benchmark.data import Catalogue

    config = configuration(
        options,
        frameworks=[options.model],
        seeds=[options.seed],
        run="local",
        compute={"*": "local"},
    )
    if options.type not in TYPES:
        raise BenchmarkError(f"'{options.type}' is not a type of task; write {' or '.join(TYPES)}.")
    with Downloads() as downloads:
        found = Catalogue.of(config, downloads.hear).find(options.openml_id, options.type)
    dataset = found.description["name"]
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-local-") as folder:
        config = config.model_copy(update={"s3_bucket_root": folder, "s3_folder": None})
        planned = plan(open_store(folder), draft(config, datasets=[dataset]))
        begin.build_environments(planned.run, config, planned.tasks, notice)
        task = planned.tasks[0]
        limit = f"{task.resources.hard_limit_s:g} s at most"
        notice(f"{task.key} starts, with a budget of {config.runtime:g} s and {limit}.")
        records: list[Record] = []
        summary = execute(planned.run, config, planned.tasks, records.append, stopping())
        for record in records:
            kept = replace(record, log=None)
            show(json.dumps(finite(json.loads(kept.to_bytes())), indent=2, ensure_ascii=False))
            notice(line(record))
            if record.status != "success" and record.log:
                log = planned.run.store.get(record.log) or b""
                notice(log.decode(errors="replace")[-4000:])
    return _ended(summary)


def execute_compute(options: argparse.Namespace) -> int:
    until = _until(options)
    config = configuration(options)
    with Downloads() as downloads:
        wanted = draft(config, narrowing(options), on_event=downloads.hear)
    left_out = warned(wanted)
    narrowed = is_narrowed(options)
    with begin.full(
        config, wanted, overwrite=options.overwrite, narrowed=narrowed, until=until
    ) as planned:
        return carry_out(options, config, planned.run, planned.tasks, left_out)


def resume_compute(options: argparse.Namespace) -> int:
    """Run tasks without a result; with --cause, those with that outcome, results included."""
    until = _until(options)
    config = configuration(options)
    causes = select.causes_of(options.cause)
    with Downloads() as downloads:
        wanted = draft(config, narrowing(options), on_event=downloads.hear)
    left_out = warned(wanted)
    with begin.resumed(config, wanted, causes, until) as planned:
        if planned.added:
            notice(
                f"Run '{planned.run.name}' grows by {counted(planned.added, 'task')}, as the "
                "configuration asks; --framework, --dataset and --seed ask for less."
            )
        if not is_narrowed(options):
            _note_not_configured(planned.run, planned.tasks)
        return carry_out(options, config, planned.run, planned.tasks, left_out)


def _note_not_configured(run: Run, configured: Sequence[Task]) -> None:
    """Name the frameworks of tasks that have no result and are not in the configuration."""
    if len(run.manifest.cells) == len(configured):
        return
    keys = {task.key for task in configured}
    others = record_reader.without_result(run, (t for t in run.tasks if t.key not in keys))
    if others:
        names = list(dict.fromkeys(str(task.labels["framework"]) for task in others))
        most = f" and {len(names) - 8} more" if len(names) > 8 else ""
        notice(
            f"Not run: {counted(len(others), 'task')} of '{run.name}' without a result that the "
            f"configuration does not include ({', '.join(names[:8])}{most})."
        )


def _until(options: argparse.Namespace) -> Until | None:
    return Until.parse(
        options.until, options.alpha, options.margin, options.order_seed, options.unit
    )


def carry_out(
    options: argparse.Namespace, config: Config, run: Run, tasks: Sequence[Task], left_out: int = 0
) -> int:
    """Run those of the tasks that have no result, with progress; returns the exit code.

    `left_out` is the exit code due to unavailable data sets.
    """
    waiting = record_reader.without_result(run, tasks)
    had = len(tasks) - len(waiting)
    if waiting:
        summary = _carried(options, config, run, waiting, had)
        code = _ended(summary)
    else:
        summary, code = Summary(), 0
        finish(run, config, tasks)
        there = f"the results of {counted(had, 'task')} exist" if had else "no task is selected"
        notice(f"Run '{run.name}': {there}; nothing to run.")
    code = max(left_out, code)
    if summary.detached:
        notice(
            f"Left running on {', '.join(sorted(summary.detached))}: "
            f"`{again(options, 'resume-compute')}` waits for it and resumes."
        )
    elif summary.interrupted:
        command = again(options, "resume-compute")
        notice(f"Interrupted: `{command}` resumes where this stopped.")
    facts = _facts(run, summary, len(tasks), had) | {"exit_code": code}
    report(options, facts, answer_lines(run.manifest, summary.answers))
    return code


def _carried(
    options: argparse.Namespace, config: Config, run: Run, waiting: Sequence[Task], had: int
) -> Summary:
    method = choice_of(run, config, waiting)
    parallel = at_once(config, method)
    most_at_once = f"{parallel} at a time" if parallel else "as many at a time as there is room for"
    has = "has a result" if had == 1 else "have results"
    with_results = f" ({had} more {has})" if had else ""
    most = "at most " if is_asked(run.manifest) else ""
    notice(
        f"Run '{run.name}': {most}{counted(len(waiting), 'task')}{with_results}, "
        f"{most_at_once}, "
        f"{counted(config.cores, 'core')}, {config.memory} MiB and at most "
        f"{config.hard_limit:g} s each, in {run.store.url}"
    )
    notice(method.line)
    scanned = registry.scan(config.frameworks_path)
    for warning in (*method.warnings, *scanned.warnings, *begin.doubts(run, waiting)):
        notice(f"warning: {warning}")
    begin.build_environments(run, config, waiting, notice)
    with Progress(len(waiting), parallel) as progress:
        ask, detach = question(progress.hidden), options.detach
        on_stop = stopping(again(options, "resume-compute"))
        summary = execute(run, config, waiting, progress.add, on_stop, detach=detach, ask=ask)
        progress.leave_out(len(summary.retired))
        return summary


def _facts(run: Run, summary: Summary, tasks: int, had: int) -> dict[str, Any]:
    """The --json report of a command that ran tasks."""
    causes = summary.causes
    return {
        "run": run.name,
        "store": run.store.url,
        "tasks": tasks,
        "had_results": had,
        "ran": len(summary.records),
        "success": causes.pop("success", 0),
        "causes": dict(causes.most_common()),
        "without_success": summary.without_success,
        "faults": list(dict.fromkeys(summary.faults)),
        "interrupted": summary.interrupted,
        "detached": sorted(summary.detached),
        "retired": len(summary.retired),
        "until": run.manifest.until,
        "answers": [asdict(one) for one in summary.answers],
    }


def _ended(summary: Summary) -> int:
    causes = summary.causes
    notice(f"Done: {outcomes(causes.pop('success', 0), causes)}")
    for name in summary.hopeless:
        notice(f"warning: {name} failed on every task; see get-logs")
    for name in summary.never_run:
        notice(f"warning: {name} was not run on any task; see get-logs; resume-compute tries it")
    for name in summary.without_success:
        if name not in (*summary.hopeless, *summary.never_run):
            notice(
                f"warning: {name} failed on some tasks and was not run on the others; see get-logs"
            )
    for fault in dict.fromkeys(summary.faults):
        notice(f"warning: {fault}")
    if summary.not_submitted:
        number = counted(summary.not_submitted, "task")
        notice(f"warning: {number} had not been submitted; resume-compute submits what is left")
    whole = summary.all_have_results or summary.is_left_running
    return 0 if whole and not summary.faults else 1
