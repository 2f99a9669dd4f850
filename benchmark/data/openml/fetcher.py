"""The process that requests data from OpenML: one JSON request in, events as JSON lines out.

    python -m benchmark.data.openml.fetcher < request.json

It is a separate process because the client needs three seconds to be imported, creates folders in
the home directory, logs to the root logger, keeps its key in a module, and waits forever for a
silent server. The request is `{"key", "cache", "place", "parallel", "patience_s", "unresolved_s",
"silence_s", "jobs"}`; a job is `{"name": "task-59", "type": null}` or `{"name": "study-135"}`, or,
with `file`, only the file of a data set. Events have the job's `name` and one of `bytes`, `done`,
`members`, `other` (it is of another type) and `fault`.
"""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmark.data.cache import DataCache
from benchmark.data.download import retry_after_s
from benchmark.data.openml.faults import explained, is_passing, is_unresolved
from benchmark.data.openml.file import OpenMLFile
from benchmark.errors import DataError

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 20.0
_REPORT_EVERY = 1 << 18


class Fetcher:
    """Fetches data sets and memberships; retries transient faults."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.cache = DataCache(Path(request["place"]))
        self._key = request.get("key") or ""
        self._out = threading.Lock()
        self._resolved = time.monotonic()

    def run(self) -> None:
        with ThreadPoolExecutor(self.request["parallel"]) as pool:
            list(pool.map(self._carry_out, self.request["jobs"]))

    def report(self, name: str, **event: Any) -> None:
        """Write one event; no event contains the key."""
        line = json.dumps({"name": name} | event)
        for secret in self.secrets():
            line = line.replace(secret, "***")
        with self._out:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()

    def secrets(self) -> set[str]:
        import openml

        return {secret for secret in (self._key, str(openml.config.apikey or "")) if secret}

    def _carry_out(self, job: dict[str, Any]) -> None:
        name = job["name"]
        _received.begin(lambda number: self.report(name, bytes=number))
        end = time.monotonic() + self.request["patience_s"]
        pause = _FIRST_PAUSE_S
        while True:
            _received.retry_after_s = 0.0
            try:
                event = self._once(job)
                break
            except DataError as error:
                event = {"fault": str(error)}
                break
            except Exception as error:
                event = {"fault": explained(error, name, _server())}
                asked = _received.retry_after_s
                if not is_passing(error) or time.monotonic() + max(pause, asked) > end:
                    break
                if not is_unresolved(error):
                    self._resolved = time.monotonic()
                elif time.monotonic() - self._resolved > self.request["unresolved_s"]:
                    break
            wanted = pause * random.uniform(0.7, 1.3)  # noqa: S311  # nosec B311 # a pause
            time.sleep(max(wanted, asked))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        _received.end()
        self.report(name, **event)

    def _once(self, job: dict[str, Any]) -> dict[str, Any]:
        from benchmark.data.openml import source as openml_source

        kind, _, number = job["name"].partition("-")
        if kind == "study":
            found: dict[str, Any] = openml_source.members(number)
            return found
        if job.get("file"):
            with self.cache.lock(f"data-{number}"):
                if OpenMLFile.kept(self.cache.folder, int(number)) is None:
                    openml_source.file(int(number)).keep(self.cache.folder)
            return {"done": True}
        with self.cache.lock(job["name"]):
            present = self.cache.entry(job["name"])
            if present is not None and not present.outdated:
                return {"done": True}
            with self.cache.lock(f"data-{openml_source.data_id(kind, int(number))}"):
                other = openml_source.other_type(kind, int(number), job.get("type"))
                if other:
                    return {"other": other}
                dataset = openml_source.dataset(job["name"], kind, int(number))
            self.cache.put(dataset)
        return {"done": True}


class _Received(threading.local):
    """The bytes that this thread has received, reported regularly; and how long it waits."""

    report: Any = None
    retry_after_s = 0.0
    number = 0
    reported = 0

    def begin(self, report: Any) -> None:
        self.report, self.number, self.reported = report, 0, 0

    def add(self, number: int) -> None:
        self.number += number
        if self.number - self.reported >= _REPORT_EVERY:
            self.end()

    def end(self) -> None:
        if self.report and self.number > self.reported:
            self.reported = self.number
            self.report(self.number)


_received = _Received()


class _WatchedSocketIO(socket.SocketIO):
    """Counts received bytes, and gives up on a server that stops sending.

    The client sets no limit of its own, so that a hanging server would hang the program.
    """

    silence_s = 60.0

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self.silence_s)  # type: ignore[attr-defined]
        number = super().readinto(buffer)
        _received.add(number or 0)
        return number


def _note_retry_after(response: Any, *_: Any, **__: Any) -> None:
    """Keep the time that a busy server asks to wait (Retry-After)."""
    _received.retry_after_s = retry_after_s(response.headers.get("Retry-After"))


def _leave_with_the_program() -> None:
    """End with the parent, which keeps its end of our input open while it lives."""
    sys.stdin.read()
    os._exit(1)


def _server() -> str:
    import openml

    return str(openml.config.server)


def main() -> None:
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_program, daemon=True).start()
    # The client's warnings and logs contain URLs and are dropped.
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    _WatchedSocketIO.silence_s = request["silence_s"]
    socket.SocketIO = _WatchedSocketIO  # type: ignore[misc]
    import openml
    import requests

    # The client creates a session for each request.
    hooks: Any = {"response": [_note_retry_after]}
    requests.sessions.default_hooks = lambda: hooks  # type: ignore[attr-defined]  # replaced here

    openml.config.set_root_cache_directory(request["cache"])
    openml.config.set_retry_policy("human", 1)
    if request.get("key"):
        openml.config.apikey = request["key"]
    Fetcher(request).run()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    # Threads that still wait for a server must not keep the process.
    os._exit(0)
