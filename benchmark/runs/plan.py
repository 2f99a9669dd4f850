"""From a configuration to a run: the grid, its data in the store, and the manifest.

A run that exists grows by frameworks, data sets and seeds; under other conditions it is refused
and nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import benchmark
from benchmark.compute import methods
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConditionsDifferError, ConfigError, DataError
from benchmark.execution import own_metric
from benchmark.files.input_files import expanded
from benchmark.frameworks import entry_of, get, registry
from benchmark.records import results
from benchmark.records.layout import task_key
from benchmark.records.results import utc_now
from benchmark.records.tasks import Cell, Manifest, Run, Task, generate_tests, same_values
from benchmark.runs.early_stop import until as early_stop
from benchmark.runs.early_stop.until import Until
from benchmark.store import Store, open_store

if TYPE_CHECKING:
    from benchmark.data.cache import Entry

CONDITIONS = ("runtime", "hard_limit", "cores", "memory", "split", "metric")


@dataclass(frozen=True)
class Plan:
    """A run, and those of its tasks that the configuration asks for.

    `added` are the tasks that planning has added to a run that was there.
    """

    run: Run
    tasks: list[Task]
    added: int = 0


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
    datasets: dict[str, Entry]
    faults: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def draft(
    config: Config,
    narrowing: Narrowing | None = None,
    datasets: Collection[str] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> Draft:
    """The grid of a configuration; `datasets` are names in place of the configured studies'.

    What cannot be had of the data is left out, with its reason in `faults`, as long as something
    can; `notes` name what else is not as the configuration asks. `on_event` hears what is
    fetched meanwhile.

    Raises:
        ConfigError: a framework is unknown or needs a longer budget, or a narrowing names nothing.
        DataError: no data set can be had.
    """
    from benchmark.data import sources
    from benchmark.execution import published
    from benchmark.runs import material

    check_seams(config)
    frameworks = chosen_frameworks(config, _planned_locks(config))
    methods.check(config, {label: entry["name"] for label, entry in frameworks.items()})
    narrowing = narrowing or Narrowing()
    catalogue = sources.Catalogue.of(config, on_event)
    _check_present("framework", narrowing.frameworks, frameworks)
    catalogue.check(narrowing.datasets or ())
    names = list(datasets) if datasets else catalogue.names()
    for name in narrowing.datasets or ():
        if name in catalogue.faults:
            raise DataError(catalogue.faults[name])
    cells = generate_tests(list(frameworks), names, material.seeds(config))
    cells = narrowed(cells, narrowing)
    had = material.had(catalogue, [cell.dataset for cell in cells])
    cells, notes = material.with_folds(cells, had, config.split)
    metrics = own_metric.conditions(config.metric, material.examples(had), config.memory)
    manifest = Manifest(
        conditions={key: getattr(config, key) for key in CONDITIONS} | {"metric": metrics},
        frameworks={name: frameworks[name] for name in {cell.framework: None for cell in cells}},
        datasets={name: published.facts_of(entry) for name, entry in had.items()},
        cells=cells,
        created=utc_now(),
        harness=benchmark.__version__,
    )
    notes = (*catalogue.notes, *notes, *material.data_notes(had, config.split))
    return Draft(config.run, manifest, had, dict(catalogue.faults), notes)


def plan(store: Store, wanted: Draft, *, replace: bool = False, until: Until | None = None) -> Plan:
    """The run of a draft, made or grown in the store; `replace` replaces one that is there.

    `until` is the question that ends it early; without it that of the run that is there.

    Raises:
        ConditionsDifferError: the run exists under other conditions; nothing is written.
        BenchmarkError: the question cannot be put to the grid; nothing is written.
    """
    from benchmark.execution import published

    manifest = wanted.manifest
    present: Run | None = None
    added = 0
    if not replace and store.get(f"{wanted.name}/manifest.json") is not None:
        present = Run.open(store, wanted.name)
        manifest = _grown(present, _as_hashed_then(present, wanted))
        added = len(manifest.cells) - len(present.manifest.cells)
    manifest = early_stop.planned(manifest, present, until, _looked)
    run = Run(wanted.name, store, manifest)
    for name, entry in wanted.datasets.items():
        if manifest.datasets[name]["hash"] == entry.description["hash"]:
            published.publish(store, name, entry)
    run.save()
    return Plan(run, [run.task_of(cell) for cell in wanted.manifest.cells], added)


def _looked(run: Run) -> dict[str, Any]:
    from benchmark.runs.early_stop.tracking import looked, tracked

    return looked(tracked(run))


def existing(config: Config, store: Store, narrowing: Narrowing | None = None) -> Plan:
    """A run as it stands in the store, whatever the configuration's grid is."""
    run = Run.open(store, config.run)
    cells = narrowed(run.manifest.cells, narrowing or Narrowing())
    return Plan(run, [run.task_of(cell) for cell in cells])


def check_seams(config: Config) -> None:
    """Refuse before anything is written what no task could do."""
    own_metric.check_names(config.metric)
    for path in config.frameworks_path:
        if not expanded(path).is_dir():
            raise ConfigError(f"'frameworks_path' names {path}, which is no folder.")


def _planned_locks(config: Config) -> dict[str, str]:
    """The locks that a run in the store has for versions such as "h2o@3.44.0.3"."""
    if not any("@" in entry.name for entry in config.frameworks or ()):
        return {}
    url = config.store_url
    try:
        if "://" not in url:
            expanded(url).stat()
    except OSError:
        return {}  # No folder, no run. What is wrong with it is said when it is to be made.
    data = open_store(url).get(f"{config.run}/manifest.json")
    try:
        entries = Manifest.from_bytes(data).frameworks.values() if data else ()
    except (ValueError, KeyError, TypeError):
        return {}  # Opening the run says what is wrong with its manifest.
    return {f"{e['name']}@{e['version']}": e["lock"] for e in entries if "lock" in e}


def chosen_frameworks(
    config: Config, locks: Mapping[str, str] | None = None
) -> dict[str, dict[str, Any]]:
    """What the manifest says of each configured framework, by its name in the results.

    `locks` are known already, by name and version; those of other versions are resolved.
    """
    found = registry.scan(config.frameworks_path).frameworks
    entries = config.frameworks
    if entries is None:
        names = [name for name, framework in found.items() if framework.tier == 1]
        chosen: list[tuple[str, str, dict[str, Any]]] = [(name, name, {}) for name in names]
    else:
        chosen = [(entry.as_name, entry.name, entry.params) for entry in entries]
    if not chosen:
        raise ConfigError("'frameworks' is empty; name one, or leave it out for all of tier 1.")
    frameworks: dict[str, dict[str, Any]] = {}
    for label, name, params in chosen:
        try:
            framework = get(name, config.frameworks_path, locks)
        except BenchmarkError as error:
            raise ConfigError(f"'frameworks': {error}") from None
        if config.runtime < framework.minimum_runtime:
            raise ConfigError(
                f"'runtime' is {config.runtime:g} s, and {framework.name} needs at least "
                f"{framework.minimum_runtime:g} s; set 'runtime' to that or leave {framework.name} "
                "out of 'frameworks'."
            )
        full = f"{framework.name}@{framework.pinned}" if framework.pinned else framework.name
        canonical = full if label == name else label
        if canonical in frameworks:
            raise ConfigError(
                f"'frameworks' names '{canonical}' twice ('{name}' is it too); give one of them "
                'another name with "as".'
            )
        frameworks[canonical] = entry_of(framework, params, config.frameworks_path)
    return frameworks


def narrowed(cells: tuple[Cell, ...], narrowing: Narrowing) -> tuple[Cell, ...]:
    for what, wanted, present in (
        ("framework", narrowing.frameworks, {cell.framework for cell in cells}),
        ("data set", narrowing.datasets, {cell.dataset for cell in cells}),
        ("seed", narrowing.seeds, {cell.seed for cell in cells}),
    ):
        _check_present(what, wanted, present)
    return tuple(
        cell
        for cell in cells
        if (narrowing.frameworks is None or cell.framework in narrowing.frameworks)
        and (narrowing.datasets is None or cell.dataset in narrowing.datasets)
        and (narrowing.seeds is None or cell.seed in narrowing.seeds)
    )


def _check_present(what: str, wanted: Collection[Any] | None, present: Collection[Any]) -> None:
    strangers = sorted(set(wanted or ()) - set(present), key=str)
    if strangers:
        raise ConfigError(
            f"The run has no {what} '{strangers[0]}'; it has "
            f"{', '.join(str(name) for name in sorted(present, key=str))}."
        )


def _as_hashed_then(run: Run, wanted: Draft) -> Manifest:
    """The wanted manifest, with the hashes that an earlier version took of the same data."""
    from benchmark.data.datasets import EARLIER_HASH

    datasets = dict(wanted.manifest.datasets)
    for name, entry in wanted.datasets.items():
        then = run.manifest.datasets.get(name, {}).get("hash")
        if then is not None and then == entry.description.get(EARLIER_HASH):
            datasets[name] = datasets[name] | {"hash": then}
    return replace(wanted.manifest, datasets=datasets)


def _grown(run: Run, wanted: Manifest) -> Manifest:
    """The run's manifest with the wanted cells added."""
    present = run.manifest
    differing = [
        f"'{key}' is {_shown(wanted.conditions[key])} now and was "
        f"{_shown(present.conditions.get(key))}"
        for key in CONDITIONS
        if not same_values(wanted.conditions[key], present.conditions.get(key))
    ]
    changed = _changed(wanted.datasets, present.datasets)
    differing += [f"the data set '{name}' has changed" for name in changed]
    frameworks = _changed(wanted.frameworks, present.frameworks)
    for name in frameworks:
        now, then = (one.frameworks[name].get("params") for one in (wanted, present))
        if not same_values(now, then, is_exact=True):
            differing.append(f"the framework '{name}' has changed (its 'params')")
        elif not _has_only_failed_to_start(run, name):
            differing.append(f"the framework '{name}' has changed (its adapter or lock)")
    if differing:
        other = ', or give the framework another name with "as"' if frameworks else ""
        raise ConditionsDifferError(
            f"Run '{run.name}' in {run.store.url} has other conditions: {'; '.join(differing)}; "
            f"name another run with --run NAME{other}."
        )
    keys = {task_key(cell.framework, cell.dataset, cell.seed) for cell in present.cells}
    return replace(
        present,
        frameworks=present.frameworks | wanted.frameworks,
        datasets=present.datasets | wanted.datasets,
        cells=present.cells + tuple(cell for cell in wanted.cells if cell.key not in keys),
    )


def _changed(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    return [
        name for name in now if name in then and not same_values(now[name], then[name], ("params",))
    ]


def _has_only_failed_to_start(run: Run, framework: str) -> bool:
    """Whether the framework was tried, has no result, and none of its tasks is running.

    Its adapter may then be fixed in the same run: there is nothing that it could be mixed with.
    """
    cells = (cell for cell in run.manifest.cells if cell.framework == framework)
    keys = {task_key(cell.framework, cell.dataset, cell.seed) for cell in cells}
    ended = [record for _, record in results.outcomes(run, keys, [framework])]
    return bool(ended) and all(record is not None and not record.is_result for record in ended)


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else json.dumps(own_metric.brief(value))
