"""A Ray cluster of three nodes on this machine, each a raylet with workers of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import pytest

SMALL_RAY = {"reserve_mb": 300}
_NODE: dict[str, Any] = {
    "num_cpus": 1,
    "memory": 8 * 2**30,
    "object_store_memory": 80 * 2**20,
    "include_dashboard": False,
}
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed"
)


@pytest.fixture(scope="session")
def ray_nodes() -> Iterator[Any]:
    """`ray.cluster_utils.Cluster`; a test that kills a node adds another."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    with cluster() as nodes:
        yield nodes


@contextlib.contextmanager
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_prestart_worker_first_driver", "0")
        patch.setenv("RAY_enable_worker_prestart", "0")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # 15 by default: starved by other tests
        nodes = Cluster(initialize_head=True, head_node_args=_NODE, shutdown_at_exit=False)
        try:
            for _ in range(2):
                add_node(nodes)
            yield nodes
        finally:
            nodes.shutdown()


def add_node(cluster: Any, **options: Any) -> Any:
    return cluster.add_node(wait=True, **_NODE | options)


@pytest.fixture
def ray_cluster(ray_nodes: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The cluster, named in RAY_ADDRESS."""
    monkeypatch.setenv("RAY_ADDRESS", ray_nodes.address)
    return ray_nodes


def runners() -> list[int]:
    """The processes of workers' runners on this machine."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/cmdline", "rb") as file:  # noqa: PTH123
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"benchmark.compute.pilot.slot" in words and b"ray-test" in b"".join(words):
                found.append(int(entry.name))
    return found
