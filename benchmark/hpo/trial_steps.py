"""A command with hooks in the sandbox: `python trial_steps.py REQUEST.json`.

Imports nothing of the program. All steps share a folder and a process tree, so that a server that
`prepare` starts serves every run of the command, and ends with the sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ANSWER = "trial-steps-answer.json"
FOLDER = ".runs"
_CANNOT, _MISSING = 126, 127
_TAIL = 8 * 2**20
_TICK_S = 0.05


def main(path: str) -> int:
    request = json.loads(Path(path).read_text(encoding="utf-8"))
    answer: dict[str, Any] = {"runs": [], "stopped": None}
    answer["stopped"] = _hook(request, "prepare")
    for turn in range(request["turns"]):
        if answer["stopped"] is None:
            answer["stopped"] = _hook(request, "reset")
        if answer["stopped"] is not None:
            break
        folder = Path(FOLDER) / str(turn)
        folder.mkdir(parents=True)
        for name in request["measured"]:
            Path(name).unlink(missing_ok=True)
        code = _run(request["command"], request["time_s"], printed(folder))
        for name in request["measured"]:
            # A link could name a file that is not the trial's.
            if Path(name).is_file() and not Path(name).is_symlink():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(name, folder / name)
        answer["runs"].append(code)
        if code != 0:
            break
    text = json.dumps(answer)
    Path(ANSWER + ".tmp").write_text(text, encoding="utf-8")
    Path(ANSWER + ".tmp").rename(ANSWER)
    return 0


def _hook(request: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Run a hook; what stopped it, if anything did."""
    if not request[name]:
        return None
    code = _run(request[name], request["hook_s"], None)
    return None if code == 0 else {"step": name, "code": code}


def printed(folder: Path) -> tuple[Path, Path]:
    """The files of all that a run has printed, and of its standard output alone."""
    return folder.with_name(f"{folder.name}.output"), folder.with_name(f"{folder.name}.stdout")


def _run(argv: list[str], limit_s: float, kept: tuple[Path, Path] | None) -> int | None:
    """The exit code; None of one that its time limit ended, with all that it had started.

    The files in `kept` get the last megabytes of all that it printed, and of its standard output
    alone: a command may print more than a disk takes.
    """
    sys.stdout.flush()
    pipe = None if kept is None else subprocess.PIPE
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        said = f"{argv[0]} cannot be started: {error.strerror}\n"
        sys.stdout.write(said)
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
    while output.drain(0.0):
        pass
    for path, tail in zip(kept or (), (output.all, output.stdout), strict=False):
        path.write_bytes(tail)
    return code


class _Output:
    """What a command prints: passed on, and its last megabytes kept."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.all, self.stdout = bytearray(), bytearray()
        self._process = process
        self._open = selectors.DefaultSelector()
        kept = ((process.stdout, (self.all, self.stdout)), (process.stderr, (self.all,)))
        for stream, tails in kept:
            if stream is not None:
                self._open.register(stream, selectors.EVENT_READ, tails)

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
            onward = sys.stdout if key.fileobj is self._process.stdout else sys.stderr
            onward.buffer.write(data)
            onward.buffer.flush()
            for tail in key.data:
                tail.extend(data)
                del tail[:-_TAIL]
        return bool(ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
