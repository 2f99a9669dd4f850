"""A study in its store: its manifest, trials, files, and what can be done with it.

`study.Study` asks the optimizer, stores tasks and reports records back; `store` knows the paths
and the conditions that must not change. Import of foreign trials, deletion and the dashboard are
modules of their own.
"""

from __future__ import annotations

from typing import Any

from benchmark import lazy

__all__ = ["Study"]


def __getattr__(name: str) -> Any:  # Optuna is imported only when it is needed.
    return lazy.attribute(__name__, name, {"Study": "benchmark.hpo.study.study"})
