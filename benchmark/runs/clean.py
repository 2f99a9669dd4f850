"""clean-s3: what in a store is this program's, found by layout and manifest, and its deletion.

    found = find(store)        # by run; data sets and code; and what is left alone
    clean(store, found)

A run is ours if its manifest reads as ours; within it, what has a place in the layout. Whatever
else lies in the bucket is someone's and is never touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from benchmark.compute.driving import driving
from benchmark.errors import BenchmarkError, StoreError
from benchmark.records.tasks import Manifest
from benchmark.store import FolderStore, Store

MANIFEST = "manifest.json"
# framework/dataset/seed, the number of a trial, or a repeat that confirms one
_KEY = r"(?:[^/]+/[^/]+/\d+|\d+|confirm-\d+-[a-z]+-\d+)"
_OF_A_RUN = re.compile(
    rf"{re.escape(MANIFEST)}"
    rf"|out/{_KEY}\.json"
    rf"|attempts/{_KEY}/\d+(?:-aside[^/]*)?\.json"
    rf"|predictions/{_KEY}(?:/\d+)?\.parquet"
    r"|logs/(?:pass|fail)/(?:[^/]+/)?[^/]+/\d+\.log"
    r"|jobs/[^/]+\.(?:json|log)"
    r"|pilot/tasks/[^/]+\.json|pilot/begun/[^/]+\.json|pilot/(?:claims|ended)/[^/]+/\d+\.json"
    r"|packs/[0-9a-f]{32}\.z"
    r"|logs/machines/[^/]+\.log|machines/[^/]+\.(?:json|end)"
    r"|fleet(?:/[^/]+/[^/]+)?\.json|(?:prices|waits)\.json"
    # Of a study: Optuna's journal, proposed tasks, the objective's files, words and marks.
    r"|optuna\.journal(?:\.lock)?"
    rf"|tasks/{_KEY}\.json"
    r"|files/[0-9a-f]{64}"
    r"|(?:origin|control|warm_start)\.json"
    r"|workers/[0-9a-f]+\.json"
    r"|artifacts/\d+/\d+/.+"
    rf"|unrestored/[^/]+/{_KEY}\.json"
    rf"|references/[^/]+/\d+\.json|(?:references|trials/{_KEY})/predictions/{_KEY}(?:/\d+)?\.parquet"
)
_DATASET = re.compile(r"datasets/([^/]+/[0-9a-f]{16}|[^/]+?)((?:\.splits)?\.parquet|\.json)")
_CODE = re.compile(r"code/[0-9a-f]{8,64}\.tar\.gz")
_OTHER_STORE = re.compile(r"(.+/)datasets/(?:[^/]+/[0-9a-f]{16}|[^/]+)\.parquet")


@dataclass(frozen=True)
class Found:
    """Paths of objects: of each run, of data sets, of code bundles; `left` is not ours."""

    runs: dict[str, list[str]]
    datasets: list[str]
    code: list[str]
    left: list[str]

    @property
    def number(self) -> int:
        return sum(map(len, self.runs.values())) + len(self.datasets) + len(self.code)


def find(store: Store, run: str | None = None) -> Found:
    """Everything of this program's in the store; with a run's name that run alone.

    Raises:
        BenchmarkError: the store has no such run of this program.
    """
    paths = store.list(run or "")
    ours = _runs(store, paths)
    if run is not None:
        if run not in ours:
            raise BenchmarkError(
                f"There is no run '{run}' of this program in {store.url}; clean-s3 without --run "
                "shows what is there."
            )
        ours = {run}
    pairs = set() if run else _datasets(store, paths)
    # In a folder the last table of a name lies beside those that are named by their content.
    last = {f"datasets/{pair.partition('/')[0]}.parquet" for pair in pairs if "/" in pair}
    found = Found({name: [] for name in sorted(ours)}, [], [], [])
    for path in paths:
        owner = _owner(path, ours)
        dataset = _DATASET.fullmatch(path)
        if owner is not None:
            found.runs[owner].append(path)
        elif path in last or (dataset and dataset[1] in pairs):
            found.datasets.append(path)
        elif run is None and _CODE.fullmatch(path):
            found.code.append(path)
        else:
            found.left.append(path)
    return found


def clean(store: Store, found: Found, beside: Callable[[Store, str], None] | None = None) -> int:
    """Delete what was found; returns how many objects. A manifest goes last of its run.

    So a deletion that was cut short can be called again. `beside` deletes what a run, given by its
    name, has outside of the store; it is called while no one else drives the run.

    Raises:
        StoreError: a process drives a run, or a run has grown since it was found.
    """
    for name in found.runs:
        if store.is_locked(f"driver-{name}"):
            raise StoreError(
                f"A process drives run '{name}' in {store.url}; wait for it or end it. Nothing was "
                "deleted."
            )
    for name, paths in found.runs.items():
        with driving(store, name):
            _refuse_growth(store, name, paths)
            if beside:
                beside(store, name)
            store.delete(path for path in paths if path != f"{name}/{MANIFEST}")
            store.delete([f"{name}/{MANIFEST}"])
    store.delete([*found.datasets, *found.code])
    _remove_empty_folders(store, found)
    return found.number


def _runs(store: Store, paths: Iterable[str]) -> set[str]:
    """The names before a manifest of ours, but for those of another store further down."""
    others = {place[1] for path in paths if (place := _OTHER_STORE.fullmatch(path))}
    candidates = [path for path in paths if path.endswith(f"/{MANIFEST}")]
    return {
        path.removesuffix(f"/{MANIFEST}")
        for path, data in store.get_many(candidates)
        if _is_manifest(data) and not path.startswith(tuple(others))
    }


def _is_manifest(data: bytes | None) -> bool:
    try:
        manifest = Manifest.from_bytes(data or b"")
    except (ValueError, KeyError, TypeError, AttributeError, BenchmarkError):
        return False
    parts = (manifest.conditions, manifest.frameworks, manifest.datasets)
    return all(isinstance(part, dict) for part in parts)


def _owner(path: str, runs: set[str]) -> str | None:
    """The run that the object belongs to."""
    for name, rest in _splits(path):
        if name in runs and _OF_A_RUN.fullmatch(rest):
            return name
    return None


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """('a', 'b/c') and ('a/b', 'c') for 'a/b/c'."""
    place = path.find("/")
    while place >= 0:
        yield path[:place], path[place + 1 :]
        place = path.find("/", place + 1)


def _datasets(store: Store, paths: Iterable[str]) -> set[str]:
    """The names of the data sets whose table and description are there and read as ours."""
    endings: dict[str, set[str]] = {}
    for path in paths:
        if place := _DATASET.fullmatch(path):
            endings.setdefault(place[1], set()).add(place[2])
    whole = [name for name, found in endings.items() if {".parquet", ".json"} <= found]
    described = store.get_many(f"datasets/{name}.json" for name in whole)
    return {name for name, (_, data) in zip(whole, described, strict=True) if _is_described(data)}


def _is_described(data: bytes | None) -> bool:
    try:
        values = json.loads(data or b"")
    except ValueError:
        return False
    return isinstance(values, dict) and {"name", "type", "target", "hash"} <= values.keys()


def _refuse_growth(store: Store, name: str, shown: Iterable[str]) -> None:
    """What came after the question was asked is not what was agreed to."""
    more = {path for path in store.list(name) if _owner(path, {name})} - set(shown)
    if more:
        raise StoreError(
            f"Run '{name}' in {store.url} has {len(more)} objects more than were found; call "
            "clean-s3 again."
        )


def _remove_empty_folders(store: Store, found: Found) -> None:
    """A folder store keeps the folders of deleted objects; S3 has none."""
    if not isinstance(store, FolderStore):
        return
    for top in [*found.runs, "datasets", "code"]:
        if (store.root / top).resolve() != store.root.resolve() / top:
            continue  # A link lies on the way.
        for folder, _, _ in os.walk(store.root / top, topdown=False):
            _remove_if_empty(Path(folder))
    for name in found.runs:
        for parent in PurePosixPath(name).parents[:-1]:
            _remove_if_empty(store.root / parent)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # It holds what is not ours, or is not there.
        folder.rmdir()
