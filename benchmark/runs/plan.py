"""From a configuration to a run: the grid, its data in the store, and the manifest.

A run that exists grows by frameworks, data sets and seeds; under other conditions it is refused
and nothing is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import benchmark
from benchmark.compute.methods import load_method
from benchmark.data import sources
from benchmark.errors import BenchmarkError, ConditionsDifferError, ConfigError
from benchmark.execution.evaluation import dataset_path
from benchmark.execution.metrics import METRICS
from benchmark.frameworks import registry
from benchmark.results import utc_now
from benchmark.tasks import Cell, Manifest, Run, generate_tests, seeds_of, task_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from benchmark.config import Config
    from benchmark.data import Dataset
    from benchmark.store import Store
    from benchmark.tasks import Task

CONDITIONS = ("runtime", "hard_limit", "cores", "memory", "split", "metric")


@dataclass(frozen=True)
class Plan:
    """A run, and those of its tasks that the configuration asks for."""

    run: Run
    tasks: list[Task]


@dataclass(frozen=True)
class Narrowing:
    """--framework, --dataset, --seed: None means all. Names are as in the results."""

    frameworks: Collection[str] | None = None
    datasets: Collection[str] | None = None
    seeds: Collection[int] | None = None


@dataclass(frozen=True)
class Draft:
    """What a configuration asks for, checked, with nothing written yet."""

    name: str
    manifest: Manifest
    datasets: dict[str, Dataset]


def draft(
    config: Config,
    narrowing: Narrowing | None = None,
    datasets: Collection[str] | None = None,
) -> Draft:
    """The grid of a configuration; `datasets` are names in place of the configured studies'.

    Raises:
        ConfigError: a framework is unknown or needs a longer budget, or a narrowing names nothing.
        DataError: a data set cannot be had.
    """
    _check_seams(config)
    frameworks = chosen_frameworks(config)
    names = datasets or [name for name, _ in sources.of_studies(config.studies)]
    cells = generate_tests(list(frameworks), list(names), seeds_of(config.seeds))
    cells = _narrowed(cells, narrowing or Narrowing())
    loaded = {name: sources.load(name) for name in sorted({cell.dataset for cell in cells})}
    manifest = Manifest(
        conditions={key: getattr(config, key) for key in CONDITIONS},
        frameworks={name: frameworks[name] for name in {cell.framework: None for cell in cells}},
        datasets={name: facts_of(dataset) for name, dataset in loaded.items()},
        cells=cells,
        created=utc_now(),
        harness=benchmark.__version__,
    )
    return Draft(config.run, manifest, loaded)


def plan(store: Store, wanted: Draft, *, anew: bool = False) -> Plan:
    """The run of a draft, made or grown in the store; `anew` replaces one that is there.

    Raises:
        ConditionsDifferError: the run exists under other conditions; nothing is written.
    """
    manifest = wanted.manifest
    if not anew and store.get(f"{wanted.name}/manifest.json") is not None:
        manifest = _grown(Run.open(store, wanted.name), manifest)
    run = Run(wanted.name, store, manifest)
    for name, dataset in wanted.datasets.items():
        publish(store, name, dataset)
    run.save()
    return Plan(run, [run.task_of(cell) for cell in wanted.manifest.cells])


def existing(config: Config, store: Store, narrowing: Narrowing | None = None) -> Plan:
    """A run as it stands in the store, whatever the configuration's grid is."""
    run = Run.open(store, config.run)
    cells = _narrowed(run.manifest.cells, narrowing or Narrowing())
    return Plan(run, [run.task_of(cell) for cell in cells])


def _check_seams(config: Config) -> None:
    """Refuse before anything is written what no task could do."""
    if config.split != "holdout":
        raise ConfigError(
            f'\'split\' is "{config.split}", which this version cannot do yet; set it to "holdout".'
        )
    for problem, name in config.metric.items():
        known = [m.name for m in METRICS.values() if problem in m.problem_types]
        if name not in known:
            raise ConfigError(
                f"'metric' names \"{name}\" for {problem}, which does not exist; there are "
                f"{', '.join(known)}."
            )
    for method in dict.fromkeys((config.compute or {"*": "local"}).values()):
        load_method(method).check(config)
    for path in config.frameworks_path:
        if not Path(path).expanduser().is_dir():
            raise ConfigError(f"'frameworks_path' names {path}, which is no folder.")


def chosen_frameworks(config: Config) -> dict[str, dict[str, Any]]:
    """What the manifest says of each configured framework, by its name in the results."""
    found = registry.scan(config.frameworks_path).frameworks
    entries = config.frameworks
    if entries is None:
        names = [name for name, framework in found.items() if framework.tier == 1]
        chosen: list[tuple[str, str, dict[str, Any]]] = [(name, name, {}) for name in names]
    else:
        chosen = [(entry.as_name, entry.name, entry.params) for entry in entries]
    frameworks: dict[str, dict[str, Any]] = {}
    for label, name, params in chosen:
        try:
            framework = registry.get(name, config.frameworks_path)
        except BenchmarkError as error:
            raise ConfigError(f"'frameworks': {error}") from None
        if config.runtime < framework.minimum_runtime:
            raise ConfigError(
                f"'runtime' is {config.runtime:g} s, and {framework.name} needs at least "
                f"{framework.minimum_runtime:g} s; set 'runtime' to that or leave {framework.name} "
                "out of 'frameworks'."
            )
        canonical = framework.name if label == name else label
        if canonical in frameworks:
            raise ConfigError(
                f"'frameworks' names '{canonical}' twice ('{name}' is it too); give one of them "
                'another name with "as".'
            )
        frameworks[canonical] = {
            "name": framework.name,
            "params": params,
            "environment": framework.content_hash,
        }
        if config.frameworks_path:
            frameworks[canonical]["paths"] = [
                str(Path(path).expanduser().absolute()) for path in config.frameworks_path
            ]
    return frameworks


def facts_of(dataset: Dataset) -> dict[str, Any]:
    """What the manifest says of a data set."""
    return {
        "type": dataset.type,
        "problem": dataset.problem_type,
        "target": dataset.target,
        "rows": dataset.table.num_rows,
        "features": len(dataset.features),
        "classes": len(dataset.classes) if dataset.classes else None,
        "hash": dataset.hash,
    }


def publish(store: Store, name: str, dataset: Dataset) -> None:
    """Put a data set into the store unless it is there already, by its hash."""
    path = dataset_path(name)
    present = store.get(f"{path}.json")
    if present is not None:
        try:
            if json.loads(present).get("hash") == dataset.hash:
                return
        except ValueError:
            pass  # A broken description is written anew.
    store.put(f"{path}.parquet", dataset.to_parquet())
    store.put(f"{path}.json", json.dumps(describe(dataset)).encode())


def describe(dataset: Dataset) -> dict[str, Any]:
    return dataset.description | {
        "name": dataset.name,
        "type": dataset.type,
        "target": dataset.target,
        "hash": dataset.hash,
    }


def _narrowed(cells: tuple[Cell, ...], narrowing: Narrowing) -> tuple[Cell, ...]:
    for what, wanted, present in (
        ("framework", narrowing.frameworks, {cell.framework for cell in cells}),
        ("data set", narrowing.datasets, {cell.dataset for cell in cells}),
        ("seed", narrowing.seeds, {cell.seed for cell in cells}),
    ):
        strangers = sorted(set(wanted or ()) - present, key=str)
        if strangers:
            raise ConfigError(
                f"The run has no {what} '{strangers[0]}'; it has "
                f"{', '.join(str(name) for name in sorted(present, key=str))}."
            )
    return tuple(
        cell
        for cell in cells
        if (narrowing.frameworks is None or cell.framework in narrowing.frameworks)
        and (narrowing.datasets is None or cell.dataset in narrowing.datasets)
        and (narrowing.seeds is None or cell.seed in narrowing.seeds)
    )


def _grown(run: Run, wanted: Manifest) -> Manifest:
    """The run's manifest with the wanted cells added."""
    present = run.manifest
    differing = [
        f"'{key}' is {_shown(wanted.conditions[key])} now and was "
        f"{_shown(present.conditions.get(key))}"
        for key in CONDITIONS
        if wanted.conditions[key] != present.conditions.get(key)
    ]
    for what, now, then in (
        ("framework", wanted.frameworks, present.frameworks),
        ("data set", wanted.datasets, present.datasets),
    ):
        differing += [
            f"the {what} '{name}' has changed"
            for name in now
            if name in then and now[name] != then[name]
        ]
    if differing:
        raise ConditionsDifferError(
            f"Run '{run.name}' in {run.store.url} has other conditions: {'; '.join(differing)}; "
            "name another run with --run NAME."
        )
    keys = {task_key(cell.framework, cell.dataset, cell.seed) for cell in present.cells}
    return replace(
        present,
        frameworks=present.frameworks | wanted.frameworks,
        datasets=present.datasets | wanted.datasets,
        cells=present.cells + tuple(cell for cell in wanted.cells if cell.key not in keys),
    )


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
