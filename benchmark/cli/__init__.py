"""The command line: parse, call, print.

Every module below is imported only by the command that needs it, so that `--help` is instant.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmark.cli.commands import COMMANDS
from benchmark.cli.parser import parse

__all__ = ["COMMANDS", "main"]

_DISK = (errno.ENOSPC, errno.EDQUOT)
_FULL_MB = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code (0, 1: a fault outside the frameworks, 2: wrong use)."""
    if sys.platform == "win32":
        _notice("error: Windows cannot hold a task's processes within limits; use WSL 2.")
        return 2
    options = parse(sys.argv[1:] if argv is None else argv)
    module, _, function = COMMANDS[options.command][0].partition(":")
    code = 0
    try:
        if options.command != "completion":
            _check_working_directory()
        command: Callable[[argparse.Namespace], int]
        command = getattr(importlib.import_module(f"benchmark.cli.{module}"), function)
        code = command(options)
        _flush()
        return code
    except KeyboardInterrupt:
        _notice("Interrupted.")
        return 1
    except BrokenPipeError:
        _drop_output()
        return code
    except Exception as error:
        fault = _fault_of_output() or _fault_of_working_directory(error)
        if options.debug and fault is None:
            raise
        return _explain(error if fault is None else fault)


def _explain(error: Exception) -> int:
    from benchmark.errors import BenchmarkError

    root = Path(__file__).absolute().parents[2]
    if isinstance(error, BenchmarkError):
        _notice(f"error: {error}")
    elif isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("benchmark"):
        _notice(
            f"error: the package {error.name} is not installed for {sys.executable}; run "
            f"`make env` in {root} and use {root}/.venv/bin/python, or install its "
            "pre-requirements.txt and requirements.txt."
        )
    elif isinstance(error, OSError) and error.errno in _DISK:
        _notice(f"error: {error.strerror}: {error.filename or _full()}; free space there.")
    elif isinstance(error, OSError) and "temporary directory" in str(error.strerror):
        # Of Python's tempfile, which has tried them all.
        _notice(f"error: {error.strerror}; set TMPDIR to a folder that can be written.")
    else:
        _notice(
            f"error: {type(error).__name__}: {error} (a bug in this program; --debug shows where)"
        )
    return 2


def _full() -> str:
    """The places of this program that are full; a write to an open file does not name its own."""
    import shutil

    from benchmark.config.cache import cache_folder

    full = []
    # Python's own choice of a temporary folder is tried by a write, which fails on a full disk.
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108  # nosec B108
    for place in dict.fromkeys([Path.cwd(), temporary, cache_folder()]):
        there = next(folder for folder in (place, *place.parents) if folder.exists())
        free_mb = shutil.disk_usage(there).free // 2**20
        if free_mb < _FULL_MB:
            full.append(f"{place} ({free_mb} MiB free)")
    return ", ".join(full) or "a file that this command writes, or the folder of its results"


def _check_working_directory() -> None:
    from benchmark.files.input_files import check_working_directory

    check_working_directory()


def _fault_of_working_directory(error: Exception) -> Exception | None:
    """The reason why a file was not found, if the working directory was deleted meanwhile."""
    from benchmark.errors import BenchmarkError

    if isinstance(error, OSError):
        try:
            _check_working_directory()
        except BenchmarkError as fault:
            return fault
    return None


def _fault_of_output() -> Exception | None:
    """The reason why standard output cannot be written, or None; drops what was still buffered."""
    from benchmark.cli.output import unwritable

    try:
        _flush()
    except OSError as error:
        _drop_output()
        return unwritable(error)
    return None


def _flush() -> None:
    if sys.stdout is not None:  # It is None where the caller has closed it.
        sys.stdout.flush()


def _drop_output() -> None:
    """Redirect a closed standard output, so that the interpreter's last flush cannot fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _notice(text: str) -> None:
    from benchmark.cli.output import notice

    notice(text)
