"""The objective `benchmark`: a framework's parameters over chosen data sets and seeds.

objective:
  benchmark: {framework: random-forest, datasets: [penguins, cpu], seeds: 2, runtime: 30}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from benchmark.files.declared import Declared, read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.samplers.proposal import Direction
    from benchmark.records.tasks import Run

RUNTIME_S = 60.0
_Name = Annotated[str, Field(min_length=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _listed(value: Any) -> Any:
    """A list as a tuple, one text as a tuple of one."""
    return (
        (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    )


class BenchmarkObjective(Declared):
    """What each trial runs: every data set with every seed, as a benchmark's tasks are run.

    `params` are the framework's that no tunable sets; `runtime_s` is handed to it as its budget.
    """

    framework: _Name = Field(description="its name")
    datasets: Annotated[tuple[_Name, ...], BeforeValidator(_listed)] = Field(
        min_length=1, description="a list of names"
    )
    seeds: (
        Annotated[int, Field(ge=1, le=1000)]
        | Annotated[tuple[_Seed, ...], BeforeValidator(_listed), Field(min_length=1)]
    ) = Field(
        default=1,
        description="how many, from 1 to 1000, or a list of whole numbers from 0 to 2^32-1",
    )
    params: dict[str, Any] = Field(default={}, description="keys and values")
    runtime_s: float = Field(
        default=RUNTIME_S, alias="runtime", gt=0, lt=1e9, description="seconds above 0"
    )
    split: Literal["holdout", "cv", "openml"] = "holdout"
    metric: dict[str, str] = Field(default={}, description="keys and values")


def benchmark_cells(run: Run) -> list[tuple[str, int]]:
    """Data set and seed of each task that a trial of the study is."""
    material = run.manifest.conditions["benchmark"]
    return [(name, seed) for seed in material["seeds"] for name in material["datasets"]]


def read_benchmark(
    entry: Any, directions: Mapping[str, Direction], faults: list[str]
) -> BenchmarkObjective | None:
    """The objective's `benchmark`; what is wrong goes into `faults`."""
    if entry is None:
        return None
    if not isinstance(entry, dict):
        faults.append("'benchmark' must name a framework and its datasets.")
        return None
    if directions and list(directions.values()) != ["maximize"]:
        faults.append("A benchmark's value is a mean score; its 'direction' is maximize, alone.")
    return read(BenchmarkObjective, entry, "'benchmark'", faults)
