"""Which method runs which framework."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.compute import discovery
from benchmark.compute.waiting import waits_path
from benchmark.config.extras import install
from benchmark.errors import BenchmarkError, ConfigError, MethodError
from benchmark.records.tasks import Run, Task

if TYPE_CHECKING:
    from benchmark.config.loading import Config

_log = logging.getLogger("benchmark.compute")
# What a driver leaves in a run's folder of the store while machines of a method may run.
_LEFT = {"baremetal": "fleet.json"}
AWS_KEYS = ("job_queue_id", "job_definition_id", "ecr_repo", "ec2_template", "cluster_image")
DEFAULT = "local"


@dataclass(frozen=True)
class Choice:
    """A method for each framework by its name in the results, and where that stands.

    `warnings` says of each method that could not be loaded why, a sentence each.
    """

    methods: dict[str, str]
    reason: str
    warnings: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """'Compute: batch for h2o, tpot; local for the rest (…)'."""
        names: dict[str, list[str]] = {}
        for framework, method in self.methods.items():
            names.setdefault(method, []).append(framework)
        ordered = sorted(names.items(), key=lambda item: (len(item[1]), item[0]))
        parts = [f"{method} for {', '.join(sorted(group))}" for method, group in ordered[:-1]]
        if ordered:
            parts.append(f"{ordered[-1][0]} for the rest" if parts else ordered[-1][0])
        return f"Compute: {'; '.join(parts)} ({self.reason})"


def methods_of(config: Config, frameworks: Mapping[str, str]) -> Choice:
    """The method of each framework; `frameworks` has the registry's names by those in the results.

    What `compute` says wins, its "*" too. Where it is unset and keys of AWS are set, a framework
    goes to the method that is marked for it with @AutoMLMethods; else to `local`.

    Raises:
        ConfigError: two methods are marked for one framework.
    """
    if config.compute is not None:
        chosen = config.compute
        methods = {
            label: chosen.get(label) or chosen.get(name) or chosen.get("*") or DEFAULT
            for label, name in frameworks.items()
        }
        return Choice(methods, "by 'compute'")
    keys = [key for key in AWS_KEYS if getattr(config, key)]
    if not keys:
        return Choice(dict.fromkeys(frameworks, DEFAULT), "'compute' is unset")
    marked, warnings = _marked(frameworks.values())
    return Choice(
        {label: marked.get(name, DEFAULT) for label, name in frameworks.items()},
        f"'compute' is unset and '{keys[0]}' is set: as the methods are marked",
        warnings,
    )


def by_method(run: Run, config: Config, tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each method."""
    chosen = choice_of(run, config, tasks).methods
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(chosen[task.labels.get("framework", "*")], []).append(task)
    return groups


def choice_of(run: Run, config: Config, tasks: Sequence[Task]) -> Choice:
    """The methods of a run's tasks; the CLI says its line when they start."""
    labels = dict.fromkeys(task.labels.get("framework", "*") for task in tasks)
    known = run.manifest.frameworks
    return methods_of(
        config, {label: str(known.get(label, {}).get("name", label)) for label in labels}
    )


def at_once(config: Config, choice: Choice) -> int | None:
    """How many tasks run at a time, over all methods of a choice; None where only engines know."""
    kinds = []
    for name in dict.fromkeys(choice.methods.values()):
        with contextlib.suppress(MethodError):  # none of its tasks runs
            kinds.append(discovery.load_method(name))
    if any(kind.scales and not config.parallel for kind in kinds):
        return None
    places = [kind.places(config) for kind in kinds]
    known = [number for number in places if number]
    return sum(known) if len(known) == len(places) else None


def others(run: Run, tasks: Iterable[Task]) -> set[str]:
    """The keys of the run's other tasks."""
    return {task.key for task in run.tasks} - {task.key for task in tasks}


def left_path(run: Run, method: str) -> str:
    """Where a method notes machines that must be ended whatever becomes of its driver."""
    return f"{run.name}/{_LEFT[method]}"


def settle(
    run: Run, config: Config, used: Iterable[str], others: Collection[str] = frozenset()
) -> None:
    """End and remove what lost drivers left behind, unless one of the tasks `others` is on it.

    `used` are the methods that the configuration names now. One that it names no longer settles,
    too, where it has left something.

    Raises:
        BenchmarkError: machines may still run.
    """
    run.store.delete([waits_path(run)])
    for name in dict.fromkeys([*used, *_left(run)]):
        try:
            method = discovery.load_method(name)
        except MethodError:
            continue
        method.settle(run, config, others)


def settle_unused(
    run: Run, config: Config, used: Iterable[str], others: Collection[str] = frozenset()
) -> None:
    """End and remove, before tasks start, what lost drivers left behind with other methods.

    A fault is only reported: `settle` tries it again when the tasks have ended.
    """
    run.store.delete([waits_path(run)])
    for name in _left(run) - set(used):
        try:
            discovery.load_method(name).settle(run, config, others)
        except BenchmarkError as error:
            _log.warning(
                "What an earlier driver started with the method %s may still run: %s", name, error
            )


def _left(run: Run) -> set[str]:
    return {name for name in _LEFT if run.store.get(left_path(run, name)) is not None}


def check(config: Config, frameworks: Mapping[str, str]) -> None:
    """Refuse, before anything is written, what the methods of a run cannot do.

    A method that cannot be loaded while others can is no refusal: its tasks end without a result
    and stop nothing.

    Raises:
        ConfigError: a method does not exist, or refuses the configuration.
        MethodError: no method of the run can be loaded.
    """
    chosen = methods_of(config, frameworks).methods.values()
    used = set(chosen)
    broken: dict[str, MethodError] = {}
    for name in dict.fromkeys([*chosen, *(config.compute or {}).values()]):
        try:
            method = discovery.load_method(name)
        except MethodError as error:
            broken[name] = error
            continue
        if name in used:
            method.check(config)
    if used and used <= broken.keys():
        raise broken[min(used)]


def check_installed(method: str) -> None:
    """Refuse a method whose package, of the same name, is not there; an extra installs it."""
    if importlib.util.find_spec(method) is None:
        raise ConfigError(f"'compute' names {method}, which is not installed; {install(method)}.")


def check_store_is_shared(config: Config) -> None:
    """Refuse results that the nodes of a cluster cannot see."""
    if config.store_url.startswith("memory://"):
        raise ConfigError("The results would go to memory, which no node of the cluster sees.")


def frameworks_of(config: Config, method: str) -> dict[str, str]:
    """The configured frameworks that go to a method: the registry's names by those in results."""
    from benchmark.frameworks import registry

    if config.frameworks is not None:
        named = {entry.as_name: entry.name for entry in config.frameworks}
    else:
        found = registry.scan(config.frameworks_path).frameworks
        named = {name: name for name, framework in found.items() if framework.tier == 1}
    chosen = methods_of(config, named).methods
    return {label: named[label] for label, name in chosen.items() if name == method}


def _marked(frameworks: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The method that is marked for each framework, and a sentence for each that is broken."""
    loaded, warnings = discovery.load_all()
    marked: dict[str, str] = {}
    for framework in dict.fromkeys(frameworks):
        names = [
            name
            for name, method in loaded.items()
            if _plain(framework) in map(_plain, method.methods)
        ]
        if len(names) > 1:
            raise ConfigError(
                f"'compute' is unset, and both {' and '.join(names)} are marked for {framework}; "
                f'say which, such as "compute": {{"{framework}": "{names[0]}"}}.'
            )
        if names:
            marked[framework] = names[0]
    return marked, warnings


def _plain(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()
