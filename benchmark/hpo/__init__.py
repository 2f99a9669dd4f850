"""Studies: a stream of trials that an optimizer proposes, each a task like any other.

from benchmark.hpo import HPORunner                   # a study from Python
from benchmark.hpo import Client                      # of the HPO service
from benchmark.hpo import InOrder, Study, read_study  # a driver loop of your own
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark import lazy

if TYPE_CHECKING:
    from benchmark.hpo.client import AsyncClient, Client, ClientError
    from benchmark.hpo.runner import HPORunner
    from benchmark.hpo.spec.study_file import read_study
    from benchmark.hpo.study.study import Study
    from benchmark.hpo.study.task_order import InOrder

# Imported when they are first named, so that a command that needs none of them starts at once.
_MODULES = {
    "AsyncClient": "benchmark.hpo.client",
    "Client": "benchmark.hpo.client",
    "ClientError": "benchmark.hpo.client",
    "HPORunner": "benchmark.hpo.runner",
    "InOrder": "benchmark.hpo.study.task_order",
    "Study": "benchmark.hpo.study.study",
    "read_study": "benchmark.hpo.spec.study_file",
}
__all__ = ["AsyncClient", "Client", "ClientError", "HPORunner", "InOrder", "Study", "read_study"]


def __getattr__(name: str) -> Any:
    return lazy.attribute(__name__, name, _MODULES)


def __dir__() -> list[str]:
    return list(__all__)
