"""A command with hooks in the sandbox: `python command_steps.py REQUEST.json`.

Imports nothing of the program. All steps share a folder and a process tree, so that a server that
`prepare` starts serves every run of the command, `restore` finds it by its process number, and it
ends with the sandbox.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import math
import os
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ANSWER = "trial-steps-answer.json"
FOLDER = ".runs"
RESTORED = Path(FOLDER) / "restore"
_CANNOT, _MISSING = 126, 127
_TAIL = 8 * 2**20
_TICK_S = 0.05
_PROBE_S = 0.5
_REFUSED = 400
# For what a command had printed when it ended; reading that takes a moment.
_FINISH_S = 5.0
_PRINTS_S = 0.2
# What a pipe can hold, in bytes: 64 KiB, or up to this if the command has enlarged it.
_LARGEST_PIPE = 2**20
_SET_CHILD_SUBREAPER = 36
# How a process ends that was asked to; the second form is that of shells and Java.
_ASKED_TO_END = {
    code
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    for code in (-number, 128 + number)
}
# They end with 1 where they find nothing, such as no server of an earlier trial.
_FINDERS = ("pkill", "pgrep", "killall", "fuser", "grep")


def main(path: str) -> int:
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    answer: dict[str, Any] = {"runs": [], "windows": [], "stopped": None, "restored": False}
    answer |= {"warm_ups": [], "printing": []}
    answer["ready_before"] = bool(request["prepare"]) and _is_ready(request["wait_ready"])
    _measure(request, answer)
    if request["restore"]:
        RESTORED.parent.mkdir(exist_ok=True)
        # Kept apart: the last line of a failed step is not one of `restore`.
        code = _run(request["restore"], request["hook_s"], printed(RESTORED))
        answer["restored"] = code == 0
    text = json.dumps(answer)
    Path(ANSWER + ".tmp").write_text(text, encoding="utf-8")
    Path(ANSWER + ".tmp").rename(ANSWER)
    return 0


def _measure(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Prepare, and run the command until its last turn or the first that fails."""
    services = _Services()
    _play(request, answer, services)
    gone = services.failed() if answer["ready_before"] and answer["stopped"] is None else None
    if gone is not None:
        said = f"{request['wait_ready']['shown']} answered before 'prepare' ran, and {gone}: "
        said += "another service was measured. End that one, or use another port"
        answer["stopped"] = {"step": "wait_ready", "code": None, "said": said, "wrong": True}
        answer["stopped"]["measured"] = True


def _play(request: dict[str, Any], answer: dict[str, Any], services: _Services) -> None:
    with services.adopting(bool(request["wait_ready"])):
        answer["stopped"] = _hook(request, "prepare") or _hook(request, "apply")
    for turn in range(request["turns"]):
        with services.adopting(bool(request["wait_ready"])):
            if answer["stopped"] is None:
                answer["stopped"] = _hook(request, "reset")
        if answer["stopped"] is None and (turn == 0 or request["reset"]):
            answer["stopped"] = _wait_ready(request["wait_ready"], services)
            answer["stopped"] = answer["stopped"] or _warm_up(request, answer)
        if answer["stopped"] is not None:
            return
        folder = Path(FOLDER) / str(turn)
        folder.mkdir(parents=True)
        for name in request["measured"]:
            Path(name).unlink(missing_ok=True)
        began = time.time()
        code = _run(request["command"], request["time_s"], printed(folder), answer["printing"])
        answer["windows"].append([began, time.time()])
        if code == 0 and request["collect"]:
            answer["stopped"] = _collect(request, folder, answer["printing"])
        for name in request["measured"]:
            # A link could name a file that is not the trial's.
            if Path(name).is_file() and not Path(name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(name, folder / name)
        answer["runs"].append(code)
        if code != 0 or answer["stopped"] is not None:
            return


def _collect(request: dict[str, Any], folder: Path, printing: list[str]) -> dict[str, Any] | None:
    """Run the hook after a run: what it prints is read as if that run had printed it."""
    place = folder.with_name(f"{folder.name}-collect")
    code = _run(request["collect"], request["hook_s"], printed(place), printing)
    for kept, more in zip(printed(folder), printed(place), strict=True):
        with kept.open("ab") as file:
            file.write(more.read_bytes())
    return None if code == 0 else {"step": "collect", "code": code}


def _warm_up(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
    """Run the load until its time is up, or its values are steady; what stopped it."""
    wanted = request["warm_up"]
    if wanted is None:
        return None
    end = time.monotonic() + wanted["time_s"]
    values: list[float] = []
    facts: dict[str, Any] = {"runs": 0, "steady": None if wanted["within"] is None else False}
    answer["warm_ups"].append(facts)
    place = Path(FOLDER) / "warm-up"
    place.parent.mkdir(exist_ok=True)
    while (left_s := end - time.monotonic()) > 0:
        load = wanted["command"] or request["command"]
        code = _run(load, left_s, printed(place), answer["printing"])
        if code is None:
            return None  # its time was up
        if code != 0:
            return {"step": "warm_up", "code": code}
        facts["runs"] += 1
        if wanted["within"] is None:
            continue
        name, text = _value(printed(place)[1].read_text(errors="replace"), wanted["pattern"])
        try:
            values.append(float(text.replace("_", "x")))  # 1_0 is a number in Python alone
        except ValueError:
            said = f"The {name} of 'warm_up' is {text[:100]!r}, which is not a number"
            return {"step": "warm_up", "code": None, "said": said}
        if is_steady(values[-wanted["window"] :], wanted["window"], wanted["within"]):
            facts["steady"] = True
            return None
    return None


def _value(output: str, pattern: str | None) -> tuple[str, str]:
    """Which text of an output is the value of a warm-up, and that text; empty if there is none."""
    if pattern is None:
        lines = (line.strip() for line in reversed(output.split("\n")))
        return "last line", next((line for line in lines if line), "")
    # The group that `patterns.last` takes; a pattern without an end is ended with its trial.
    found = [match.group(1) for match in re.finditer(pattern, output, re.MULTILINE)]
    return "pattern", (found[-1] or "").strip() if found else ""


def is_steady(values: list[float], window: int, within: float) -> bool:
    """Whether there are so many, and their coefficient of variation is that small."""
    if len(values) < window or not all(map(math.isfinite, values)):
        return False
    return statistics.stdev(values) <= within * abs(statistics.mean(values))


class _Services:
    """The processes that hooks leave in the background, and how they end."""

    def __init__(self) -> None:
        self._ended: list[str] = []
        self._failure: str | None = None

    @contextlib.contextmanager
    def adopting(self, wanted: bool) -> Iterator[None]:
        """Orphans of the block become children of this process, which learns how they end."""
        if wanted:
            _set_subreaper(True)
        try:
            yield
        finally:
            if wanted:
                _set_subreaper(False)

    def failed(self) -> str | None:
        """How one of them ended, if none is left and one failed. No command may run meanwhile."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except (ChildProcessError, AttributeError):  # none is left, or not Linux
                break
            if found is None:
                return None
            name = _name(found.si_pid)
            os.waitpid(found.si_pid, 0)
            code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            self._ended.append(f"{name}, started by a hook, {_ended(code)}")
            found_nothing = code == 1 and name in _FINDERS
            if code and code not in _ASKED_TO_END and not found_nothing:
                self._failure = self._ended[-1]
        return self._failure

    def note(self) -> str:
        """How the last of them ended, for a message; empty if none has."""
        return f"; {self._ended[-1]}" if self._ended else ""


def _set_subreaper(on: bool) -> None:
    # Linux alone has it; elsewhere the end of such a process is not seen.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def _name(pid: int) -> str:
    """The name of a process that has ended and was not waited for."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return "a process"


def _wait_ready(wanted: dict[str, Any] | None, services: _Services) -> dict[str, Any] | None:
    """Ask until the service answers; what stopped it, if its time is up before."""
    if wanted is None:
        return None
    if wanted["fault"]:
        return {"step": "wait_ready", "code": None, "said": wanted["fault"], "wrong": True}
    end = time.monotonic() + wanted["timeout_s"]
    while True:
        left_s = end - time.monotonic()
        why = _unready(wanted, max(left_s, _TICK_S))
        if why is None:
            return None
        gone = services.failed()
        if gone is not None:
            said = f"{wanted['shown']} was not ready, and {gone}. If that is not the service, let "
            said += "it end with 0: (COMMAND || true) &"
            return {"step": "wait_ready", "code": None, "said": said, "wrong": True}
        if left_s <= 0:
            said = f"{wanted['shown']} was not ready within {wanted['timeout_s']:g} s: {why}"
            said += services.note()
            return {"step": "wait_ready", "code": None, "said": said}
        time.sleep(_TICK_S)


def _is_ready(wanted: dict[str, Any] | None) -> bool:
    """Whether something answers already, such as a server of an earlier trial on the same port."""
    if wanted is None or wanted["fault"]:
        return False
    return _unready(wanted, _PROBE_S, quiet=True) is None


def _unready(wanted: dict[str, Any], limit_s: float, quiet: bool = False) -> str | None:
    """Why the service does not answer yet."""
    if wanted["command"]:
        code = _run(wanted["command"], limit_s, None, quiet=quiet)
        return None if code == 0 else f"its command {_ended(code)}"
    address = (wanted["host"], wanted["port"])
    try:
        if wanted["path"] is None:
            socket.create_connection(address, limit_s).close()
            return None
        kind = http.client.HTTPSConnection if wanted["tls"] else http.client.HTTPConnection
        with contextlib.closing(kind(*address, timeout=limit_s)) as connection:
            connection.request("GET", wanted["path"])
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return None if status < _REFUSED else f"it answered {status}"


def _ended(code: int | None) -> str:
    if code is None:
        return "did not end"
    return f"ended with {code}" if code >= 0 else f"was killed by signal {-code}"


def _hook(request: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Run a hook; what stopped it, if anything did."""
    if not request[name]:
        return None
    code = _run(request[name], request["hook_s"], None)
    return None if code == 0 else {"step": name, "code": code}


def printed(folder: Path) -> tuple[Path, Path]:
    """The files of all that a run has printed, and of its standard output alone."""
    return folder.with_name(f"{folder.name}.output"), folder.with_name(f"{folder.name}.stdout")


def _run(
    argv: list[str],
    limit_s: float,
    kept: tuple[Path, Path] | None,
    printing: list[str] | None = None,
    *,
    quiet: bool = False,
) -> int | None:
    """The exit code, below 0 of a signal; None of one that its time limit ended, with all that it
    had started.

    The files in `kept` get the last megabytes of all that it printed, and of its standard output
    alone: a command may print more than a disk takes. `printing` gets its name if processes that
    it left in the background still printed when it had ended.
    """
    sys.stdout.flush()
    pipe = (subprocess.DEVNULL if quiet else None) if kept is None else subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        said = f"{argv[0]} cannot be started: {error.strerror}\n"
        sys.stdout.write("" if quiet else said)
        for path, text in zip(kept or (), (said, ""), strict=False):
            path.write_text(text)
        return _MISSING if isinstance(error, FileNotFoundError) else _CANNOT
    output = _Output(process)
    end = time.monotonic() + limit_s
    code = process.poll()
    while code is None and time.monotonic() < end:
        output.drain(_TICK_S)
        code = process.poll()
    if code is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if output.finish() and printing is not None and argv[0] not in printing:
        printing.append(argv[0])
    for path, tail in zip(kept or (), (output.all, output.stdout), strict=False):
        path.write_bytes(tail)
    return code


class _Output:
    """What a command prints: passed on, and its last megabytes kept."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.all, self.stdout = bytearray(), bytearray()
        self._taken = 0
        self._process = process
        self._open = selectors.DefaultSelector()
        kept = ((process.stdout, (self.all, self.stdout)), (process.stderr, (self.all,)))
        for stream, tails in kept:
            if stream is not None:
                self._open.register(stream, selectors.EVENT_READ, tails)

    def finish(self) -> bool:
        """Take what the command had printed when it ended; whether another process prints on.

        That is at most what its pipes hold. A child in the background may fill them without end.
        """
        most = len(self._open.get_map()) * _LARGEST_PIPE
        before = self._taken
        end = time.monotonic() + _FINISH_S
        while self.drain(0.0):
            if self._taken - before > most or time.monotonic() > end:
                return True
        # Where another process has the pipe, it is given the time to print.
        before = self._taken
        if self._open.get_map():
            self.drain(_PRINTS_S)  # which ends early where that process ends
        return self._taken > before

    def drain(self, patience_s: float) -> bool:
        """Take what is there; False where there is nothing, or no more to come."""
        if not self._open.get_map():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
            return False
        ready = self._open.select(patience_s)
        for key, _ in ready:
            data = os.read(key.fd, 2**16)
            if not data:
                self._open.unregister(key.fileobj)
                continue
            self._taken += len(data)
            onward = sys.stdout if key.fileobj is self._process.stdout else sys.stderr
            onward.buffer.write(data)
            onward.buffer.flush()
            for tail in key.data:
                tail.extend(data)
                del tail[:-_TAIL]
        return bool(ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
