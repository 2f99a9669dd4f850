"""What every command starts from: the configuration, the store, the selected tasks."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from benchmark.cli.output import notice
from benchmark.config.loading import Config, LoadedConfig, json_or_text, load_config
from benchmark.errors import AbsentStoreError, ConfigError, StoreError
from benchmark.files.input_files import expanded
from benchmark.runs import select
from benchmark.runs.plan import Narrowing, Plan
from benchmark.store import Store, open_store

_OF_A_RUN = (
    *("frameworks", "studies", "datasets", "seeds", "split", "metric", "frameworks_path"),
    *("s3_bucket_root", "s3_folder"),
    *("cores", "memory", "runtime", "hard_limit", "max_attempts", "compute", "max_cost"),
)


def configuration(options: argparse.Namespace, **fixed: Any) -> Config:
    """The configuration of this command; prints a notice if it is the quickstart's.

    `fixed` are keys that the command itself sets; they override every other layer.
    """
    loaded = loaded_configuration(options, **fixed)
    if loaded.quickstart:
        why = "" if options.config else " (no batch.config found)"
        notice(
            f"Quickstart{why}: the starter suite, light frameworks, "
            f"{loaded.values.runtime:g} s a task, results in {loaded.values.store_url}"
        )
    return loaded.values


def loaded_configuration(options: argparse.Namespace, **fixed: Any) -> LoadedConfig:
    """The configuration and its sources, without a notice."""
    overrides = dict(_pair(text) for text in options.set)
    named = {"run": options.run, "parallel": options.parallel} | fixed
    named["max_cost"] = getattr(options, "max_cost", None)
    overrides |= {key: value for key, value in named.items() if value is not None}
    return load_config(options.config, overrides)


def narrowing(options: argparse.Namespace) -> Narrowing:
    # Plans bring the readers of data sets, which a server and the studies do without.
    from benchmark.runs.plan import Narrowing

    return Narrowing(options.framework, options.dataset, options.seed)


def again(options: argparse.Namespace, command: str) -> str:
    """The command line that resumes this run: the same conditions, tasks and cost limit.

    Of --set only the keys that identify a run are included: any other may hold a secret.
    """
    words = [command]
    kept = [pair for pair in options.set if pair.partition("=")[0] in _OF_A_RUN]
    kept_options = {"config": options.config, "run": options.run, "set": kept}
    names = ("max_cost", "framework", "dataset", "seed", "cause")
    kept_options |= {name: getattr(options, name, None) for name in names}
    for name, values in kept_options.items():
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def is_narrowed(options: argparse.Namespace) -> bool:
    return bool(options.framework or options.dataset or options.seed)


def stored_studies(config: Config) -> Store:
    """The store of a command that needs an existing study; does not create a missing folder.

    Raises:
        AbsentStoreError: the folder does not exist.
    """
    return stored(config, "There are no studies", "start one with tune FILE")


def stored(config: Config, none: str | None = None, fix: str = "") -> Store:
    """The store of a command that only reads; does not create a missing folder.

    `none` and `fix` are parts of the message for a missing folder, by default about runs.

    Raises:
        StoreError: the folder does not exist.
    """
    parts = urlsplit(config.store_url)
    if parts.scheme in ("", "file"):
        folder = expanded(parts.path)
        try:
            folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            none = none or f"There is no run '{config.run}'"
            raise AbsentStoreError(
                f"{none}, as the folder {folder.absolute()} does not exist; "
                f"{fix or 'start one with execute-compute'}, or name another store with "
                "'s3_bucket_root'."
            ) from None
        except OSError as error:
            raise StoreError(
                f"The store folder {folder.absolute()} cannot be read: {error.strerror}; name "
                "another with 's3_bucket_root', or get the permission to read it."
            ) from None
    return open_store(config.store_url)


def chosen(options: argparse.Namespace) -> tuple[Config, Plan]:
    """The configuration, the existing run, and its tasks that the command line selects.

    Raises:
        BenchmarkError: there is no such run, or a selection matches none of its tasks.
    """
    from benchmark.runs.plan import existing

    config = configuration(options)
    causes = select.causes_of(options.cause)
    plan = existing(config, stored(config), narrowing(options))
    if causes is not None:
        plan = replace(plan, tasks=select.unfinished(plan.run, plan.tasks, causes))
    return config, plan


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes KEY=VALUE, and '{text}' has no '='.")
    return key, json_or_text(value, f"--set {key}")
