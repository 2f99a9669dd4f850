"""A process tree seen from above, where no control group does it: list, weigh, kill.

The root is a subreaper or the init of a PID namespace, so every descendant stays below it.
"""

import os
import signal
import time
from typing import Callable, List

from benchmark.execution.worker.linux import read_text

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1024.0 * 1024.0)


def descendants(pid: int) -> List[int]:
    """Every living process below `pid`, nearest first."""
    found: List[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop(0)
        children = _children(parent)
        found.extend(children)
        waiting.extend(children)
    return found


def _children(pid: int) -> List[int]:
    found: List[int] = []
    folder = "/proc/%d/task" % pid
    try:
        threads = os.listdir(folder)
    except OSError:
        return found
    for thread in threads:
        found.extend(int(child) for child in read_text("%s/%s/children" % (folder, thread)).split())
    return found


def resident_mb(pids: List[int]) -> float:
    """An upper bound of what the processes hold: resident pages, shared ones counted again."""
    total = 0
    for pid in pids:
        fields = read_text("/proc/%d/statm" % pid).split()
        total += int(fields[1]) if len(fields) > 1 else 0
    return total * _PAGE_MB


def anonymous_mb(pids: List[int]) -> float:
    """Anonymous and shared memory of the processes, a page shared by n counted 1/n in each.

    Of a process that made itself undumpable its owner sees the whole pages alone.
    """
    total = 0
    for pid in pids:
        names = ("Pss_Anon:", "Pss_Shmem:")
        text = read_text("/proc/%d/smaps_rollup" % pid)
        if not text:
            names = ("RssAnon:", "RssShmem:")
            text = read_text("/proc/%d/status" % pid)
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(names))
    return total / 1024.0


def kill_all(root: int) -> bool:
    """SIGKILL every descendant until there is none left: True if so in time.

    The caller is `root` itself, and reaps.
    """
    return kill_found(lambda: descendants(root))


def kill_found(find: Callable[[], List[int]], patience_s: float = 5.0) -> bool:
    """SIGKILL the processes that `find` returns until it finds none: True if so in time.

    Stopping all of them first keeps a tree that forks from outrunning us.
    """
    end = time.monotonic() + patience_s
    while True:
        pids = find()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except (ProcessLookupError, PermissionError):
                    continue
        reap()
        if not pids:
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.002)


def reap() -> None:
    """Collect every child that has ended, without waiting."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return
