"""Commands on task files, logs and data: export, file-compute, delete, get-logs, download-data."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import results
from benchmark.cli.progress import counted
from benchmark.cli.runs import carry_out
from benchmark.cli.session import configuration, narrowing
from benchmark.errors import BenchmarkError, DataError
from benchmark.runs import select, taskfiles
from benchmark.runs.execute import driving
from benchmark.runs.plan import existing, publish
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from benchmark.config import Config
    from benchmark.runs.plan import Plan
    from benchmark.tasks import Run, Task


def export_failures(options: argparse.Namespace) -> int:
    causes = select.causes_of(options.cause)
    planned = _existing(options)
    path = Path(options.file_path)
    chosen = select.unfinished(planned.run, planned.tasks, causes)
    number = taskfiles.write(path, chosen)
    print(f"{path}: {counted(number, 'task')}")
    return 0


def file_compute(options: argparse.Namespace) -> int:
    """Runs the tasks of a file that have no result; with --cause, results that ended so again."""
    causes = select.causes_of(options.cause)
    with _driven(options) as (config, run, tasks):
        if causes is not None:
            again = select.unfinished(run, tasks, causes)
            results.set_aside(run, [task.key for task in again])
        return carry_out(config, run, tasks, fresh=False)


def delete_runs(options: argparse.Namespace) -> int:
    with _driven(options) as (_, run, tasks):
        what = f"the results of {counted(len(tasks), 'task')} of run '{run.name}'"
        question = f"Delete {what} in {run.store.url}?"
        if not options.yes and not _agreed(question):
            print("Nothing was deleted.", file=sys.stderr)
            return 1
        had = select.delete(run, tasks)
    print(f"Deleted the results of {counted(had, 'task')} of {len(tasks)}")
    return 0


def get_logs(options: argparse.Namespace) -> int:
    planned = _existing(options)
    run = planned.run
    target = Path(options.output)
    found = select.logs(run, planned.tasks)
    number = 0
    for path, data in run.store.get_many(path for path, _ in found):
        if data is None:
            continue
        file = target / path.removeprefix(f"{run.name}/logs/")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        except OSError as error:
            raise BenchmarkError(f"{file} cannot be written: {error.strerror}.") from error
        number += 1
    print(f"{target}: {counted(number, 'log')}")
    return 0


def download_data(options: argparse.Namespace) -> int:
    """Puts the data sets of the configured studies into the store."""
    from benchmark.data import sources

    config = configuration(options)
    store = open_store(config.store_url)
    code = 0
    for name, kind in sources.of_studies(config.studies):
        try:
            dataset = sources.load(name)
            publish(store, name, dataset)
            rows, features = dataset.table.num_rows, len(dataset.features)
            print(f"{name}: {kind}, {rows} rows, {features} features, {dataset.hash}")
        except DataError as error:
            print(f"{name}: {error}", file=sys.stderr)
            code = 1
    return code


@contextlib.contextmanager
def _driven(options: argparse.Namespace) -> Iterator[tuple[Config, Run, list[Task]]]:
    """The run and the tasks of the task file, with this process as the run's one driver."""
    cells = taskfiles.read(Path(options.file_path))
    config = configuration(options)
    store = open_store(config.store_url)
    with driving(store, config.run):
        run = existing(config, store).run
        yield config, run, select.of_cells(run, cells, options.file_path)


def _existing(options: argparse.Namespace) -> Plan:
    config = configuration(options)
    return existing(config, open_store(config.store_url), narrowing(options))


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise BenchmarkError(f"{question} There is nobody to ask; say --yes.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
