"""Commands that walk over the tasks of a run: local, execute, resume, status, fetch."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import results
from benchmark.cli.progress import Progress, counted, line
from benchmark.cli.session import configuration, narrowing
from benchmark.compute.local.local import slots
from benchmark.config import TYPES
from benchmark.errors import BenchmarkError, SetupError
from benchmark.runs.execute import driving, execute
from benchmark.runs.plan import draft, existing, plan
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from benchmark.config import Config
    from benchmark.results import Record
    from benchmark.runs.execute import Summary
    from benchmark.tasks import Run, Task


def local(options: argparse.Namespace) -> int:
    """One task, in a store of its own that goes when it is done."""
    from benchmark.data import sources

    config = configuration(options, frameworks=[options.model], seeds=[options.seed], run="local")
    if options.type not in TYPES:
        raise BenchmarkError(f"'{options.type}' is no type of task; write {' or '.join(TYPES)}.")
    dataset, _ = sources.find(options.openml_id, options.type)
    with tempfile.TemporaryDirectory(prefix="automl-benchmark-local-") as folder:
        planned = plan(open_store(folder), draft(config, datasets=[dataset]))
        _environments(planned.run, planned.tasks)
        records: list[Record] = []
        summary = execute(planned.run, config, planned.tasks, records.append, _stopping)
        for record in records:
            kept = replace(record, log=None)
            print(json.dumps(json.loads(kept.to_bytes()), indent=2))
            print(line(record), file=sys.stderr)
            if record.status != "success" and record.log:
                log = planned.run.store.get(record.log) or b""
                print(log.decode(errors="replace")[-4000:], file=sys.stderr)
    return _ended(summary)


def execute_compute(options: argparse.Namespace) -> int:
    config = configuration(options)
    wanted = draft(config, narrowing(options))
    store = open_store(config.store_url)
    with driving(store, config.run):
        anew = False
        if store.get(f"{config.run}/manifest.json") is not None:
            done = {record.task for record in results.records(existing(config, store).run)}
            if done and not options.overwrite:
                raise BenchmarkError(
                    f"Run '{config.run}' in {store.url} has results already; go on with "
                    "resume-compute, start another with --run NAME, or set them aside with "
                    "--overwrite."
                )
            anew = not (options.framework or options.dataset or options.seed)
            if anew:
                results.set_aside(existing(config, store).run, sorted(done))
        planned = plan(store, wanted, anew=anew)
        if options.overwrite and not anew:
            results.set_aside(planned.run, [task.key for task in planned.tasks])
        return carry_out(config, planned.run, planned.tasks, fresh=True)


def resume_compute(options: argparse.Namespace) -> int:
    config = configuration(options)
    wanted = draft(config, narrowing(options))
    store = open_store(config.store_url)
    with driving(store, config.run):
        planned = plan(store, wanted)
        return carry_out(config, planned.run, planned.tasks, fresh=False)


def show_status(options: argparse.Namespace) -> int:
    from benchmark.runs.status import status

    config = configuration(options)
    planned = existing(config, open_store(config.store_url), narrowing(options))
    found = status(planned.run, planned.tasks)
    if options.json:
        print(json.dumps(asdict(found) | {"without_result": found.without_result}, indent=2))
        return 0
    state = "running" if found.running_now else "not running"
    print(f"Run '{found.run}' in {found.store} ({state})")
    print(f"  {found.tasks} tasks: {found.success} success, {found.without_result} without result")
    for cause, number in found.causes.items():
        print(f"  {number} {cause}")
    print(f"  {found.running} running, {found.waiting} waiting")
    if found.mean_s is not None and found.without_result:
        parallel = len(slots(config))
        left = found.mean_s * found.without_result / parallel
        mean = f"{found.mean_s:.1f} s a task on average"
        print(f"  about {left:.0f} s left: {mean}, {parallel} at a time")
    width = max((len(name) for name in found.by_framework), default=0)
    for name, counts in found.by_framework.items():
        words = ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))
        print(f"  {name:{width}}  {words}")
    return 0


def fetch_results(options: argparse.Namespace) -> int:
    from benchmark.runs.compiled import compile_results

    config = configuration(options)
    run = existing(config, open_store(config.store_url)).run
    path = Path(options.output)
    try:
        counts = compile_results(run, path)
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be written: {error.strerror}.") from error
    print(
        f"{path}: {counts['success']} successes, {counts['failure']} failures, "
        f"{counts['']} not yet run, of {sum(counts.values())} tasks"
    )
    return 0


def carry_out(config: Config, run: Run, tasks: Sequence[Task], *, fresh: bool) -> int:
    """Run those of the tasks that have no result, with progress; returns the exit code."""
    waiting = results.without_result(run, tasks)
    had = len(tasks) - len(waiting)
    if not waiting:
        print(
            f"Run '{run.name}': the results of {counted(had, 'task')} are there; nothing to run.",
            file=sys.stderr,
        )
        return 0
    parallel = len(slots(config))
    with_results = f" ({had} have results)" if had and not fresh else ""
    print(
        f"Run '{run.name}': {counted(len(waiting), 'task')}{with_results}, {parallel} at a time, "
        f"{counted(config.cores, 'core')}, {config.memory} MB and at most "
        f"{config.hard_limit:g} s each, in {run.store.url}",
        file=sys.stderr,
    )
    _environments(run, waiting)
    with Progress(len(waiting), parallel) as progress:
        summary = execute(run, config, waiting, progress.tell, _stopping)
    code = _ended(summary)
    if summary.interrupted:
        print("Interrupted: resume-compute goes on where this stopped.", file=sys.stderr)
    return code


def _ended(summary: Summary) -> int:
    print(f"Done: {_told(summary)}", file=sys.stderr)
    for name in summary.hopeless:
        print(f"warning: {name} failed on every task; see get-logs", file=sys.stderr)
    for fault in dict.fromkeys(summary.faults):
        print(f"warning: {fault}", file=sys.stderr)
    return 0 if summary.all_have_results and not summary.faults else 1


def _stopping() -> None:
    """From a signal handler: straight to the descriptor."""
    os.write(2, b"\nStopping; Ctrl-C again leaves at once.\n")


def _told(summary: Summary) -> str:
    """'4 successes, 2 failures (1 memory, 1 timeout)'."""
    causes = summary.causes
    good = causes.pop("success", 0)
    bad = ", ".join(f"{number} {cause}" for cause, number in causes.most_common())
    words = f"{good} success{'' if good == 1 else 'es'}"
    return f"{words}, {counted(causes.total(), 'failure')} ({bad})" if bad else words


def _environments(run: Run, tasks: Sequence[Task]) -> None:
    """Build what is missing before the clock of any task runs; a failure is the tasks' to tell."""
    from benchmark.frameworks import environments, registry

    entries = run.manifest.frameworks
    for label in dict.fromkeys(task.labels["framework"] for task in tasks):
        entry = entries[label]
        framework = registry.get(entry["name"], entry.get("paths", ()))
        try:
            environments.ensure(framework, lambda text: print(text, file=sys.stderr))
        except SetupError as error:
            print(f"warning: {error}", file=sys.stderr)
