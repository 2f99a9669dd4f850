"""The objective `benchmark`: a framework's parameters over chosen data sets and seeds.

objective:
  benchmark: {framework: random-forest, datasets: [penguins, cpu], seeds: 2, runtime: 30}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmark.files.spelling import check_keys, meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.hpo.samplers.proposal import Direction
    from benchmark.records.tasks import Run

KEYS = ("framework", "datasets", "seeds", "params", "runtime", "split", "metric")
SPLITS = ("holdout", "cv", "openml")
RUNTIME_S = 60.0


@dataclass(frozen=True)
class BenchmarkObjective:
    """What each trial runs: every data set with every seed, as a benchmark's tasks are run.

    `params` are the framework's that no tunable sets; `runtime_s` is handed to it as its budget.
    """

    framework: str
    datasets: tuple[str, ...]
    seeds: int | tuple[int, ...] = 1
    params: dict[str, Any] = field(default_factory=dict)
    runtime_s: float = RUNTIME_S
    split: str = "holdout"
    metric: dict[str, str] = field(default_factory=dict)


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
    before = len(faults)
    if not isinstance(entry, dict):
        faults.append("'benchmark' must name a framework and its datasets.")
        return None
    check_keys(entry, KEYS, "'benchmark'", faults)
    if directions and list(directions.values()) != ["maximize"]:
        faults.append("A benchmark's value is a mean score; its 'direction' is maximize, alone.")
    framework, datasets = entry.get("framework"), entry.get("datasets")
    if not isinstance(framework, str) or not framework:
        faults.append(f"'benchmark' has the framework {framework!r}; write its name.")
    datasets = [datasets] if isinstance(datasets, str) else datasets
    if not isinstance(datasets, list) or not datasets or not all(map(_is_text, datasets)):
        faults.append(f"'benchmark' has the datasets {datasets!r}; write a list of names.")
    seeds = entry.get("seeds", 1)
    listed = isinstance(seeds, list) and bool(seeds)
    many = listed and all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
    if not many and (type(seeds) is not int or not 1 <= seeds <= 1000):
        faults.append(
            f"'benchmark' has the seeds {seeds!r}; write how many, from 1 to 1000, or a list of "
            "whole numbers from 0 to 2^32-1."
        )
    params, metric = entry.get("params", {}), entry.get("metric", {})
    if not isinstance(params, dict) or not isinstance(metric, dict):
        faults.append("'benchmark' takes 'params' and 'metric' as keys and values.")
    runtime = entry.get("runtime", RUNTIME_S)
    if type(runtime) not in (int, float) or not 0 < runtime < 1e9:
        faults.append(f"'benchmark' has the runtime {runtime!r}; write seconds above 0.")
    split = entry.get("split", "holdout")
    if split not in SPLITS:
        faults.append(f"'benchmark' has the split {split!r}; {meant(split, SPLITS)}")
    if len(faults) > before:
        return None
    return BenchmarkObjective(
        framework=str(framework),
        datasets=tuple(datasets or ()),
        seeds=tuple(seeds) if isinstance(seeds, list) else seeds,
        params=params,
        runtime_s=float(runtime),
        split=split,
        metric=metric,
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)
