"""A command with hooks in the sandbox: `python trial_steps.py REQUEST.json`.

Imports nothing of the program. All steps share a folder and a process tree, so that a server that
`prepare` starts serves every run of the command, and ends with the sandbox.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
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
        code = _run(request["command"], request["time_s"], folder / "output")
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


def _run(argv: list[str], limit_s: float, kept: Path | None) -> int | None:
    """The exit code; None of one that its time limit ended, with all that it had started.

    `kept` gets the last megabytes that it printed: a command may print more than a disk takes.
    """
    sys.stdout.flush()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=None if kept is None else subprocess.PIPE,
            stderr=None if kept is None else subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        said = f"{argv[0]} cannot be started: {error.strerror}\n"
        sys.stdout.write(said)
        if kept is not None:
            kept.write_text(said)
        return _MISSING if isinstance(error, FileNotFoundError) else _CANNOT
    tail = bytearray()
    end = time.monotonic() + limit_s
    code = process.poll()
    while code is None and time.monotonic() < end:
        _drain(process, tail, _TICK_S)
        code = process.poll()
    if code is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    while _drain(process, tail, 0.0):
        pass
    if kept is not None:
        kept.write_bytes(tail)
    return code


def _drain(process: subprocess.Popen[bytes], tail: bytearray, patience_s: float) -> bool:
    """Pass on what it has printed; False where there is nothing, or no more to come."""
    if process.stdout is None or process.stdout.closed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience_s)
        return False
    if not select.select([process.stdout], [], [], patience_s)[0]:
        return False
    data = os.read(process.stdout.fileno(), 2**16)
    if not data:
        process.stdout.close()
        return False
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    tail += data
    del tail[:-_TAIL]
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
