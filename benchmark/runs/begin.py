"""How an execution begins: the run with its tasks, this process as its one driver, environments."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from benchmark.compute import discovery, methods
from benchmark.compute.driving import driving
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, MethodError
from benchmark.frameworks import of_entry
from benchmark.frameworks.building import build_all
from benchmark.records import results
from benchmark.records.results import Cause
from benchmark.records.tasks import Run, Task
from benchmark.runs import select
from benchmark.runs.early_stop.until import Until
from benchmark.runs.plan import Draft, Plan, existing, plan
from benchmark.store import open_store

# More classes than nearly every data set of the published suites has.
MANY_CLASSES = 100


@contextlib.contextmanager
def full(
    config: Config,
    wanted: Draft,
    *,
    overwrite: bool,
    narrowed: bool,
    until: Until | None = None,
) -> Iterator[Plan]:
    """The draft's tasks, to be run from scratch; this process drives the run in the block.

    A draft that is not narrowed replaces the whole run. `until` is the question that ends it early.

    Raises:
        BenchmarkError: the run has results and `overwrite` does not set them aside.
    """
    store = open_store(config.store_url)
    with driving(store, config.run):
        replace = False
        if store.get(f"{config.run}/manifest.json") is not None:
            present = existing(config, store).run
            done = {record.task for record in results.records(present)}
            if done and not overwrite:
                raise BenchmarkError(
                    f"Run '{config.run}' in {store.url} has results already; go on with "
                    "resume-compute, start another with --run NAME, or set them aside with "
                    "--overwrite."
                )
            replace = not narrowed
            if replace:
                results.set_aside(present, sorted(done))
        planned = plan(store, wanted, replace=replace, until=until)
        if overwrite and not replace:
            results.set_aside(planned.run, [task.key for task in planned.tasks])
        yield planned


@contextlib.contextmanager
def resumed(
    config: Config,
    wanted: Draft,
    causes: frozenset[Cause] | None = None,
    until: Until | None = None,
) -> Iterator[Plan]:
    """The draft's tasks, those with a result too; with causes, those that ended so, again.

    Without `until` the run's own question is kept.
    """
    store = open_store(config.store_url)
    with driving(store, config.run):
        planned = plan(store, wanted, until=until)
        if causes is None:
            yield planned
        else:
            chosen = select.again(planned.run, planned.tasks, causes)
            yield Plan(planned.run, chosen, planned.added)


def doubts(run: Run, tasks: Sequence[Task]) -> list[str]:
    """What may be meant and seldom is: a classification whose target has very many values."""
    found = []
    for name in dict.fromkeys(str(task.labels["dataset"]) for task in tasks):
        dataset = run.manifest.datasets[name]
        classes = dataset.get("classes") or 0
        if classes > MANY_CLASSES:
            found.append(
                f"The target '{dataset['target']}' of {name} has {classes} values and is taken as "
                "classes; if it is a number, name the task a regression."
            )
    return found


def build_environments(
    run: Run, config: Config, tasks: Sequence[Task], report: Callable[[str], None] | None = None
) -> None:
    """Build what is missing here before the clock of any task runs; a failure is the tasks' to
    tell. What runs elsewhere in environments of its own needs none."""
    say = report or str
    groups = methods.by_method(run, config, tasks)
    here = [task for name, group in groups.items() if _builds_here(name, config) for task in group]
    labels = dict.fromkeys(str(task.labels["framework"]) for task in here)
    frameworks = []
    for label in labels:
        try:
            frameworks.append(of_entry(run.manifest.frameworks[label]))
        except BenchmarkError as error:
            say(f"warning: {error}")
    for built in build_all(frameworks, report, verified=False):
        if built.error:
            say(f"warning: {built.error}")


def _builds_here(method: str, config: Config) -> bool:
    try:
        return not discovery.load_method(method).brings_environments(config)
    except MethodError:
        return False  # None of its tasks will run.
