"""Studies: a stream of trials that an optimizer proposes, each a task like any other.

from benchmark.hpo import HPORunner        # a study from Python
from benchmark.hpo import Client           # of the HPO service
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.hpo.client import Client, ClientError
    from benchmark.hpo.runner import HPORunner

# Imported when they are first named, so that a command that needs none of them starts at once.
_PUBLIC = {
    "Client": "benchmark.hpo.client",
    "ClientError": "benchmark.hpo.client",
    "HPORunner": "benchmark.hpo.runner",
}
__all__ = ["Client", "ClientError", "HPORunner"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)
