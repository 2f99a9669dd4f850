"""The commands as functions, for a Python prompt, a script or a notebook.

    from benchmark import api

    api.run_full(runtime=60).causes               # a Counter: success, timeout, …
    api.resume()
    api.fetch_results()                           # a pandas frame, a row per task
    api.analysis_suite().leaderboards["classification"]

They read batch.config as the commands do (`config="FILE"` for another), accept each of its keys as
a keyword, and return a value where the command prints; `quiet=True` hides the progress as well.
`benchmark.compute` and `benchmark.analysis` offer the same functions.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.compute.driving import driving
from benchmark.compute.methods import choice_of
from benchmark.config.loading import Config, load_config
from benchmark.errors import BenchmarkError
from benchmark.execution import published
from benchmark.parallel import record_reader
from benchmark.records.tasks import Cell, Run, Task
from benchmark.runs import begin, select, taskfiles
from benchmark.runs.early_stop.until import Until
from benchmark.runs.execute import execute
from benchmark.runs.plan import Draft, Plan, draft, existing
from benchmark.runs.summary import Summary
from benchmark.runs.taskfiles import Row
from benchmark.store import open_store

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.analysis.processing import Analysis

__all__ = [
    "Downloaded",
    "Summary",
    "analysis_suite",
    "delete_runs",
    "download_data",
    "execute_list",
    "export_failures",
    "fetch_results",
    "file_compute",
    "generate_tests",
    "get_logs",
    "resume",
    "run_full",
]


def run_full(
    *,
    overwrite: bool = False,
    until: str | None = None,
    alpha: float | None = None,
    margin: float | None = None,
    unit: str | None = None,
    quiet: bool = False,
    config: str | None = None,
    **keys: Any,
) -> Summary:
    """Run every configured task from scratch.

    Args:
        overwrite: set the results that the run has aside; without it they are an error.
        until: stop once this question is answered, such as "best" or "against:flaml"; the claims
            are in the summary's `answers`.
        alpha: the chance that any claim is wrong, 0.05 unless given.
        margin: frameworks are practically equal within this share of wins, 0.01 unless given.
        unit: "dataset", whose mean over seeds is won or lost, or "split" for each data set and
            seed; "dataset" unless given.
        quiet: show no progress.
        config: a file in place of batch.config.
        keys: keys of the configuration over those of the file, such as `runtime=60`.
    """
    loaded = _loaded(config, keys)
    wanted = draft(loaded)
    question = Until.parse(until, alpha, margin, None, unit)
    with begin.full(loaded, wanted, overwrite=overwrite, narrowed=False, until=question) as plan:
        return _carry_out(loaded, plan.run, plan.tasks, quiet, wanted)


def resume(
    *,
    causes: Sequence[str] | None = None,
    until: str | None = None,
    quiet: bool = False,
    config: str | None = None,
    **keys: Any,
) -> Summary:
    """Run the configured tasks that have no result; with `causes`, those that ended so again.

    `until` changes the run's question; "all" runs every task.
    """
    chosen = select.causes_of(causes)
    loaded = _loaded(config, keys)
    wanted = draft(loaded)
    question = Until.parse(until, None, None, None)
    with begin.resumed(loaded, wanted, chosen, question) as plan:
        return _carry_out(loaded, plan.run, plan.tasks, quiet, wanted)


def execute_list(
    tasks: Iterable[Task | Cell | Sequence[Any]],
    *,
    quiet: bool = False,
    config: str | None = None,
    **keys: Any,
) -> Summary:
    """Run those of a list of tasks that have no result.

    A task is one of `analysis.generate_tests()`, a classic `[id, model, dataset, type, seed]`, or
    `(framework, dataset, seed)`. A run that is not there yet is planned as it is configured.
    """
    rows = [_row(task) for task in tasks]
    loaded = _loaded(config, keys)
    wanted = draft(loaded)
    with begin.resumed(loaded, wanted) as plan:
        chosen = select.of_rows(plan.run, rows, "The list")
        return _carry_out(loaded, plan.run, chosen, quiet, wanted)


def file_compute(
    path: str | Path,
    *,
    causes: Sequence[str] | None = None,
    quiet: bool = False,
    config: str | None = None,
    **keys: Any,
) -> Summary:
    """Run the tasks of a file that have no result; with `causes`, those that ended so again."""
    chosen = select.causes_of(causes)
    rows = taskfiles.read(Path(path))
    loaded = _loaded(config, keys)
    with _driven(loaded) as run:
        tasks = select.of_rows(run, rows, str(path))
        if chosen is not None:
            tasks = select.again(run, tasks, chosen)
        return _carry_out(loaded, run, tasks, quiet)


def export_failures(
    path: str | Path,
    *,
    causes: Sequence[str] | None = None,
    config: str | None = None,
    **keys: Any,
) -> Path:
    """Write the tasks without a result to a task file; with `causes`, those that ended so."""
    plan = _existing(_loaded(config, keys))
    chosen = select.unfinished(plan.run, plan.tasks, select.causes_of(causes))
    taskfiles.write(Path(path), chosen)
    return Path(path)


def fetch_results(
    path: str | Path = "compiled_results.csv", *, config: str | None = None, **keys: Any
) -> pd.DataFrame:
    """Write a row for every task of the run to a file, and return them."""
    from benchmark.analysis.results.table import read_results
    from benchmark.runs.compiled import compile_results

    run = _existing(_loaded(config, keys)).run
    try:
        compile_results(run, Path(path))
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be written: {error.strerror}.") from error
    return read_results(path)


def delete_runs(path: str | Path, *, config: str | None = None, **keys: Any) -> int:
    """Delete the results, predictions and logs of the tasks in a file; how many had a result.

    Unlike the command it does not ask.
    """
    rows = taskfiles.read(Path(path))
    with _driven(_loaded(config, keys)) as run:
        return select.delete(run, select.of_rows(run, rows, str(path)))


def get_logs(folder: str | Path = "log", *, config: str | None = None, **keys: Any) -> Path:
    """Copy the logs of the run to folder/RUN/; returns that folder."""
    plan = _existing(_loaded(config, keys))
    paths = [path for path, _ in select.logs(plan.run, plan.tasks)]
    select.copy_logs(plan.run, paths, Path(folder))
    return Path(folder) / plan.run.name


def generate_tests(*, config: str | None = None, **keys: Any) -> list[Task]:
    """The tasks that the configuration asks for, in their order; nothing is written."""
    loaded = _loaded(config, keys)
    manifest = draft(loaded).manifest
    return Run(loaded.run, open_store("memory://"), manifest).tasks


@dataclass(frozen=True)
class Downloaded:
    """The data sets in the store with their content hashes, and why others cannot be had."""

    hashes: dict[str, str]
    faults: dict[str, str]


def download_data(*, config: str | None = None, **keys: Any) -> Downloaded:
    """Put the data sets of the configured studies into the store."""
    from benchmark.data.sources import Catalogue

    loaded = _loaded(config, keys)
    catalogue = Catalogue.of(loaded)
    store = open_store(loaded.store_url)
    hashes: dict[str, str] = {}
    for name, entry in catalogue.ready(catalogue.names()).items():
        published.publish(store, name, entry, check=True)
        hashes[name] = str(entry.description["hash"])
    return Downloaded(hashes, dict(catalogue.faults))


def analysis_suite(
    results: str | Path = "compiled_results.csv",
    figures: str | Path = "figures",
    report: str | Path = "report.html",
    *,
    config: str | None = None,
    **keys: Any,
) -> Analysis:
    """Compile the run's results to a file, then statistics, figures and the report from it."""
    from benchmark.analysis import process

    fetch_results(results, config=config, **keys)
    return process(results, figures, report)


def _loaded(file: str | None, keys: dict[str, Any]) -> Config:
    return load_config(file, keys).values


def _existing(config: Config) -> Plan:
    return existing(config, open_store(config.store_url))


@contextlib.contextmanager
def _driven(config: Config) -> Iterator[Run]:
    """The run as it stands, with this process as its one driver."""
    store = open_store(config.store_url)
    with driving(store, config.run):
        yield existing(config, store).run


def _row(task: Task | Cell | Sequence[Any]) -> Row:
    if isinstance(task, Cell):
        return Row(task.framework, task.dataset, task.seed)
    row: Sequence[Any] = task if not isinstance(task, Task) else ()
    kind = None
    if isinstance(task, Task):
        labels = (task.labels[key] for key in ("framework", "dataset", "type", "seed"))
        framework, dataset, kind, seed = labels
    elif not isinstance(row, str) and len(row) == 5:
        _, framework, dataset, kind, seed = row
    elif not isinstance(row, str) and len(row) == 3:
        framework, dataset, seed = row
    else:
        raise BenchmarkError(
            f"{task!r} is no task; write (framework, dataset, seed), or take one of "
            "analysis.generate_tests()."
        )
    try:
        number = operator.index(seed)
    except TypeError:
        raise BenchmarkError(f"{task!r} has the seed {seed!r}; write a whole number.") from None
    return Row(str(framework), str(dataset), number, None if kind is None else str(kind))


def _carry_out(
    config: Config, run: Run, tasks: Sequence[Task], quiet: bool, wanted: Draft | None = None
) -> Summary:
    """Run what has no result; data that cannot be had is a fault of the summary."""
    waiting = record_reader.without_result(run, tasks)
    if quiet:
        begin.build_environments(run, config, waiting)
        summary = execute(run, config, waiting)
    else:
        from benchmark.cli.output import notice
        from benchmark.cli.progress import Progress

        for note in wanted.notes if wanted else ():
            notice(f"warning: {note}")
        notice(choice_of(run, config, waiting).line)
        begin.build_environments(run, config, waiting, notice)
        with Progress(len(waiting), config.parallel or 1) as progress:
            summary = execute(run, config, waiting, progress.add)
    summary.faults.extend(
        f"{name}: {why}" for name, why in (wanted.faults if wanted else {}).items()
    )
    return summary
