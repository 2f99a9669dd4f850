"""Commands on task files and logs: export-failures, file-compute, delete-runs, get-logs."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.progress import counted
from benchmark.cli.runs.execute import carry_out
from benchmark.cli.session import chosen, configuration, is_narrowed, narrowing, stored
from benchmark.compute.driving import driving
from benchmark.config.loading import Config
from benchmark.records.tasks import Run, Task
from benchmark.runs import select, taskfiles
from benchmark.runs.plan import existing


def export_failures(options: argparse.Namespace) -> int:
    _, plan = chosen(options)
    path = Path(options.file_path)
    left = plan.tasks if options.cause else select.unfinished(plan.run, plan.tasks)
    number = taskfiles.write(path, left)
    facts = {"file": str(path), "run": plan.run.name, "tasks": number}
    report(options, facts, [f"{path}: {counted(number, 'task')}"])
    return 0


def file_compute(options: argparse.Namespace) -> int:
    """Run the tasks of a file that have no result; with --cause, those that ended with it."""
    causes = select.causes_of(options.cause)
    with _driven(options) as (config, run, named):
        tasks = named if causes is None else select.again(run, named, causes)
        return carry_out(options, config, run, tasks)


def delete_runs(options: argparse.Namespace) -> int:
    causes = select.causes_of(options.cause)
    with _driven(options) as (_, run, named):
        tasks = named if causes is None else select.unfinished(run, named, causes)
        what = f"the results of {counted(len(tasks), 'task')} of run '{run.name}'"
        if not options.yes and not agreed(f"Delete {what} in {run.store.url}?"):
            notice("Nothing was deleted.")
            return 1
        had = select.delete(run, tasks)
    facts = {"run": run.name, "store": run.store.url, "tasks": len(tasks), "deleted": had}
    report(options, facts, [f"Deleted the results of {counted(had, 'task')} of {len(tasks)}"])
    return 0


def get_logs(options: argparse.Namespace) -> int:
    _, plan = chosen(options)
    run = plan.run
    target = Path(options.output)
    paths = [path for path, _ in select.logs(run, plan.tasks)]
    if not is_narrowed(options) and not options.cause:
        paths += select.machine_logs(run)
    number = select.copy_logs(run, paths, target)
    facts = {"folder": str(target), "run": run.name, "logs": number}
    report(options, facts, [f"{target / run.name}: {counted(number, 'log')}"])
    return 0


@contextlib.contextmanager
def _driven(options: argparse.Namespace) -> Iterator[tuple[Config, Run, list[Task]]]:
    """The run and the tasks selected by file and command line; no other process may drive it."""
    rows = taskfiles.read(Path(options.file_path))
    config = configuration(options)
    store = stored(config)
    with driving(store, config.run):
        plan = existing(config, store, narrowing(options))
        meant = {task.key for task in plan.tasks}
        tasks = select.of_rows(plan.run, rows, options.file_path)
        yield config, plan.run, [task for task in tasks if task.key in meant]
