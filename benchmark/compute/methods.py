"""Which method runs which framework."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.compute.dispatcher import Dispatcher
    from benchmark.config import Config
    from benchmark.tasks import Run, Task

BUILT_IN = {"local": "benchmark.compute.local.local:LocalDispatcher"}


def load_method(name: str) -> type[Dispatcher]:
    """The dispatcher's class by the method's name.

    Raises:
        ConfigError: there is no such method.
    """
    if name not in BUILT_IN:
        raise ConfigError(
            f"'compute' names the method '{name}', which does not exist; the methods are "
            f"{', '.join(BUILT_IN)}."
        )
    module, _, attribute = BUILT_IN[name].partition(":")
    method: type[Dispatcher] = getattr(importlib.import_module(module), attribute)
    return method


def method_of(config: Config, framework: str) -> str:
    """The method's name for a framework (its name in the results, or the registry's)."""
    chosen = config.compute or {}
    return chosen.get(framework) or chosen.get("*") or "local"


def by_method(run: Run, config: Config, tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """The tasks of each method."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        label = task.labels.get("framework", "*")
        name = run.manifest.frameworks.get(label, {}).get("name", label)
        chosen = config.compute or {}
        method = method_of(config, label if label in chosen else name)
        groups.setdefault(method, []).append(task)
    return groups
