"""Fetch data that are not cached from OpenML in a separate process, several at once.

outcome = fetch([Job("task-59")], key=None)
outcome.faults                              # {name: why it cannot be had}
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmark.config.cache import cache_folder, settings_folder
from benchmark.config.extras import python_path
from benchmark.data.cache import DataCache
from benchmark.errors import DataError
from benchmark.files.input_files import expanded, read_input

SERVER = "https://www.openml.org/api/v1/xml"
PARALLEL = 6
PATIENCE_S = 45.0
UNRESOLVED_S = 3.0
SILENCE_S = 60.0
_REFERENCE = re.compile(r"(task|openml)-[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class Job:
    """`task-N`, `openml-N` or `study-ID`; one whose type is not `type` is skipped.

    With `file` the file of `openml-N` is fetched and not read.
    """

    name: str
    type: str | None = None
    file: bool = False


@dataclass
class Fetched:
    """The outcome of a fetch, by the jobs' names."""

    done: set[str] = field(default_factory=set)
    members: dict[str, dict[str, Any]] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def is_reference(name: str) -> bool:
    """Whether this names one OpenML task or data set, such as task-59 or openml-61."""
    return _REFERENCE.fullmatch(name) is not None


def fetch(
    jobs: Sequence[Job],
    key: str | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    *,
    parallel: int = PARALLEL,
    patience_s: float = PATIENCE_S,
    unresolved_s: float = UNRESOLVED_S,
    silence_s: float = SILENCE_S,
) -> Fetched:
    """Fetch everything available; the rest is in `faults` and does not stop the others.

    Args:
        key: the OpenML API key; without it the client's own configuration's.
        on_event: called with `{"name", "asked": server}`, then with each event of the fetcher.
        parallel: the number of simultaneous requests.
        patience_s: how long transient faults are retried.
        unresolved_s: how long, if the server's name cannot be resolved.
        silence_s: after how long without data a server is given up.
    """
    fetched = Fetched()
    if not jobs:
        return fetched
    request = {
        "key": key,
        "cache": str(_client_cache()),
        "place": str(openml_cache().folder),
        "parallel": max(1, min(parallel, len(jobs))),
        "patience_s": patience_s,
        "unresolved_s": unresolved_s,
        "silence_s": silence_s,
        "jobs": [asdict(job) for job in jobs],
    }
    if on_event:
        on_event({"name": _named(jobs), "asked": urlsplit(server()).netloc})
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.data.openml.fetcher"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            text=True,
        )
        try:
            _send(process, json.dumps(request) + "\n")
            for line in process.stdout or ():
                event = json.loads(line)
                _note(fetched, event)
                if on_event:
                    on_event(event)
            code = process.wait()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()
        known = fetched.done | set(fetched.members) | set(fetched.others) | set(fetched.faults)
        lost = [job.name for job in jobs if job.name not in known]
        if lost:
            errors.seek(0)
            reason = _last_line(errors.read().decode(errors="replace"), key)
            for name in lost:
                fetched.faults[name] = (
                    f"The process that fetches from OpenML ended (code {code}) before {name} was "
                    f"there: {reason}."
                )
    return fetched


def openml_cache() -> DataCache:
    """The cache for the OpenML server that the client is configured for."""
    place = re.sub(r"[^A-Za-z0-9._-]", "_", urlsplit(server()).netloc) or "openml"
    return DataCache(cache_folder() / "datasets" / place)


def server() -> str:
    """The OpenML server of the client's own configuration file, without importing the client."""
    try:
        text = read_input(_client_configuration())
    except FileNotFoundError:
        return SERVER
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{_client_configuration()} cannot be read: {error}.") from None
    found = re.search(r"(?mi)^\s*server\s*[=:]\s*(\S+)", text)
    return found.group(1) if found else SERVER


def _named(jobs: Sequence[Job]) -> str:
    """ "task-59", "task-59 and 3 more"."""
    first, *more = [job.name for job in jobs]
    return f"{first} and {len(more)} more" if more else first


def _client_configuration() -> Path:
    return settings_folder() / "openml" / "config"


def _client_cache() -> Path:
    own = os.environ.get("OPENML_CACHE_DIR")
    return expanded(own).absolute() if own else cache_folder() / "openml"


def _environment() -> dict[str, str]:
    """The client's folder; it creates folders in the home directory when imported."""
    variables = os.environ | {
        "PYTHONPATH": python_path(),
        "OPENML_CACHE_DIR": str(_client_cache()),
    }
    if not _client_configuration().exists():
        variables["XDG_CONFIG_HOME"] = str(cache_folder() / "openml" / "configuration")
    return variables


def _send(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line)
        process.stdin.flush()
    except BrokenPipeError:
        return  # It has ended already; unfinished jobs are reported by name.


def _note(fetched: Fetched, event: dict[str, Any]) -> None:
    name = event["name"]
    if "fault" in event:
        fetched.faults[name] = event["fault"]
    elif "members" in event:
        fetched.members[name] = {"members": event["members"], "title": event.get("title")}
    elif "other" in event:
        fetched.others[name] = event["other"]
    elif "done" in event:
        fetched.done.add(name)


def _last_line(text: str, key: str | None) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    line = lines[-1][:200] if lines else "it reported no reason"
    return line.replace(key, "***") if key else line
