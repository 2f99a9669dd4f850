"""setup: build, measure or remove the environments of frameworks."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.cli.output import notice, report, wrapped
from benchmark.cli.session import configuration
from benchmark.config.cache import CACHE_VARIABLE
from benchmark.errors import BenchmarkError
from benchmark.frameworks import Framework, disk, registry
from benchmark.frameworks.building import Built, build_all
from benchmark.frameworks.packing import is_packed, pack
from benchmark.runs.plan import chosen_frameworks


def setup(options: argparse.Namespace) -> int:
    packed = Path(options.to).absolute() if options.to and is_packed(options.to) else None
    if options.to and not (options.list_size or options.remove or options.apptainer):
        _check_place(packed.parent if packed else Path(options.to).absolute())
    if options.to and not packed:
        # Copies, not links into a cache that the nodes cannot see.
        os.environ |= {CACHE_VARIABLE: str(Path(options.to).absolute()), "UV_LINK_MODE": "copy"}
    if options.list_size:
        return _sizes(options)
    if options.remove:
        return _remove(options)
    chosen = _chosen(options)
    if options.apptainer:
        return _apptainer(options, chosen)
    rows: list[dict[str, Any]] = []
    lines: list[str] = []
    done: list[Built] = []
    with _progress(len(chosen)) as (show, advance):
        for built in build_all(chosen, show):
            advance(built)
            done.append(built)
            rows.append(_row(built))
            if built.error:
                notice(f"{built.framework.name}: {built.error}")
            elif built.environment:
                lines.append(_line(built))
    environments = [built.environment for built in done if built.environment]
    if packed and environments:
        size = pack(environments, packed)
        lines.append(
            f'{packed}: {size:g} MB; nodes unpack it with "slurm": {{"cache": "{packed}"}}.'
        )
    elif options.to and environments:
        lines.append(f'Nodes find them with "slurm": {{"cache": "{os.environ[CACHE_VARIABLE]}"}}.')
    failed = sum(row["error"] is not None for row in rows)
    stored = disk.stored()
    taken = stored.total_mb
    if len(stored.environments) > 1:
        lines.append(f"The environments take {taken:g} MB in total.")
    report(options, {"frameworks": rows, "total_mb": taken}, lines)
    return 1 if failed else 0


def _check_place(folder: Path) -> None:
    """Create the folder of --to before anything is built.

    Raises:
        BenchmarkError: it cannot be written.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BenchmarkError(
            f"The folder {folder} of --to cannot be written: {error.strerror}; name another one."
        ) from None


def _apptainer(options: argparse.Namespace, chosen: list[Framework]) -> int:
    from benchmark.compute.images import apptainer, images_of

    paths = configuration(options).frameworks_path
    wanted, faults = images_of(chosen, registry.scan(paths).frameworks, paths)
    for name, fault in faults.items():
        notice(f"{name}: {fault}")
    definition = apptainer.write(wanted, Path(options.apptainer).absolute())
    image = definition.with_suffix(".sif")
    lines = [
        f"cd {definition.parent} && apptainer build {image.name} {definition.name}",
        f'Nodes use it with "slurm": {{"image": "{image}"}}.',
    ]
    report(options, {"definition": str(definition), "faults": faults}, lines)
    return 1 if faults else 0


def _chosen(options: argparse.Namespace) -> list[Framework]:
    config = configuration(options)
    paths = config.frameworks_path
    if options.all:
        scan = registry.scan(paths)
        for warning in scan.warnings:
            notice(f"warning: {warning}")
        return list(scan.frameworks.values())
    if options.name:
        found = (registry.get(name, paths) for name in options.name)
    else:
        from benchmark.frameworks import of_entry

        found = (of_entry(entry) for entry in chosen_frameworks(config).values())
    return list({(f.name, f.pinned): f for f in found}.values())


def _row(built: Built) -> dict[str, Any]:
    environment = built.environment
    return {
        "name": built.framework.name,
        "folder": str(environment.folder) if environment else None,
        "version": environment.version if environment else None,
        "build_s": environment.build_s if environment else None,
        "import_s": built.import_s,
        "size_mb": environment.size_mb if environment else None,
        "error": built.error,
    }


def _line(built: Built) -> str:
    environment = built.environment
    if environment is None:
        return f"{built.framework.name}: {built.error}"
    return (
        f"{built.framework.name}: {built.framework.version_of} {environment.version}, "
        f"{environment.size_mb:g} MB, built in {environment.build_s:.1f} s, imported in "
        f"{built.import_s or 0:.1f} s, {environment.folder}"
    )


def _sizes(options: argparse.Namespace) -> int:
    found = disk.stored()
    rows = [
        {
            "name": one.name,
            "folder": str(one.folder),
            "size_mb": one.size_mb,
            "own_mb": one.own_mb,
            "built": one.built,
        }
        for one in found.environments
    ]
    width = max((len(one.name) for one in found.environments), default=0)
    lines = [
        f"{one.name:{width}}  {one.size_mb:9.1f} MB, removing frees {one.own_mb:.1f} MB"
        f"{'' if one.built else ' (not finished)'}"
        for one in found.environments
    ]
    lines.append(f"Total: {found.total_mb:g} MB; files are shared by hard links.")
    report(options, {"environments": rows, "total_mb": found.total_mb}, lines)
    return 0


def _remove(options: argparse.Namespace) -> int:
    paths = configuration(options).frameworks_path
    removed = disk.remove([_environment_name(name, paths) for name in options.remove])
    report(
        options,
        {"removed": [str(one.folder) for one in removed]},
        [f"{one.folder}: removed, {one.own_mb:g} MB freed" for one in removed],
    )
    return 0


def _environment_name(name: str, paths: list[str]) -> str:
    """The environment of a framework, or the one with this name."""
    plain, at, version = name.partition("@")
    with contextlib.suppress(BenchmarkError):
        return registry.get(plain, paths).environment + at + version
    return name


@contextlib.contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], None], Callable[[Built], None]]]:
    """A bar on a terminal, lines in a log: a function to report, and one for each that is done."""
    if not sys.stderr.isatty():
        yield (
            notice,
            lambda built: notice(
                f"{built.framework.name}: {'done' if built.environment else 'not built'}"
            ),
        )
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from benchmark.files.safe_text import for_terminal

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("environments built"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("environments", total=total)

        def show(text: str) -> None:
            line = wrapped(for_terminal(text), sys.stderr)
            bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

        def advance(_: Built) -> None:
            bar.update(task, advance=1)

        yield show, advance
