"""A request to the driver of a study, left in the store: pause, go on, stop.

    request(run, "pause")          # from a terminal
    requests = Requests(run)       # in the driver
    requests.latest()              # "pause"

A paused driver asks for no more trials and stays; a stopped one ends when its trials have. Both let
running trials finish. A new driver withdraws an old request first; a worker that joins others obeys
it, because it may be meant for them.
"""

from __future__ import annotations

import json
import time
from typing import Literal, get_args

from benchmark.records.tasks import Run
from benchmark.store import Store

Request = Literal["go", "pause", "stop"]
EVERY_S = 1.0


def request(run: Run, wanted: Request) -> None:
    """Leave a request; "go" withdraws an earlier one."""
    path = _path(run.name)
    if wanted == "go":
        run.store.delete([path])
    else:
        run.store.put(path, json.dumps({"word": wanted}).encode())


def requested(store: Store, run_name: str) -> Request:
    """The request in force; one that cannot be read counts as none."""
    try:
        wanted = json.loads(store.get(_path(run_name)) or b"{}").get("word")
    except (ValueError, AttributeError):
        return "go"
    return wanted if wanted in get_args(Request) else "go"


class Requests:
    """The requests to a study, read from the store every `EVERY_S` seconds at most."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._latest: Request = "go"
        self._looked = float("-inf")

    def latest(self) -> Request:
        """The request in force."""
        if time.monotonic() - self._looked >= EVERY_S:
            self._latest = requested(self._run.store, self._run.name)
            self._looked = time.monotonic()
        return self._latest


def _path(run_name: str) -> str:
    return f"{run_name}/control.json"
