"""Regular expressions of studies, matched in a process that is ended when it takes too long.

    first("(a+)+$", text)            # the span of the first match, or None
    last("loss=([0-9.]+)", text)     # the last match, with the text of its first group, or None

Python's engine goes back over the text, so that a pattern such as `(a+)+$` never ends on a text of
forty characters, and nothing in this process could stop it. The process is started at the first
pattern and serves all that follow. It ends with this one: its standard input is closed then.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.errors import BenchmarkError

# Processor time, so that no pattern is slow because the machine is busy.
BUDGET_S = 5.0
LONGEST = 1000
_START_S = 30.0
# Until a process that does not compute is taken for one that hangs.
_HANGS_S = 600.0
_LOOK_S = 0.1
_MEMORY = 1 << 30


class Found(NamedTuple):
    """Where a match begins, its first group begins, and it ends; the text of the group."""

    start: int
    group_start: int
    end: int
    text: str


class PatternError(BenchmarkError):
    """A pattern is not a regular expression, or takes more than its budget."""


def checked(pattern: str, place: str, faults: list[str]) -> str:
    """A pattern of a study with a group for what it finds; what is wrong goes to the faults."""
    try:
        if check(pattern) < 1:
            faults.append(f"The pattern of {place} is '{pattern}'; it needs a group ( ).")
    except PatternError as error:
        faults.append(f"The pattern of {place} cannot be used: {error}")
    return pattern


def check(pattern: str) -> int:
    """Read a pattern; how many groups it has.

    Raises:
        PatternError: it is not a regular expression, or is too long.
    """
    if len(pattern) > LONGEST:
        raise PatternError(
            f"The pattern '{pattern[:40]}…' has {len(pattern)} characters; {LONGEST} are allowed."
        )
    return int(_groups(pattern))


def first(pattern: str, text: str) -> tuple[int, int] | None:
    """The span of the first match.

    Raises:
        PatternError: it takes too long on this text.
    """
    span = _asked("first", pattern, text)
    return None if span is None else (span[0], span[1])


def last(pattern: str, text: str) -> Found | None:
    """The last match, where `^` and `$` match at every line; None where its first group is not in.

    Raises:
        PatternError: it takes too long on this text.
    """
    found = _asked("last", pattern, text)
    return None if found is None else Found(*found)


@functools.lru_cache(maxsize=256)
def _groups(pattern: str) -> Any:
    return _asked("groups", pattern, "")


def _asked(what: str, pattern: str, text: str) -> Any:
    answer = _matcher.ask({"what": what, "pattern": pattern, "text": text})
    if answer is None:
        raise PatternError(
            f"The pattern '{pattern}' takes more than {BUDGET_S:g} s or {_MEMORY >> 20} MiB on a "
            f"text of {len(text)} characters; write it without a repetition in a repetition."
        )
    if "fault" in answer:
        raise PatternError(f"'{pattern}' is not a regular expression ({answer['fault']}).")
    return answer["found"]


class _Matcher:
    """The process that matches; one request at a time, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer, or None where it did not come within the budget.

        Raises:
            BenchmarkError: the process cannot be started, for which no pattern is to blame.
        """
        with self._lock:
            if self._owner != os.getpid():  # A fork has its own.
                self._process, self._owner = None, os.getpid()
            for _ in range(2):
                fresh = self._process is None
                process = self._started()
                try:
                    return self._exchange(process, request, BUDGET_S)
                except TimeoutError:
                    self._end(process)
                    return None
                except (OSError, EOFError):
                    # One that was there already may have been ended from outside, by Ctrl-C.
                    self._end(process)
                    if fresh:
                        return None
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-I",
                    "-S",
                    Path(__file__).with_name("pattern_process.py"),
                    str(_MEMORY),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            # Its start is no part of the budget of a pattern.
            try:
                nothing = {"what": "groups", "pattern": "", "text": ""}
                self._exchange(self._process, nothing, _START_S)
            except (OSError, EOFError):
                self._end(self._process)
                raise BenchmarkError(
                    f"The process that matches patterns does not start ({sys.executable}); check "
                    "the memory and the process limits of this machine."
                ) from None
        return self._process

    def _exchange(
        self, process: subprocess.Popen[bytes], request: dict[str, Any], budget_s: float
    ) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        start_s = _computed_s(process.pid)
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        ends = time.monotonic() + _HANGS_S
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([process.stdout], [], [], _LOOK_S)[0]:
                if _computed_s(process.pid) - start_s >= budget_s or time.monotonic() >= ends:
                    raise TimeoutError
                continue
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                raise EOFError
            line += part
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        self._process = None


def _computed_s(pid: int) -> float:
    """The processor time of a process; where the system does not tell it, any that passes."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return time.monotonic()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


_matcher = _Matcher()
