"""Commands about frameworks: list them, make a new one, lock its requirements, check it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark.cli.output import notice, report, show
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration
from benchmark.config.extras import program
from benchmark.errors import BenchmarkError
from benchmark.files.input_files import expanded
from benchmark.frameworks import Framework, environments, registry
from benchmark.frameworks.framework import FOLDER

SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def frameworks(options: argparse.Namespace) -> int:
    """List frameworks, or run `frameworks new|check|lock NAME` on one of them."""
    if options.action is None:
        return _listed(options)
    if not options.what:
        raise BenchmarkError(
            f"`frameworks {options.action}` needs a name: `frameworks {options.action} NAME`."
        )
    steps = {"new": _new, "check": _check, "lock": _lock}
    return steps[options.action](options)


def _listed(options: argparse.Namespace) -> int:
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
            "folder": str(framework.folder),
        }
        for framework in scan.frameworks.values()
    ]
    width = max(len(str(row["name"])) for row in rows)
    lines = [
        f"{row['name']:{width}}  tier {row['tier']}  {'installed' if row['installed'] else '':9}  "
        f"{row['description']}"
        for row in rows
    ]
    report(options, rows, lines)
    for warning in scan.warnings:
        notice(f"warning: {warning}")
    return 0


def _new(options: argparse.Namespace) -> int:
    from benchmark.frameworks.new import make

    folder = make(options.what, Path(options.path))
    report(
        options,
        {"name": options.what, "folder": str(folder)},
        [
            f"{folder}: {', '.join(sorted(file.name for file in folder.iterdir()))}",
            f"It already works: {program()} frameworks check {folder}",
            f'In batch.config: "frameworks_path": ["{folder.parent}"], '
            f'"frameworks": ["{options.what}"]',
        ],
    )
    return 0


def _check(options: argparse.Namespace) -> int:
    from benchmark.runs.contract import DATASETS, contract

    checked = []
    framework = _named(options)
    notice(
        f"Building the environment of {framework.name} if it is not built; then running "
        f"{counted(2 * len(DATASETS), 'task')}, which takes a minute or longer."
    )
    for check in contract(framework):
        checked.append(check)
        if not options.json:
            show(f"{SIGNS[check.state]} {check.name}: {check.message}")
            sys.stdout.flush()
    wrong = sum(check.state == "wrong" for check in checked)
    verdict = (
        "It passes the contract test."
        if not wrong
        else f"{wrong} of {counted(len(checked), 'check')} failed."
    )
    rows = [{"state": c.state, "name": c.name, "message": c.message} for c in checked]
    report(options, {"ok": not wrong, "checks": rows}, [verdict])
    return 1 if wrong else 0


def _lock(options: argparse.Namespace) -> int:
    """Resolve requirements.in to requirements.lock."""
    from benchmark.frameworks import locks

    framework = _named(options, needs_lock=False)
    folder = framework.environment_folder
    if folder.is_relative_to(FOLDER):
        raise BenchmarkError(f"{folder} is part of the program; its lock is not created here.")
    text = locks.resolve(
        framework, locks.requirements_of(framework), "main.py frameworks lock FOLDER"
    )
    path = folder / locks.LOCK
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchmarkError(f"{path} cannot be written: {error.strerror}.") from None
    number = len(locks.versions(text))
    report(options, {"lock": str(path), "packages": number}, [f"{path}: {number} packages"])
    return 0


def _named(options: argparse.Namespace, *, needs_lock: bool = True) -> Framework:
    """The framework of a folder, or of a name."""
    folder = expanded(options.what)
    if (folder / registry.FILE).is_file():
        return registry.of_folder(folder.absolute(), needs_lock=needs_lock)
    if folder.is_dir() or "/" in options.what:
        raise BenchmarkError(f"There is no {registry.FILE} in {folder}.")
    paths: Sequence[str] = configuration(options).frameworks_path
    return registry.get(options.what, paths)
