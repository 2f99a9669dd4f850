"""What a benchmark objective needs beside its study file: framework, data sets in the store, seeds.

It stands in the study's manifest under `benchmark`, as in the manifest of a benchmark run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.data import embedded_suite, sources
from benchmark.data.splits import has_fold
from benchmark.errors import BenchmarkError, DataError
from benchmark.execution import own_metric, published
from benchmark.frameworks import ensure, entry_of, get, of_entry
from benchmark.hpo.objectives.benchmark_objective import BenchmarkObjective, benchmark_cells
from benchmark.hpo.spec.documents import StudyError
from benchmark.records.tasks import Cell, Manifest, Run, seeds_of
from benchmark.store import Store

CONSTANT = "constant"


def gathered(store: Store, objective: BenchmarkObjective) -> dict[str, Any]:
    """Framework, facts of the data sets (put into the store), and cells of each trial.

    Raises:
        BenchmarkError: the framework or a metric is unknown, the budget is too short for it, or a
            data set cannot be had.
    """
    own_metric.check_names(objective.metric)
    framework = get(objective.framework)
    if objective.runtime_s < framework.minimum_runtime:
        raise StudyError(
            f"The benchmark's runtime is {objective.runtime_s:g} s, and {framework.name} needs at "
            f"least {framework.minimum_runtime:g} s; set it to that."
        )
    datasets = _datasets(store, objective.datasets)
    seeds = objective.seeds if isinstance(objective.seeds, int) else list(objective.seeds)
    if objective.split != "holdout" and isinstance(seeds, int):
        seeds = list(range(seeds))
    _check_folds(datasets, seeds_of(seeds), objective.split)
    return {
        "framework": entry_of(framework, objective.params),
        "constant": entry_of(get(CONSTANT), {}),
        "datasets": datasets,
        "seeds": seeds_of(seeds),
        "runtime": objective.runtime_s,
        "split": objective.split,
        "metric": dict(objective.metric),
    }


def _check_folds(datasets: dict[str, dict[str, Any]], seeds: list[int], split: str) -> None:
    for name, facts in datasets.items():
        for seed in seeds:
            if not has_fold(split, seed, facts["rows"], facts.get("folds")):
                raise StudyError(
                    f"The data set '{name}' of the benchmark has no fold for the seed {seed} with "
                    f"the split {split}; set 'seeds' lower."
                )


def build(run: Run, report: Callable[[str], None] | None = None) -> None:
    """Build the environments before the clock of any trial runs.

    Raises:
        SetupError: one cannot be built.
    """
    material = run.manifest.conditions["benchmark"]
    for key in ("framework", "constant"):
        ensure(of_entry(material[key]), report)


def inner_run(run: Run, place: str, key: str, params: dict[str, Any]) -> Run:
    """The run that a trial's tasks belong to: like a benchmark's, with `key` as its framework."""
    conditions = run.manifest.conditions
    material = conditions["benchmark"]
    entry = material[key]
    manifest = Manifest(
        conditions={
            "runtime": material["runtime"],
            "hard_limit": conditions["hard_limit"],
            "cores": conditions["cores"],
            "memory": conditions["memory"],
            "split": material["split"],
            "metric": material["metric"],
        },
        frameworks={entry["name"]: {**entry, "params": {**entry["params"], **params}}},
        datasets=material["datasets"],
        cells=tuple(Cell(entry["name"], name, seed) for name, seed in benchmark_cells(run)),
        created=run.manifest.created,
        harness=run.manifest.harness,
    )
    return Run(f"{run.name}/{place}", run.store, manifest)


def _datasets(store: Store, wanted: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The facts of each data set by its name, as the manifest of a run has them."""
    files = [name for name in wanted if Path(name).suffix in (".yaml", ".yml")]
    suites = [name for name in wanted if name in embedded_suite.SUITES]
    openml = [name for name in wanted if name.startswith(("openml-", "task-"))]
    catalogue = sources.Catalogue([*suites, *openml], files)
    known = embedded_suite.suite()
    alone = [name for name in wanted if name not in {*files, *suites, *openml}]
    for name in alone:
        if name not in known:
            raise DataError(
                f"The benchmark names the data set '{name}', which is none; there are "
                f"{', '.join(known)}, the suites {', '.join(embedded_suite.SUITES)}, OpenML's such "
                "as openml-61, and files that declare your own."
            )
    names = [*alone, *(catalogue.names() if files or suites or openml else [])]
    found = catalogue.ready(names)
    for name in (*catalogue.faults, *names):
        if name not in found:
            raise BenchmarkError(f"{name}: {catalogue.faults.get(name, 'it cannot be had')}")
    for name, entry in found.items():
        published.publish(store, name, entry)
    return {name: published.facts_of(entry) for name, entry in found.items()}
