"""A request to the driver of a study, left in the store: pause, go on, stop.

    say(run, "pause")              # from a terminal
    word = Listener(run)           # in the driver
    word.heard()                   # "pause"

A paused driver asks for no more trials and stays; a stopped one ends when its trials have. Both let
the trials that run come to their end. A new driver takes an old word back first; a
worker that joins heeds it, for it may be meant for those it joins.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from benchmark.records.tasks import Run
    from benchmark.store import Store

Word = Literal["go", "pause", "stop"]
EVERY_S = 1.0


def say(run: Run, word: Word) -> None:
    """Leave a word; "go" takes back what was said before."""
    path = _path(run.name)
    if word == "go":
        run.store.delete([path])
    else:
        run.store.put(path, json.dumps({"word": word}).encode())


def said(store: Store, run_name: str) -> Word:
    """The word that stands; one that cannot be read counts as none."""
    try:
        word = json.loads(store.get(_path(run_name)) or b"{}").get("word")
    except (ValueError, AttributeError):
        return "go"
    return word if word in get_args(Word) else "go"


class Listener:
    """What was said, looked up in the store once in a while at most."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._word: Word = "go"
        self._looked = float("-inf")

    def heard(self) -> Word:
        if time.monotonic() - self._looked >= EVERY_S:
            self._word = said(self._run.store, self._run.name)
            self._looked = time.monotonic()
        return self._word


def _path(run_name: str) -> str:
    return f"{run_name}/control.json"
