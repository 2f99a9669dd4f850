"""What every command starts from: the configuration, with a line that says which."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmark.config import Config, load_config
from benchmark.errors import ConfigError
from benchmark.runs.plan import Narrowing

if TYPE_CHECKING:
    import argparse


def configuration(options: argparse.Namespace, **fixed: Any) -> Config:
    """The configuration of this command; says on standard error when it is the quickstart's.

    `fixed` are keys that the command itself sets, over every other layer.
    """
    overrides = dict(_pair(text) for text in options.set)
    overrides |= {"run": options.run, "parallel": options.parallel} | fixed
    loaded = load_config(options.config, overrides)
    if loaded.quickstart:
        print(
            "Quickstart (there is no batch.config): the starter suite, light frameworks, "
            f"{loaded.values.runtime:g} s a task, results in {loaded.values.store_url}",
            file=sys.stderr,
        )
    return loaded.values


def narrowing(options: argparse.Namespace) -> Narrowing:
    return Narrowing(options.framework, options.dataset, options.seed)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set takes KEY=VALUE, and '{text}' has no '='.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
