"""Where tasks run: one interface, a folder per method. Also the door for a Python prompt.

from benchmark import compute

compute.run_full(runtime=60).causes           # a Counter: success, timeout, …
compute.resume()
compute.execute_list([("constant", "penguins", 75)])
compute.export_failures("left.jsonl")
compute.fetch_results()                       # a pandas frame, a row a task

These functions stand in benchmark.runs.interactive; they are loaded when they are first asked for,
so that this package stays below the drivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.runs.interactive import (
        delete_runs,
        execute_list,
        export_failures,
        fetch_results,
        file_compute,
        get_logs,
        resume,
        run_full,
    )

__all__ = [
    "delete_runs",
    "execute_list",
    "export_failures",
    "fetch_results",
    "file_compute",
    "get_logs",
    "resume",
    "run_full",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from benchmark.runs import interactive

    return getattr(interactive, name)


def __dir__() -> list[str]:
    return list(__all__)
