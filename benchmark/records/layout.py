"""The paths of a run's objects in its store: built and parsed here and nowhere else.

    run.out_path(key)                     # default/out/h2o%403.44/penguins/75.json
    run.key_of(run.out_path(key))         # h2o%403.44/penguins/75
    run.below(OUT, ["h2o@3.44"])          # ["default/out/h2o%403.44"]

A task's key is part of a path unchanged: `task_key` has percent-encoded the names in it. A name
given by a user is never part of a path without `segment`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote, unquote

OUT, ATTEMPTS, TASKS, PREDICTIONS = "out", "attempts", "tasks", "predictions"
ARTIFACTS, DELETED = "artifacts", "deleted"
_ASIDE = "-aside"
_ATTEMPT = re.compile(rf"(\d+)({_ASIDE}[^/]*)?\.json", re.ASCII)
_SHORTENED = re.compile(r".{100}~[0-9a-f]{16}")
_DATA = "datasets"


class AttemptPlace(NamedTuple):
    """The parts of an attempt's path; `aside` for a mark that sets earlier attempts aside."""

    key: str
    number: int
    aside: bool


class Layout:
    """The paths of a run by its `name`."""

    name: str

    @property
    def manifest_path(self) -> str:
        return f"{self.name}/manifest.json"

    def task_path(self, key: str) -> str:
        """The path of a task that was proposed during the run."""
        return f"{self.name}/{TASKS}/{key}.json"

    def deleted_path(self, key: str) -> str:
        """What is left of a deleted trial: its point, so that its number stays taken."""
        return f"{self.name}/{DELETED}/{key}.json"

    def out_path(self, key: str) -> str:
        return f"{self.name}/{OUT}/{key}.json"

    def attempts_path(self, key: str) -> str:
        """The folder of a task's attempts."""
        return f"{self.name}/{ATTEMPTS}/{key}"

    def attempt_path(self, key: str, number: int, *, aside: bool = False) -> str:
        return f"{self.attempts_path(key)}/{number:04d}{_ASIDE if aside else ''}.json"

    def predictions_path(self, key: str, attempt: int | None = None) -> str:
        """The predictions of an attempt; without a number those of a task by earlier versions."""
        number = "" if attempt is None else f"/{attempt:04d}"
        return f"{self.name}/{PREDICTIONS}/{key}{number}.parquet"

    def artifact_path(self, key: str, attempt: int, name: str) -> str:
        """A file that an attempt of a trial left, by its path in the trial's folder."""
        parts = "/".join(map(segment, name.split("/")))
        return f"{self.name}/{ARTIFACTS}/{key}/{attempt:04d}/{parts}"

    def below(self, part: str, frameworks: Iterable[str] | None = None) -> list[str]:
        """The prefixes of a part's objects: for the tasks of some frameworks, or all."""
        whole = f"{self.name}/{part}"
        return [whole] if frameworks is None else [f"{whole}/{segment(one)}" for one in frameworks]

    def key_of(self, path: str) -> str | None:
        """The key of a path of `out_path`, `task_path` or `deleted_path`; None for any other."""
        for part in (OUT, TASKS, DELETED):
            prefix = f"{self.name}/{part}/"
            if path.startswith(prefix) and path.endswith(".json"):
                return path[len(prefix) : -len(".json")]
        return None

    def attempt_of(self, path: str) -> AttemptPlace | None:
        """The place of a path built by `attempt_path`; None for any other."""
        prefix = f"{self.name}/{ATTEMPTS}/"
        key, _, name = path[len(prefix) :].rpartition("/")
        found = _ATTEMPT.fullmatch(name)
        if found is None or not key or not path.startswith(prefix):
            return None
        return AttemptPlace(key, int(found[1]), found[2] is not None)


def dataset_path(name: str, hash: str | None = None) -> str:
    """The path of a data set with this content in the store, without its suffix.

    Without a hash: the path in which earlier versions kept the latest of this name.
    """
    return f"{_DATA}/{segment(name)}" + (f"/{hash}" if hash is not None else "")


@functools.lru_cache(maxsize=4096)
def segment(name: str) -> str:
    """A name as one safe path segment: percent-encoded, never '.', '..', hidden or too long."""
    encoded = quote(name, safe="-_.~")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > 120 or _SHORTENED.fullmatch(encoded):
        encoded = encoded[:100] + "~" + hashlib.sha256(name.encode()).hexdigest()[:16]
    return encoded


def task_key(framework: str, dataset: str, seed: int) -> str:
    return f"{segment(framework)}/{segment(dataset)}/{seed}"


def shown(key: str) -> str:
    """A key for display: unquoted."""
    return unquote(key)
