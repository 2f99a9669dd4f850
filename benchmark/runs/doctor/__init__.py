"""doctor: check configuration, store and machine, and report how to fix what is wrong.

    for finding in examine(load_config()):
        print(finding.level, finding.subject, finding.message, finding.mend)

Nothing is changed except for one object that is written to the store and deleted again. Requests to
other machines have a deadline, so that a store that hangs is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from benchmark.compute import methods
from benchmark.config.loading import Config, LoadedConfig
from benchmark.errors import BenchmarkError
from benchmark.frameworks.framework import Framework
from benchmark.runs.doctor import cluster, configuration, machine, storage
from benchmark.runs.doctor.finding import Asked, Finding, Level

__all__ = ["Finding", "Level", "examine", "exit_code"]


def examine(loaded: LoadedConfig) -> Iterator[Finding]:
    """Every finding, in a readable order; slow checks are started first."""
    config = loaded.values
    url = config.store_url
    asked = [Asked(storage.STORE, partial(storage.check_store, url))]
    asked.append(Asked(storage.STORE, partial(storage.check_objects, url)))
    if storage.is_remote(url):
        asked.append(Asked(storage.CREDENTIALS, storage.check_credentials))
        asked.append(Asked(storage.CLOCK, storage.check_clock))
    frameworks, wrong = configuration.configured(config)
    environments = partial(
        configuration.check_environments,
        *(frameworks, config.frameworks_path, cluster.caches(config, frameworks)),
    )
    built = Asked("frameworks", environments)
    yield from configuration.check_layers(loaded)
    yield from wrong
    planned = list(configuration.check_plan(config, frameworks))
    yield from planned
    yield from machine.check_sandbox(config)
    used = _methods(config, frameworks)
    if methods.DEFAULT in used:
        yield from machine.check_machine(config)
    yield from machine.check_disks(config)
    yield from configuration.check_uv()
    yield from machine.check_java(frameworks)
    yield from machine.check_methods(used)
    if used & {"slurm", "pilot"} or config.slurm.model_fields_set:
        reported = {finding.message for finding in planned}
        found = cluster.check_cluster(config)
        yield from (finding for finding in found if finding.message not in reported)
    yield from built.findings()
    for check in asked:
        yield from check.findings()


def exit_code(findings: list[Finding]) -> int:
    """0 without a fault, 2 if the configuration is at fault, 1 if only the machine is."""
    faults = [finding for finding in findings if finding.level == "fault"]
    if any(finding.is_configuration for finding in faults):
        return 2
    return 1 if faults else 0


def _methods(config: Config, frameworks: Mapping[str, Framework]) -> set[str]:
    try:
        names = {label: framework.name for label, framework in frameworks.items()}
        return set(methods.methods_of(config, names).methods.values())
    except BenchmarkError:
        return set()  # The configuration's own check reports it.
