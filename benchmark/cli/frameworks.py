"""Commands about frameworks: list them, build their environments."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from benchmark.cli.session import configuration
from benchmark.errors import SetupError
from benchmark.frameworks import environments, registry
from benchmark.runs.plan import chosen_frameworks

if TYPE_CHECKING:
    import argparse


def list_frameworks(options: argparse.Namespace) -> int:
    config = configuration(options)
    scan = registry.scan(config.frameworks_path)
    rows = [
        {
            "name": framework.name,
            "tier": framework.tier,
            "python": framework.python,
            "minimum_runtime_s": framework.minimum_runtime,
            "installed": environments.is_ready(framework),
            "aliases": list(framework.aliases),
            "description": framework.description,
        }
        for framework in scan.frameworks.values()
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        width = max(len(str(row["name"])) for row in rows)
        for row in rows:
            ready = "installed" if row["installed"] else "-"
            print(f"{row['name']:{width}}  tier {row['tier']}  {ready:9}  {row['description']}")
    for warning in scan.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def setup(options: argparse.Namespace) -> int:
    config = configuration(options)
    names = options.name or [str(entry["name"]) for entry in chosen_frameworks(config).values()]
    failed = False
    chosen = {f.name: f for f in (registry.get(name, config.frameworks_path) for name in names)}
    for framework in chosen.values():
        try:
            built = environments.ensure(framework, lambda text: print(text, file=sys.stderr))
            print(f"{framework.name}: {built.folder}")
        except SetupError as error:
            failed = True
            print(f"{framework.name}: {error}", file=sys.stderr)
    return 1 if failed else 0
