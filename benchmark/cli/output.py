"""What a command tells: its report on standard output, as lines or as JSON, the rest beside it.

notice("Building the environment …")                # standard error: progress and warnings
report(options, {"tasks": 4}, ["4 tasks"])          # standard output: --json or the lines
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable


def report(options: argparse.Namespace, facts: Any, lines: Iterable[str]) -> None:
    """Print the facts as JSON where --json asks for it, else the lines."""
    if options.json:
        tell(json.dumps(finite(facts), indent=2, ensure_ascii=False, allow_nan=False))
        return
    for line in lines:
        tell(line)


def tell(text: str) -> None:
    """A line on standard output.

    Raises:
        BenchmarkError: it cannot be written, for example to a disk that is full.
    """
    try:
        print(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable(error) from None


def unwritable(error: OSError) -> BenchmarkError:
    reason = error.strerror or str(error)
    return BenchmarkError(f"Standard output cannot be written: {reason}; free its place.")


def notice(text: str) -> None:
    """A line on standard error; a log that cannot be written must not end a run."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def agreed(question: str) -> bool:
    """Whether the user says yes on a terminal.

    Raises:
        BenchmarkError: there is no terminal to ask on.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise BenchmarkError(f"{question} There is nobody to ask; say --yes.")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
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
