"""How an execution begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from benchmark.config.loading import Config
from benchmark.frameworks import Framework
from benchmark.runs import begin
from benchmark.runs.plan import Plan
from benchmark.store import Store

SLURM = {"constant": "slurm", "*": "local"}


@pytest.mark.parametrize(
    ("keys", "built"),
    [
        ({"compute": {"constant": "batch", "*": "local"}}, ["random-forest"]),
        ({"compute": {"constant": "baremetal", "*": "batch"}}, []),
        ({"compute": SLURM}, ["constant", "random-forest"]),
        ({"compute": SLURM, "slurm": {"image": "all.sif"}}, ["random-forest"]),
    ],
)
def test_only_what_runs_in_environments_of_this_machine_is_built(
    keys: dict[str, Any],
    built: list[str],
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: list[str] = []

    def build_all(frameworks: Sequence[Framework], *_: Any, **__: Any) -> list[Any]:
        found.extend(one.name for one in frameworks)
        return []

    monkeypatch.setattr(begin, "build_all", build_all)
    plan = make_plan(folder_store, frameworks=["constant", "random-forest"])
    begin.build_environments(plan.run, make_config(**keys), plan.tasks)
    assert sorted(found) == built
