"""Where tasks run: one interface, a folder per method.

    from benchmark import compute

    compute.run_full(runtime=60).causes           # a Counter: success, timeout, …
    compute.resume()
    compute.execute_list([("constant", "penguins", 75)])
    compute.fetch_results()                       # a pandas frame, a row per task

    from benchmark.compute import AutoMLMethods, Dispatcher   # a method of your own

The functions are those of `benchmark.api`, which lies above the drivers: it is loaded by name when
one of them is first used, so that this package imports nothing above it.
"""

from __future__ import annotations

from typing import Any

from benchmark import lazy

__all__ = [
    "AutoMLMethods",
    "Dispatcher",
    "delete_runs",
    "execute_list",
    "export_failures",
    "fetch_results",
    "file_compute",
    "get_logs",
    "resume",
    "run_full",
]
_MODULES = dict.fromkeys(__all__, "benchmark.api") | dict.fromkeys(
    ("AutoMLMethods", "Dispatcher"), "benchmark.compute.dispatcher"
)


def __getattr__(name: str) -> Any:
    return lazy.attribute(__name__, name, _MODULES)


def __dir__() -> list[str]:
    return list(__all__)
