"""Where tasks run: one interface, a folder per method.

    from benchmark import compute

    compute.run_full(runtime=60).causes           # a Counter: success, timeout, …
    compute.resume()
    compute.execute_list([("constant", "penguins", 75)])
    compute.fetch_results()                       # a pandas frame, a row per task

The functions are those of `benchmark.api`, which lies above the drivers: it is loaded by name when
one of them is first used, so that this package imports nothing above it.
"""

from __future__ import annotations

import importlib
from typing import Any

_OF_API = (
    "delete_runs",
    "execute_list",
    "export_failures",
    "fetch_results",
    "file_compute",
    "get_logs",
    "resume",
    "run_full",
)


def __getattr__(name: str) -> Any:
    if name not in _OF_API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("benchmark.api"), name)


def __dir__() -> list[str]:
    return list(_OF_API)
