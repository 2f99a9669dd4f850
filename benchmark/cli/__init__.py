"""The command line: parse, call, print.

Every module below is imported only by the command that needs it, so that `--help` is instant.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.parser import COMMANDS, parse

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

__all__ = ["COMMANDS", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code (0, 1: a fault outside the frameworks, 2: wrong use)."""
    if sys.platform == "win32":
        _say("error: Windows cannot hold a task's processes within limits; use WSL 2.")
        return 2
    options = parse(sys.argv[1:] if argv is None else argv)
    module, _, function = COMMANDS[options.command][0].partition(":")
    code = 0
    try:
        command: Callable[[argparse.Namespace], int]
        command = getattr(importlib.import_module(f"benchmark.cli.{module}"), function)
        code = command(options)
        _flush()
        return code
    except KeyboardInterrupt:
        _say("Interrupted.")
        return 1
    except BrokenPipeError:
        _drop_output()
        return code
    except Exception as error:
        fault = _fault_of_output()
        if options.debug and fault is None:
            raise
        return _explain(error if fault is None else fault)


def _explain(error: Exception) -> int:
    from benchmark.errors import BenchmarkError

    root = Path(__file__).absolute().parents[2]
    if isinstance(error, BenchmarkError):
        _say(f"error: {error}")
    elif isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("benchmark"):
        _say(
            f"error: the package {error.name} is not installed for {sys.executable}; run "
            f"`make env` in {root} and use {root}/.venv/bin/python, or install its "
            "pre-requirements.txt and requirements.txt."
        )
    else:
        _say(f"error: {type(error).__name__}: {error} (our fault; --debug shows where)")
    return 2


def _fault_of_output() -> Exception | None:
    """Why standard output cannot be written, if so; what it still held is dropped then."""
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
    """Nobody reads it any more: keep the interpreter from failing on it once again at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _say(text: str) -> None:
    from benchmark.cli.output import notice

    notice(text)
