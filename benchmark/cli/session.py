"""What every command starts from: the configuration, the store, the tasks that are meant."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmark import json_text
from benchmark.cli.output import notice
from benchmark.config import Config, load_config
from benchmark.errors import AbsentStoreError, ConfigError, StoreError
from benchmark.runs import select
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse

    from benchmark.config import LoadedConfig
    from benchmark.runs.plan import Narrowing, Plan
    from benchmark.store import Store

# The keys of what is still to come.
WITHOUT_EFFECT: tuple[str, ...] = ()
_DEFAULTS = Config().model_dump()
_OF_A_RUN = (
    *("frameworks", "studies", "datasets", "seeds", "split", "metric", "frameworks_path"),
    *("s3_bucket_root", "s3_folder"),
    *("cores", "memory", "runtime", "hard_limit", "max_attempts", "compute", "max_cost"),
)


def configuration(options: argparse.Namespace, **fixed: Any) -> Config:
    """The configuration of this command; says on standard error when it is the quickstart's.

    `fixed` are keys that the command itself sets, over every other layer.
    """
    loaded = loaded_configuration(options, **fixed)
    if loaded.quickstart:
        why = "" if options.config else " (there is no batch.config)"
        notice(
            f"Quickstart{why}: the starter suite, light frameworks, "
            f"{loaded.values.runtime:g} s a task, results in {loaded.values.store_url}"
        )
    idle = [key for key in WITHOUT_EFFECT if key in loaded.values.model_fields_set]
    idle = [key for key in idle if getattr(loaded.values, key) != _DEFAULTS[key]]
    if idle:
        notice(f"warning: no effect in this version: {', '.join(idle)}")
    return loaded.values


def loaded_configuration(options: argparse.Namespace, **fixed: Any) -> LoadedConfig:
    """The configuration and where it came from, without a word."""
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
    """The command line that goes on with this one's run: the same conditions, tasks and money.

    Of --set only what a run is known by is told: any other key may hold a secret.
    """
    words = [command]
    kept = [pair for pair in options.set if pair.partition("=")[0] in _OF_A_RUN]
    told = {"config": options.config, "run": options.run, "set": kept}
    names = ("max_cost", "framework", "dataset", "seed", "cause")
    told |= {name: getattr(options, name, None) for name in names}
    for name, values in told.items():
        for value in values if isinstance(values, list) else [values]:
            if value is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def is_narrowed(options: argparse.Namespace) -> bool:
    return bool(options.framework or options.dataset or options.seed)


def stored_studies(config: Config) -> Store:
    """The store of a command that needs a study in it: a folder that is not there is not made.

    Raises:
        AbsentStoreError: the folder is not there.
    """
    return stored(config, "There are no studies", "begin one with tune FILE")


def stored(config: Config, none: str | None = None, mend: str = "") -> Store:
    """The store of a command that only reads: a folder that is not there is not made.

    `none` and `mend` are what is said where there is no folder, of runs by default.

    Raises:
        StoreError: the folder is not there.
    """
    parts = urlsplit(config.store_url)
    if parts.scheme in ("", "file"):
        folder = Path(parts.path).expanduser()
        try:
            folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            none = none or f"There is no run '{config.run}'"
            raise AbsentStoreError(
                f"{none}, for there is no folder {folder.absolute()}; "
                f"{mend or 'start one with execute-compute'}, or name another store with "
                "'s3_bucket_root'."
            ) from None
        except OSError as error:
            raise StoreError(
                f"The store folder {folder.absolute()} cannot be read: {error.strerror}; name "
                "another with 's3_bucket_root', or ask for the right to read it."
            ) from None
    return open_store(config.store_url)


def chosen(options: argparse.Namespace) -> tuple[Config, Plan]:
    """The configuration, the run as it stands, and those of its tasks that the command line means.

    Raises:
        BenchmarkError: there is no such run, or a narrowing names nothing of it.
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
    try:
        return key, json_text.load(value)
    except json_text.RepeatedKeyError as error:
        raise ConfigError(f"--set {key} is not JSON: {error}; remove one of them.") from None
    except (ValueError, RecursionError):
        return key, value
