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

# The keys of what is still to come.
WITHOUT_EFFECT = (
    "openml_api_key",
    "repo_ssh_key",
    "ec2_ssh_key",
    "job_queue_id",
    "job_definition_id",
    "job_name",
    "ecr_repo",
    "cluster_image",
    "ec2_template",
    "cluster_size",
    "cluster_type",
    "datasets",
    "max_cost",
    "instance_types",
    "on_demand",
    "slurm",
)
_DEFAULTS = Config().model_dump()


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
    idle = [key for key in WITHOUT_EFFECT if key in loaded.values.model_fields_set]
    idle = [key for key in idle if getattr(loaded.values, key) != _DEFAULTS[key]]
    if idle:
        print(f"warning: no effect in this version: {', '.join(idle)}", file=sys.stderr)
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
