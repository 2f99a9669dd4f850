"""What drivers and allocations tell each other, all of it in the store, so that any may die.

    {run}/pilot/tasks/LIST.json           tasks that wait, in the order of a list; from a driver
    {run}/pilot/claims/LIST/n.json        create-only: which allocation has taken number n
    {run}/pilot/ended/LIST/n.json         number n has ended, or was lost with its worker
    {run}/pilot/begun/JOB.json            an allocation has started

A list and what belongs to it go when the last of its tasks has its outcome.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from benchmark.records.tasks import Ranks, Resources, Run, Task


@dataclass(frozen=True)
class Entry:
    """A task that waits: `since` is its last attempt before."""

    key: str
    since: int
    resources: Resources


@dataclass(frozen=True)
class Place:
    """Number `index` of a list."""

    name: str
    index: int


class Lists:
    """The lists of one run."""

    def __init__(self, run: Run) -> None:
        self._store = run.store
        self._root = f"{run.name}/pilot"

    def add(self, tasks: Sequence[Task], since: Mapping[str, int]) -> str:
        """A new list; names sort by age."""
        name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        entries = [asdict(Entry(t.key, since.get(t.key, 0), t.resources)) for t in tasks]
        self._store.create(f"{self._root}/tasks/{name}.json", json.dumps(entries).encode())
        return name

    def names(self) -> list[str]:
        return [_stem(path) for path in self._store.list(f"{self._root}/tasks")]

    def read(self, name: str) -> list[Entry]:
        """The tasks of a list; none of one that has gone."""
        data = self._store.get(f"{self._root}/tasks/{name}.json")
        try:
            return [_entry(values) for values in json.loads(data or b"[]")]
        except (ValueError, TypeError, KeyError):
            return []  # A write that was cut: its writer asks again.

    def withdraw(self, name: str) -> None:
        """No one takes anything more of the list."""
        self._store.delete([f"{self._root}/tasks/{name}.json"])
        for part in ("claims", "ended"):
            self._store.delete(self._store.list(f"{self._root}/{part}/{name}"))

    def claim(self, place: Place, job: str) -> bool:
        """Take a task for an allocation; False where another has it."""
        unique = {"job": job, "nonce": secrets.token_hex(8)}
        return self._store.create(self._path("claims", place), json.dumps(unique).encode())

    def claims(self) -> dict[Place, str]:
        """What is taken, and by which job."""
        found = {}
        paths = self._store.list(f"{self._root}/claims")
        for path, data in self._store.get_many(paths):
            try:
                found[_place(path)] = str(json.loads(data or b"")["job"])
            except (ValueError, KeyError):
                continue  # It has gone meanwhile.
        return found

    def end(self, place: Place, *, lost: bool = False) -> None:
        """A task has ended; `lost` with the worker that had it."""
        self._store.put(self._path("ended", place), json.dumps({"lost": lost}).encode())

    def ended(self) -> dict[Place, bool]:
        """What has ended and was not taken up yet, and whether it was lost."""
        found = {}
        for path, data in self._store.get_many(self._store.list(f"{self._root}/ended")):
            if data is not None:
                found[_place(path)] = b"true" in data
        return found

    def forget_ends(self, places: Iterable[Place]) -> None:
        self._store.delete(self._path("ended", place) for place in places)

    def begin(self, job: str) -> None:
        self._store.put(f"{self._root}/begun/{job}.json", b"{}")

    def started(self) -> set[str]:
        """The allocations that have started, by the names of their jobs."""
        return {_stem(path) for path in self._store.list(f"{self._root}/begun")}

    def forget(self, job: str) -> None:
        self._store.delete([f"{self._root}/begun/{job}.json"])

    def _path(self, part: str, place: Place) -> str:
        return f"{self._root}/{part}/{place.name}/{place.index:06d}.json"


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".json")


def _place(path: str) -> Place:
    return Place(path.split("/")[-2], int(_stem(path)))


def _entry(values: dict[str, object]) -> Entry:
    resources = dict(values["resources"])  # type: ignore[call-overload]
    mpi = resources.pop("mpi", None)
    found = Resources(**resources, mpi=Ranks(**mpi) if mpi else None)
    return Entry(str(values["key"]), int(str(values["since"])), found)
