"""A command's output: its report on standard output as lines or JSON, the rest on standard error.

notice("Building the environment …")                # standard error: progress and warnings
report(options, {"tasks": 4}, ["4 tasks"])          # standard output: --json or the lines
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import Any, TextIO

from benchmark.errors import BenchmarkError
from benchmark.files.safe_text import for_terminal


def report(options: argparse.Namespace, facts: Any, lines: Iterable[str]) -> None:
    """Print the facts as JSON with --json, else the lines."""
    if options.json:
        show(json.dumps(finite(facts), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in lines:
        show(line)


def show(text: str) -> None:
    """Print a line on standard output.

    Raises:
        BenchmarkError: it cannot be written, for example to a disk that is full.
    """
    try:
        print(wrapped(for_terminal(text), sys.stdout))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> BenchmarkError:
    reason = error.strerror or str(error)
    return BenchmarkError(
        f"Standard output cannot be written: {reason}; free some disk space or redirect it "
        "elsewhere."
    )


def notice(text: str) -> None:
    """Print a line on standard error; a log that cannot be written must not end a run."""
    with contextlib.suppress(OSError, ValueError):
        # In one write, so that the lines of two threads do not run into one.
        print(wrapped(for_terminal(text), sys.stderr) + "\n", end="", file=sys.stderr, flush=True)


def width(stream: TextIO | None = None) -> int | None:
    """The columns of the terminal of standard output; None if that is not a terminal."""
    shown = (stream or sys.stdout).isatty()
    return shutil.get_terminal_size().columns if shown else None


def wrapped(text: str, stream: TextIO) -> str:
    """The text broken between words where it is wider than the terminal; unchanged elsewhere."""
    columns = width(stream)
    if columns is None:
        return text
    found = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        found += textwrap.wrap(
            line,
            columns,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [line]
    return "\n".join(found)


def agreed(question: str) -> bool:
    """Ask on the terminal; return whether the user answers yes.

    Raises:
        BenchmarkError: there is no terminal to ask on.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise BenchmarkError(f"{question} Not a terminal; pass --yes.")
    print(f"{for_terminal(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def finite(value: Any) -> Any:
    """The value with null for NaN and the infinities, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value
