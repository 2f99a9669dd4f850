"""The zygote: imports the heavy libraries once, then forks a keeper for each task.

It does nothing else with the libraries: one whose OpenMP pool or loky has run before the fork
hangs in the child. It takes one JSON line a task from its socket and answers one line.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import time
from typing import Any, Dict, List, Optional

from benchmark.execution.worker import keeper, linux, task, trees
from benchmark.execution.worker.crowd import Crowd


def main(fd: int, preload: str, mark: Optional[str] = None) -> None:
    """Serve the runner at the other end of the socket `fd` until it hangs up.

    With a `mark` nothing of Linux's is used: processes are known by it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not mark:
        linux.die_with_parent(signal.SIGTERM)
        linux.become_subreaper()
    runner = socket.socket(fileno=fd)
    started = time.monotonic()
    faults = _import_all(json.loads(preload))
    works = linux.Namespaces(False, False) if mark else linux.namespaces()
    _send(
        runner,
        {
            "ready": True,
            "import_s": time.monotonic() - started,
            "faults": faults,
            "namespace": works.process_ids,
            "apart": works.apart,
            "python": sys.version.split()[0],
            "memory_mb": trees.anonymous_mb([os.getpid()]),
        },
    )
    lines = runner.makefile("rb")
    while True:
        line = lines.readline()
        if not line:
            return
        _send(runner, _serve(json.loads(line.decode()), runner))


def _import_all(modules: List[str]) -> Dict[str, str]:
    """Why modules could not be imported, by name.

    What they make stays. The garbage collector does not look at it, neither now, which takes a
    tenth of the time, nor in a task, where each page that it looks at would be copied.
    """
    faults: Dict[str, str] = {}
    gc.disable()
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:
            faults[module] = "%s: %s" % (type(error).__name__, error)
    if hasattr(gc, "freeze"):  # since Python 3.7
        gc.freeze()
    gc.enable()
    return faults


def _serve(request: Dict[str, Any], runner: socket.socket) -> Dict[str, Any]:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        keeper.keep(request, runner, write_end, task.perform)
    os.close(write_end)
    _, status = os.waitpid(pid, 0)
    # Whatever the keeper could not end, being killed itself, has become our child.
    if request.get("mark"):
        Crowd(request["mark"]).kill_all()
    else:
        trees.kill_all(os.getpid())
    os.set_blocking(read_end, False)
    try:
        report = os.read(read_end, 1 << 16)
    except BlockingIOError:
        report = b""
    os.close(read_end)
    answer: Dict[str, Any] = {}
    if report:
        answer.update(json.loads(report.decode()))
    else:
        answer["keeper_status"] = status
    return answer


def _send(runner: socket.socket, message: Dict[str, Any]) -> None:
    try:
        runner.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
        sys.exit(0)
