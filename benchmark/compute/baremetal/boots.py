"""Machines that do not come to work, as opposed to those that are taken away.

A machine leaves a word in the store at its end. One that shuts itself down without a word, or that
EC2 could not start, has failed too. Failures count since the last time that a task was started.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.compute.baremetal.fleet import Machine
from benchmark.errors import BenchmarkError
from benchmark.records import results
from benchmark.records.tasks import Run

_FAILED = 3
# Why EC2 ends a machine that is in order; none where it does not say why.
_TAKEN_AWAY = (
    *("Client.UserInitiatedShutdown", "Server.SpotInstanceTermination"),
    *("Server.SpotInstanceShutdown", "Server.ScheduledStop"),
    *("Server.InsufficientInstanceCapacity", ""),
)


class Boots:
    """The failures of a fleet."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._seen: set[str] = set()
        self._failed = 0
        self._started = 0
        self._why = ""

    @property
    def hopeless(self) -> bool:
        """Whether the last machines have all failed: more of them would too."""
        return self._failed >= _FAILED

    def look(self, gone: Iterable[Machine], since: Mapping[str, int]) -> None:
        """Take note of machines that have ended. `since` are the fleet's tasks, each with its last
        attempt before."""
        new = [one for one in gone if one.id not in self._seen]
        failed = False
        for one in sorted(new, key=lambda machine: machine.started):
            self._seen.add(one.id)
            why = self._fault(one)
            if why:
                self._failed, self._why, failed = self._failed + 1, why, True
        if failed:
            last = results.attempt_index(self._run).last
            started = sum(max(0, last.get(key, 0) - before) for key, before in since.items())
            if started > self._started:
                self._started, self._failed = started, 0

    def error(self) -> BenchmarkError:
        return BenchmarkError(
            f"The machines do not come to work {self._why}; see {self._run.name}/logs/machines/ in "
            f"{self._run.store.url}."
        )

    def _fault(self, one: Machine) -> str | None:
        try:
            said: Any = json.loads(
                self._run.store.get(f"{self._run.name}/machines/{one.id}.end") or b""
            )
        except ValueError:
            said = None
        if isinstance(said, dict):
            why = str(said.get("message") or "no message").rstrip(".")
            return None if said.get("good") else f"({said.get('stage', 'boot')}): {why}"
        if one.reason in _TAKEN_AWAY:
            return None
        return (
            f"({one.reason}): {one.id} left no word in the store; give the launch template a role "
            "that may write there and a subnet with a way to S3"
        )
