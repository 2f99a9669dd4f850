"""Keys, the grid, the manifest and the run."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records.tasks import (
    Cell,
    Manifest,
    Resources,
    Run,
    Task,
    generate_tests,
    seeds_of,
)
from benchmark.store import Store
from prove.program import ROOT

CONDITIONS = {
    "runtime": 5.0,
    "hard_limit": 60.0,
    "cores": 1,
    "memory": 1500,
    "split": "holdout",
    "metric": {"binary": "auc"},
}
FACTS: dict[str, Any] = {"type": "classification", "problem": "binary", "target": "y", "hash": "0"}


def manifest_of(*cells: Cell) -> Manifest:
    return Manifest(
        conditions=CONDITIONS,
        frameworks={cell.framework: {"name": "f", "environment": "e"} for cell in cells},
        datasets={cell.dataset: FACTS for cell in cells},
        cells=cells,
        created="2026-01-01T00:00:00+00:00",
        harness="0",
    )


def test_keys_do_not_change_when_the_grid_grows() -> None:
    small = generate_tests(["a"], ["x", "y"], [1])
    large = generate_tests(["b", "a"], ["z", "y", "x"], [3, 1])
    assert {cell.key for cell in small} < {cell.key for cell in large}


def test_the_grid_has_each_cell_once_in_the_same_order_each_time() -> None:
    frameworks, datasets, seeds = ["a", "b", "c"], ["x", "y", "z"], [1, 2, 3, 4]
    grid = generate_tests(frameworks, datasets, seeds)
    plain = [Cell(f, d, s) for s in seeds for d in datasets for f in frameworks]
    assert len(grid) == 36
    assert set(grid) == set(plain)
    assert list(grid) != plain
    assert grid == generate_tests(frameworks, datasets, iter(seeds))


def test_what_is_named_twice_is_one_cell() -> None:
    assert len(generate_tests(["a", "a"], ["x"], [1, 1])) == 1


def test_an_empty_grid_is_empty() -> None:
    assert generate_tests([], ["x"], [1]) == ()


def test_the_classic_seeds() -> None:
    generator = np.random.RandomState(1400)
    drawn = [int(value) for value in generator.randint(1000, size=1000)]
    distinct = list(dict.fromkeys(drawn))
    assert seeds_of(10) == distinct[:10]
    assert seeds_of(100) == distinct[:100]
    assert seeds_of(1) == [75]


def test_every_possible_number_of_seeds_ends() -> None:
    assert sorted(seeds_of(1000)) == list(range(1000))


@pytest.mark.parametrize("number", [1001, 5000, 10**9])
def test_more_seeds_than_there_are_is_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=f"'seeds' is {number}, and there are 1000"):
        seeds_of(number)


def test_a_list_of_seeds_is_taken_as_it_is() -> None:
    assert seeds_of([9, 3, 7]) == [9, 3, 7]


def test_a_task_comes_back_from_json() -> None:
    task = Task(
        key="a/ü/1",
        evaluation="m:E",
        environment="0f",
        payload={"deep": [1, {"x": None}], "text": "雪"},
        resources=Resources(cores=2, memory_mb=100, runtime_s=1.5, hard_limit_s=2.25),
        labels={"seed": 4},
    )
    assert Task.from_json(task.to_json()) == task
    assert Task.from_json(json.dumps(json.loads(task.to_json()))) == task


def test_a_manifest_comes_back_from_bytes() -> None:
    manifest = manifest_of(Cell("ü", "a/b", 1), Cell("f", "x", 2**32 - 1))
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_a_saved_run_opens_as_it_was(folder_store: Store) -> None:
    saved = Run("r", folder_store, manifest_of(Cell("f", "x", 2), Cell("f", "x", 1)))
    saved.save()
    run = Run.open(folder_store, "r")
    assert run == saved
    assert [task.key for task in run.tasks] == ["f/x/2", "f/x/1"]
    task = run.task("f/x/2")
    assert task.resources == Resources(1, 1500, 5.0, 60.0)
    assert task.payload == {"framework": "f", "dataset": "x", "seed": 2}
    assert task.labels["type"] == "classification"


def test_a_missing_run_is_a_sentence(folder_store: Store) -> None:
    with pytest.raises(BenchmarkError, match=r"no run 'mine' in .*execute-compute") as caught:
        Run.open(folder_store, "mine")
    assert folder_store.url in str(caught.value)


def test_a_missing_task_is_a_sentence(folder_store: Store) -> None:
    run = Run("r", folder_store, manifest_of(Cell("f", "x", 2)))
    with pytest.raises(BenchmarkError, match="Run 'r' has no task 'f/x/3'"):
        run.task("f/x/3")


WHOLE = manifest_of(Cell("f", "x", 2)).to_bytes()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"version": 1}',
        b'{"version": 99}',
        b"[" * 100_000,
        WHOLE.replace(b'["f", "x", 2]', b'["f", "x", "2"]'),
        WHOLE.replace(b'"conditions": {', b'"conditions": 5, "other": {'),
        WHOLE.replace(b'"datasets": {', b'"datasets": {"y": 1, '),
        WHOLE.replace(b'"frameworks": {', b'"frameworks": {"y": [], '),
        WHOLE[:-30],
        WHOLE.replace(b'["f", "x", 2]', b'["f"]'),
        WHOLE.replace(b'["f", "x", 2]', b"7"),
    ],
)
def test_a_broken_manifest_is_a_sentence(folder_store: Store, data: bytes) -> None:
    folder_store.put("mine/manifest.json", data)
    with pytest.raises(BenchmarkError, match=r"[Mm]anifest") as caught:
        Run.open(folder_store, "mine")
    assert "\n" not in str(caught.value)


def test_a_task_is_known_without_the_store() -> None:
    code = "import benchmark.records.tasks, sys; sys.exit('benchmark.store' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
