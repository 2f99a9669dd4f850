"""Task, Run and its manifest: what is evaluated, and under which conditions.

A task's key is `framework/dataset/seed` and does not change when the grid grows. What makes two
runs different (budget, limits, cores, memory, split, metric, data and environment hashes) is
in the manifest, so results under other conditions cannot mix.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError, ConfigError, StoreError
from benchmark.records.layout import Layout, task_key

if TYPE_CHECKING:
    from benchmark.store import Store

MANIFEST_VERSION = 1
BENCHMARK_EVALUATION = "benchmark.execution.evaluation:BenchmarkEvaluation"
CLASSIC_SEED = 1400
CLASSIC_SEEDS = 1000


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of an MPI program: number of nodes, processes on each, and their resources."""

    nodes: int
    ranks_per_node: int
    threads_per_rank: int = 1
    gpus_per_rank: int = 0

    @property
    def cores(self) -> int:
        """How many cores it takes on each node."""
        return self.ranks_per_node * self.threads_per_rank


@dataclass(frozen=True, slots=True)
class Resources:
    """The limits of one task, in seconds and MB; `mpi` for a program that is started as ranks."""

    cores: int
    memory_mb: int
    runtime_s: float
    hard_limit_s: float
    mpi: Ranks | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One evaluation. Dispatchers carry it and never look inside."""

    key: str
    evaluation: str
    environment: str
    payload: dict[str, Any]
    resources: Resources
    labels: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Task:
        values = json.loads(text)
        resources = values["resources"]
        mpi = resources.pop("mpi", None)
        values["resources"] = Resources(**resources, mpi=Ranks(**mpi) if mpi else None)
        return Task(**values)


@dataclass(frozen=True, slots=True)
class Cell:
    """A task's place in the grid: framework (its name in the results), data set, seed."""

    framework: str
    dataset: str
    seed: int

    @property
    def key(self) -> str:
        return task_key(self.framework, self.dataset, self.seed)


@dataclass(frozen=True)
class Manifest:
    """A run as it was planned: conditions, what is compared, on what, and the tasks in order.

    `frameworks[name]` holds the registry's name, params, version and environment hash;
    `datasets[name]` type, target, problem, classes and content hash. A task's position in
    `cells` is the classic CSV's ID. `until` is the question that ends the run early, with the
    random order of the data sets (`benchmark.runs.early_stop.until`).
    """

    conditions: dict[str, Any]
    frameworks: dict[str, dict[str, Any]]
    datasets: dict[str, dict[str, Any]]
    cells: tuple[Cell, ...]
    created: str
    harness: str
    until: dict[str, Any] | None = None

    def to_bytes(self) -> bytes:
        values = {
            "version": MANIFEST_VERSION,
            "created": self.created,
            "harness": self.harness,
            "conditions": self.conditions,
            "frameworks": self.frameworks,
            "datasets": self.datasets,
            "tasks": [[cell.framework, cell.dataset, cell.seed] for cell in self.cells],
        }
        if self.until is not None:
            values["until"] = self.until
        return json.dumps(values, ensure_ascii=False).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        try:
            values = json.loads(data)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if values["version"] != MANIFEST_VERSION:
            raise BenchmarkError(
                f"The manifest has version {values['version']} and this program reads "
                f"{MANIFEST_VERSION}; use the version of the program that made the run."
            )
        for part in ("conditions", "frameworks", "datasets"):
            if not isinstance(values[part], dict):
                raise TypeError(f"'{part}' is not a JSON object")
        for part in ("frameworks", "datasets"):
            if not all(isinstance(one, dict) for one in values[part].values()):
                raise TypeError(f"'{part}' does not hold JSON objects")
        if not all([type(part) for part in cell] == [str, str, int] for cell in values["tasks"]):
            raise TypeError("'tasks' holds something other than framework, data set and seed")
        return Manifest(
            conditions=values["conditions"],
            frameworks=values["frameworks"],
            datasets=values["datasets"],
            cells=tuple(Cell(*cell) for cell in values["tasks"]),
            created=values["created"],
            harness=values["harness"],
            until=values.get("until"),
        )


def same_values(one: Any, other: Any, exact: Collection[str] = (), is_exact: bool = False) -> bool:
    """Whether two JSON values are equal. No boolean equals a number: `False == 0` in Python.

    Under the keys `exact`, an integer and a float differ, too.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same_values(value, other[key], exact, is_exact or key in exact)
            for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same_values(*p, exact, is_exact) for p in pairs)
    kinds = {type(one), type(other)}
    if len(kinds) > 1 and kinds <= {bool, int, float} and (is_exact or bool in kinds):
        return False
    return bool(one == other)


@dataclass(frozen=True)
class Run(Layout):
    """A run in its store: the manifest, the tasks, and the paths of their objects."""

    name: str
    store: Store
    manifest: Manifest

    @staticmethod
    def open(store: Store, name: str) -> Run:
        """Read a run.

        Raises:
            BenchmarkError: there is no such run in the store, or its manifest is broken.
        """
        data = store.get(f"{name}/manifest.json")
        if data is None:
            others = sorted(
                path.removesuffix("/manifest.json")
                for path in store.list()
                if path.endswith("/manifest.json")
            )
            fix = "start one with execute-compute"
            if others:
                fix = f"name one of these with --run: {', '.join(others)}"
            raise BenchmarkError(f"There is no run '{name}' in {store.url}; {fix}.")
        try:
            return Run(name, store, Manifest.from_bytes(data))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"The manifest of run '{name}' in {store.url} is broken: {error}."
            ) from error

    def save(self) -> None:
        self.store.put(self.manifest_path, self.manifest.to_bytes())

    @cached_property
    def tasks(self) -> list[Task]:
        """Every task, in the manifest's order."""
        return [self.task_of(cell) for cell in self.manifest.cells]

    @cached_property
    def _cells(self) -> dict[str, Cell]:
        return {cell.key: cell for cell in self.manifest.cells}

    @cached_property
    def _resources(self) -> Resources:
        conditions = self.manifest.conditions
        return Resources(
            cores=conditions["cores"],
            memory_mb=conditions["memory"],
            runtime_s=conditions["runtime"],
            hard_limit_s=conditions["hard_limit"],
        )

    def task(self, key: str) -> Task:
        """The task with a key.

        Raises:
            BenchmarkError: the run has no such task.
        """
        cell = self._cells.get(key)
        if cell is not None:
            return self.task_of(cell)
        # A study's tasks are not planned: each is stored when proposed.
        proposed = self.store.get(self.task_path(key))
        if proposed is None:
            raise BenchmarkError(f"Run '{self.name}' has no task '{key}'.")
        return Task.from_json(proposed.decode())

    def task_of(self, cell: Cell) -> Task:
        dataset = self.manifest.datasets[cell.dataset]
        return Task(
            key=cell.key,
            evaluation=BENCHMARK_EVALUATION,
            environment=str(self.manifest.frameworks[cell.framework]["environment"]),
            payload={"framework": cell.framework, "dataset": cell.dataset, "seed": cell.seed},
            resources=self._resources,
            labels={
                "framework": cell.framework,
                "dataset": cell.dataset,
                "type": dataset["type"],
                "seed": cell.seed,
                **self._fold_labels(cell, dataset),
            },
        )

    def _fold_labels(self, cell: Cell, dataset: dict[str, Any]) -> dict[str, int]:
        """The OpenML task, and the fold if the seed is one."""
        labels = {"openml_task": dataset["task"]} if dataset.get("task") else {}
        if self.manifest.conditions["split"] == "openml":
            labels["fold"] = cell.seed
        return labels

    def log_path(self, task: Task, *, passed: bool, attempt: int) -> str:
        outcome = "pass" if passed else "fail"
        if task.key.count("/") != 2:
            return f"{self.name}/logs/{outcome}/{task.key}/{attempt}.log"
        framework, dataset, seed = task.key.split("/")
        place = f"{dataset}-{task.labels.get('type', 'task')}-{seed}"
        return f"{self.name}/logs/{outcome}/{framework}/{place}/{attempt}.log"


def seeds_of(seeds: int | list[int]) -> list[int]:
    """The seeds of a configuration: n means the first n distinct values of the classic generator.

    The classic ten are the first ten of `numpy.random.RandomState(1400).randint(1000)`.

    Raises:
        ConfigError: the generator does not have that many values.
    """
    if isinstance(seeds, list):
        return list(seeds)
    if seeds > CLASSIC_SEEDS:
        raise ConfigError(
            f"'seeds' is {seeds}, and there are {CLASSIC_SEEDS} classic seeds; write a number from "
            f"1 to {CLASSIC_SEEDS}, or list the seeds."
        )
    import numpy as np

    generator = np.random.RandomState(CLASSIC_SEED)
    chosen: dict[int, None] = {}
    while len(chosen) < seeds:
        chosen[int(generator.randint(CLASSIC_SEEDS))] = None
    return list(chosen)


def generate_tests(
    frameworks: Sequence[str],
    datasets: Sequence[str],
    seeds: Iterable[int],
    *,
    key_seed: int = 0,
) -> tuple[Cell, ...]:
    """The grid, each cell once, shuffled the same way each time.

    Shuffling spreads heavy data sets and frameworks over the run, so that the time left can be
    estimated early and no machine gets only the heavy ones.
    """
    cells = [Cell(f, d, s) for s in seeds for d in datasets for f in frameworks]
    cells = list(dict.fromkeys(cells))
    random.Random(key_seed).shuffle(cells)  # noqa: S311  # nosec B311 # an order
    return tuple(cells)
