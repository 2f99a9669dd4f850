"""What a study's manifest holds beside its file: the environment's lock, a benchmark's material.

Of a study that goes on these are kept as they were, so that what is resolved or fetched today is
what was measured with on the first day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.hpo.objectives import environment

if TYPE_CHECKING:
    from benchmark.hpo.spec.study_file import StudyDefinition
    from benchmark.store import Store


def more_conditions(
    store: Store, definition: StudyDefinition, known: dict[str, Any]
) -> dict[str, Any]:
    """The environment and the benchmark of a study, as far as it has them.

    Raises:
        SetupError: the environment cannot be resolved.
        BenchmarkError: the framework is unknown, or a data set cannot be had.
    """
    more: dict[str, Any] = {}
    if definition.environment:
        before = known.get("environment") or {}
        same = all(before.get(key) == value for key, value in definition.environment.items())
        more["environment"] = before if same else environment.locked(definition.environment)
    if definition.objective.benchmark is not None:
        from benchmark.hpo.trials.benchmark_inputs import gathered

        more["benchmark"] = known.get("benchmark") or gathered(
            store, definition.objective.benchmark
        )
    return more
