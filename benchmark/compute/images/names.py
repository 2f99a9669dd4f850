"""Which image holds a framework: its tag, and the names that lead to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.compute.images.context import images_of
from benchmark.errors import ConfigError
from benchmark.frameworks import get, registry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.config.loading import Config


def image_tag(config: Config, name: str) -> str:
    """The tag of a framework's image; `name` is the registry's, "h2o@3.44" for a version.

    Raises:
        ConfigError: the framework can have no image.
    """
    framework = get(name, config.frameworks_path)
    found = registry.scan(config.frameworks_path).frameworks
    images, faults = images_of([framework], found, config.frameworks_path)
    if not images:
        raise ConfigError("; ".join(faults.values()) or f"{name} can have no image.")
    return images[0].tag


def framework_names(config: Config) -> dict[str, str]:
    """The registry's names of the configured frameworks by those in the results."""
    if config.frameworks is not None:
        return {entry.as_name: entry.name for entry in config.frameworks}
    found = registry.scan(config.frameworks_path).frameworks
    return {name: name for name, framework in found.items() if framework.tier == 1}


def full_name(facts: Mapping[str, Any], label: str) -> str:
    """The name with its version of a framework, by what the manifest says of it."""
    name = str(facts.get("name", label))
    return f"{name}@{facts['version']}" if facts.get("version") else name
