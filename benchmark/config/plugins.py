"""Plug-ins of other installed packages by entry point, found without importing any of them.

for extension in extensions("automl_benchmark.frameworks"):
    extension.folder()
"""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

from benchmark.errors import BenchmarkError

FRAMEWORKS = "automl_benchmark.frameworks"
DISPATCHERS = "automl_benchmark.dispatchers"


@dataclass(frozen=True)
class Extension:
    """An entry point: its name, its value (`module` or `module:attribute`) and its package."""

    group: str
    name: str
    value: str
    package: str

    def __str__(self) -> str:
        return f'the entry point {self.name} = "{self.value}" of the package {self.package}'

    def folder(self) -> Path:
        """The folder of the entry point's module; nothing is imported.

        Raises:
            BenchmarkError: there is no such module, or it is not in a single folder.
        """
        module = self.value.partition(":")[0].strip()
        found = _spec(module)
        if found is None:
            raise BenchmarkError(f"{self} names the module {module}, which is not installed.")
        places = list(found.submodule_search_locations or [])
        if found.has_location and found.origin:
            places.append(str(Path(found.origin).parent))
        if not places or not Path(places[0]).is_dir():
            raise BenchmarkError(
                f"{self} is not in a single folder ({', '.join(places) or module})."
            )
        return Path(places[0])


def extensions(group: str) -> list[Extension]:
    """The entry points of a group, by name; the first one counts if a name is listed twice."""
    found: dict[tuple[str, str], Extension] = {}
    for point in _points(group, tuple(map(_state, sys.path))):
        package = point.dist.name if point.dist else "unknown"
        found.setdefault(
            (point.name, point.value), Extension(group, point.name, point.value, package)
        )
    return sorted(found.values(), key=lambda extension: (extension.name, extension.package))


@functools.lru_cache(maxsize=2)
def _points(group: str, state: tuple[tuple[str, int, int], ...]) -> metadata.EntryPoints:  # noqa: ARG001
    """Read the file of every installed package; again only when `state` has changed."""
    return metadata.entry_points(group=group)


def _state(place: str) -> tuple[str, int, int]:
    """A value that changes when a package is installed into or removed from a sys.path folder."""
    try:
        facts = os.stat(place or ".")  # noqa: PTH116
    except OSError:
        return place, 0, 0
    return place, facts.st_ino, facts.st_mtime_ns


def _spec(module: str) -> ModuleSpec | None:
    """Like importlib.util.find_spec, which would import the packages above a module."""
    path: list[str] | None = None
    spec = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = next(filter(None, (_asked(finder, name, path) for finder in sys.meta_path)), None)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or [])
    return spec


def _asked(finder: object, name: str, path: list[str] | None) -> ModuleSpec | None:
    ask = getattr(finder, "find_spec", None)
    spec = ask(name, path) if ask else None
    return spec if isinstance(spec, ModuleSpec) else None
