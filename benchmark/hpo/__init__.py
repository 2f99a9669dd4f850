"""Hyperparameter optimisation: spaces, optimizers, objectives, studies, and the HPO service.

from benchmark.hpo import Client           # of the service
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.hpo.client import Client, ClientError

__all__ = ["Client", "ClientError"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from benchmark.hpo import client

        return getattr(client, name)
    raise AttributeError(f"module 'benchmark.hpo' has no attribute '{name}'")
