"""Check the configuration and its frameworks: known, and with an interpreter to run in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmark.compute import discovery, methods
from benchmark.config.cache import CACHE_VARIABLE
from benchmark.config.loading import PREFIX, Config, LoadedConfig
from benchmark.errors import BenchmarkError, SetupError
from benchmark.frameworks import environments, packing, registry
from benchmark.frameworks.framework import Framework
from benchmark.frameworks.uv import find_uv
from benchmark.runs.doctor.finding import Finding, fault, misconfigured, ok, warning
from benchmark.runs.plan import check_seams

CONFIGURATION, UV = "configuration", "uv"


def check_layers(loaded: LoadedConfig) -> Iterator[Finding]:
    """The sources of the values; only the names of variables, as a value may be a secret."""
    place = "the quickstart" if loaded.quickstart else loaded.file
    variables = sorted(
        name for name in os.environ if name.startswith(PREFIX) and name != CACHE_VARIABLE
    )
    over = f", over it {', '.join(variables)}" if variables else ""
    yield ok(CONFIGURATION, f"{place}{over}; run '{loaded.values.run}'")


def check_plan(config: Config, frameworks: Mapping[str, Framework]) -> Iterator[Finding]:
    """Check what execute-compute would refuse."""
    try:
        check_seams(config)
        methods.check(config, {label: found.name for label, found in frameworks.items()})
    except BenchmarkError as error:
        message, _, fix = str(error).rstrip(".").rpartition("; ")
        yield misconfigured(CONFIGURATION, message or fix, fix if message else "")
    for label, framework in frameworks.items():
        if config.runtime < framework.minimum_runtime:
            yield misconfigured(
                CONFIGURATION,
                f"'runtime' is {config.runtime:g} s, and {label} needs at least "
                f"{framework.minimum_runtime:g} s",
                f"set 'runtime' to that or leave {label} out of 'frameworks'",
            )


def configured(config: Config) -> tuple[dict[str, Framework], list[Finding]]:
    """The frameworks by their names in the results, and what is wrong with unknown ones."""
    scan = registry.scan(config.frameworks_path)
    found: dict[str, Framework] = {}
    wrong = [warning("frameworks", text.rstrip(".")) for text in scan.warnings]
    wrong += [warning("compute", text.rstrip(".")) for text in discovery.load_all()[1]]
    if config.frameworks is None:
        return {n: f for n, f in scan.frameworks.items() if f.tier == 1}, wrong
    for entry in config.frameworks:
        try:
            name, version = registry.split_name(entry.name)
            framework = registry.get(name, config.frameworks_path)
            # Another version is resolved with the environments, which have a longer deadline.
            found[entry.as_name] = replace(framework, pinned=version)
        except BenchmarkError as error:
            wrong.append(misconfigured("frameworks", str(error).rstrip(".")))
    return found, wrong


def check_environments(
    frameworks: Mapping[str, Framework],
    paths: Sequence[str | Path] = (),
    caches: Mapping[str, str] | None = None,
) -> Iterator[Finding]:
    """Check each framework's environment: it is built, or an interpreter to build it is there.

    `caches` has the place of those frameworks that nodes take from a place of their own.
    """
    for label, framework in frameworks.items():
        built = framework
        if framework.pinned is not None:
            name = f"{framework.name}@{framework.pinned}"
            try:
                built = registry.get(name, paths)
            except BenchmarkError as error:
                fix = "name an existing version, and check that the package index can be reached"
                yield fault(label, str(error).rstrip("."), fix)
                continue
        cache = (caches or {}).get(label)
        if cache:
            place = Path(cache)
            packed = packing.is_packed(cache)
            if packing.contains(place, built) if packed else environments.is_ready(built, place):
                yield ok(label, f"its environment is in {cache} ('cache' of 'slurm')")
            else:
                yield warning(
                    label,
                    f"its environment is not in {cache} ('cache' of 'slurm')",
                    f"build it with `setup {label} --to {cache}`; otherwise nodes build it",
                )
            continue
        if environments.is_ready(built):
            yield ok(label, "its environment is built")
            continue
        try:
            python = environments.interpreter_for(framework.python)
        except SetupError as error:
            yield fault(label, f"it needs Python {framework.python}", str(error).rstrip("."))
            continue
        yield ok(
            label,
            f"Python {framework.python} is {python}; the first run or `setup` builds the rest",
        )


def check_uv() -> Iterator[Finding]:
    try:
        yield ok(UV, str(find_uv()))
    except SetupError as error:
        message, _, fix = str(error).rstrip(".").partition("; ")
        yield fault(UV, message, fix)
