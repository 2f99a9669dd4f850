"""Commands on task files, logs and stored objects: file-compute, delete-runs, clean-s3 and more."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.progress import counted
from benchmark.cli.runs.execute import carry_out
from benchmark.cli.session import chosen, configuration, is_narrowed, narrowing, stored
from benchmark.compute.driving import driving
from benchmark.config.loading import Config
from benchmark.records.tasks import Run, Task
from benchmark.runs import clean, select, taskfiles
from benchmark.runs.clean import Found
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
        if tasks and not options.yes and not agreed(f"Delete {what} in {run.store.url}?"):
            notice("Nothing was deleted.")
            return 1
        had = select.delete(run, tasks)
    facts = {"run": run.name, "store": run.store.url, "tasks": len(tasks), "deleted": had}
    report(options, facts, [f"Deleted the results of {counted(had, 'task')} of {len(tasks)}"])
    return 0


def get_logs(options: argparse.Namespace) -> int:
    _, plan = chosen(options)
    run = plan.run
    target = Path(options.output) / run.name
    paths = [path for path, _ in select.logs(run, plan.tasks)]
    if not is_narrowed(options) and not options.cause:
        paths += select.machine_logs(run)
    number = select.copy_logs(run, paths, Path(options.output))
    facts = {"folder": str(target), "run": run.name, "logs": number}
    report(options, facts, [f"{target}: {counted(number, 'log')}"])
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


_SHOWN = 20


def clean_s3(options: argparse.Namespace) -> int:
    from benchmark.hpo.study.deletion import forget

    config = configuration(options)
    store = stored(config)
    found = clean.find(store, options.run)
    if not options.yes and found.number:
        for text in _lines(found, store.url):
            notice(text)
        if not agreed(f"Delete {counted(found.number, 'object')} in {store.url}?"):
            notice("Nothing was deleted.")
            return 1
    deleted = clean.clean(store, found, forget)
    done = f"Deleted {counted(deleted, 'object')}" if deleted else "There is nothing to delete"
    shown = _lines(found, store.url) if options.yes or not found.number else ()
    report(options, _facts(found, store.url, deleted), [*shown, done])
    return 0


def _facts(found: Found, url: str, deleted: int) -> dict[str, Any]:
    return {
        "store": url,
        "runs": {name: len(paths) for name, paths in found.runs.items()},
        "datasets": len(found.datasets),
        "code": len(found.code),
        "left": found.left,
        "deleted": deleted,
    }


def _lines(found: Found, url: str) -> Iterator[str]:
    yield f"In {url}"
    for name, paths in found.runs.items():
        yield f"  run '{name}': {counted(len(paths), 'object')}"
    for what, paths in (("data sets", found.datasets), ("code", found.code)):
        if paths:
            yield f"  {what}: {counted(len(paths), 'object')}"
    if found.left:
        yield f"  left alone, not of this program: {counted(len(found.left), 'object')}"
        yield from (f"    {path}" for path in found.left[:_SHOWN])
        if len(found.left) > _SHOWN:
            yield f"    and {len(found.left) - _SHOWN} more"
