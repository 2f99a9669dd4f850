"""How many tasks a run says to run at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.compute.methods import Choice, at_once
from benchmark.config.loading import Config


@pytest.mark.parametrize(
    ("methods", "keys", "number"),
    [
        (["local"], {"parallel": 1}, 1),
        (["local", "slurm"], {"parallel": 1}, 2),
        (["slurm"], {}, None),
        (["slurm"], {"slurm": {"throttle": 6}, "parallel": 16}, 6),
        (["local", "slurm"], {}, None),
        (["baremetal"], {"cluster_size": 2}, None),
        (["baremetal"], {"cluster_size": 2, "parallel": 3}, 6),
    ],
)
def test_how_many_tasks_run_at_once_over_all_methods(
    make_config: Callable[..., Config], methods: list[str], keys: Any, number: int | None
) -> None:
    choice = Choice({f"f{n}": method for n, method in enumerate(methods)}, "")
    assert at_once(make_config(**keys), choice) == number
