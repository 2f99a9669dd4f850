"""Studies: a stream of trials that an optimizer proposes, each a task like any other.

from benchmark.hpo import HPORunner
"""

from __future__ import annotations

import importlib
from typing import Any

# Imported when they are first named, so that a command that needs none of them starts at once.
_PUBLIC = {"HPORunner": "benchmark.hpo.runner"}
__all__ = ["HPORunner"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
