"""The keeper of one task: starts it inside its limits, watches it, and leaves nothing running.

A keeper is forked from a zygote and ends with its task. It ends early, with the whole tree, when
its runner goes (the socket hangs up) or its zygote dies (SIGTERM from the kernel).
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from benchmark.execution.worker import linux, trees
from benchmark.execution.worker.cgroups import Group, allowance, surrounding
from benchmark.execution.worker.crowd import LOOK_S, Crowd
from benchmark.execution.worker.output import CappedLog, drain
from benchmark.execution.worker.shared_memory import SharedMemory, send_view

# What a task leaves in its folder: its outcome stands, and the signal that it sent to itself.
SAFE = "outcome.safe"
OWN_SIGNAL = "own-signal"
TICK_S = 0.02
# For so long a process that ends a task from outside may take to reach its keeper or runner, too.
_SENDER_S = 0.3
_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Where hanging up has no event of its own it is read as an end: nothing else comes.
_HUNG_UP = select.POLLHUP | getattr(select, "POLLRDHUP", select.POLLIN)
_KNOWS_SENDERS = hasattr(signal, "sigtimedwait")
_WEIGH_S = 0.1
_NEAR = 0.7

Ended = NamedTuple("Ended", [("code", Optional[int]), ("signal", Optional[int])])


class Keeper:
    """One task's limits and life. Times in seconds, memory in MB."""

    def __init__(self, request: Dict[str, Any], lifeline: socket.socket) -> None:
        self.request = request
        self.lifeline = lifeline
        self.group = Group(request["cgroup"]) if request.get("cgroup") else None
        self.crowd = Crowd(request["mark"]) if request.get("mark") else None
        self._parent = os.getppid()
        self._around = None if self.group else surrounding()
        self._shared = None if self.group else SharedMemory(request["work"])
        self._killed_before = self._around.oom_kills() if self._around else 0
        self.namespace = bool(request["namespace"])
        self.abandoned = False
        self.timed_out = False
        self.out_of_memory = False
        self.peak_mb = 0.0
        self.baseline_mb: Optional[float] = None
        self.own_signal = False
        self._safe = os.path.join(request["work"], SAFE)
        self._safe_peak_mb: Optional[float] = None
        self._cache_mb = 0.0
        self._weighed = 0.0
        self._weigh_every = 0.0
        self._gate: Optional[socket.socket] = None

    def run(self, body: Callable[[Dict[str, Any]], None], report: int) -> Dict[str, Any]:
        """Run `body(request)` as the task; returns the report when the tree is gone.

        `report` is the keeper's own way up, which the task must not have.
        """
        read_end, write_end = os.pipe()
        status_read, status_write = os.pipe()
        wake_read, wake_write = os.pipe()
        for fd in (wake_read, wake_write):
            os.set_blocking(fd, False)
        # Python 3.6 has no such option: there a full buffer is a warning in the zygote's log.
        quiet: Dict[str, Any] = {"warn_on_full_buffer": False} if sys.version_info >= (3, 7) else {}
        signal.set_wakeup_fd(wake_write, **quiet)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if _KNOWS_SENDERS:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        else:
            signal.signal(signal.SIGTERM, self._abandon)
        log = CappedLog(self.request["output"], read_end)
        logs, ends = [log], [write_end]
        if self.request.get("stdout"):
            apart, apart_write = os.pipe()
            logs.append(CappedLog(self.request["stdout"], apart, whole=log))
            ends.append(apart_write)
        started = time.monotonic()
        self.request["deadline"] = started + self.request["hard_limit_s"]
        ours = [self.lifeline.fileno(), report, status_read, wake_read, wake_write]
        ours += [fd for each in logs for fd in (each.fd, each.file_fd)]
        pid = self._fork(body, ends, status_write, ours)
        for fd in (*ends, status_write):
            os.close(fd)
        ended = self._watch(pid, logs, status_read, wake_read)
        wall_s = time.monotonic() - started
        self._seek_sender(ended)
        self._note_kill_from_around(ended)
        self._note_left()
        self._kill(pid)
        killed_s = time.monotonic() - started
        self._note_safe(pid)
        self._account()
        for each in reversed(logs):
            each.close()
        peak_mb = self.peak_mb if self._safe_peak_mb is None else self._safe_peak_mb
        return {
            "code": ended.code,
            "signal": ended.signal,
            "timed_out": self.timed_out,
            "out_of_memory": self.out_of_memory,
            "abandoned": self.abandoned,
            "own_signal": self.own_signal,
            "safe": self._safe_peak_mb is not None,
            "peak_mb": round(peak_mb, 2),
            "baseline_mb": self.baseline_mb,
            "wall_s": wall_s,
            "gone_s": killed_s,
            "gone": started + killed_s,
        }

    def _abandon(self, *_: Any) -> None:
        self.abandoned = True

    def _heed_sigterm(self) -> None:
        """Give up when asked to end, unless it is the task that says so."""
        signal_info = signal.sigtimedwait([signal.SIGTERM], 0) if _KNOWS_SENDERS else None
        if signal_info and signal_info.si_pid not in trees.descendants(os.getpid()):
            self.abandoned = True

    def _seek_sender(self, ended: Ended) -> None:
        """Who ended the task by a signal: itself, or someone who ends its keeper or runner too."""
        if ended.signal not in _OUTSIDE:
            return
        note = linux.read_head(os.path.join(self.request["work"], OWN_SIGNAL), 8)
        self.own_signal = note == b"%d" % ended.signal
        end = time.monotonic() + _SENDER_S
        lifeline = select.poll()
        lifeline.register(self.lifeline, _HUNG_UP)
        while not (self.own_signal or self.abandoned) and time.monotonic() < end:
            self.abandoned = bool(lifeline.poll(TICK_S * 1000)) or os.getppid() != self._parent
            self._heed_sigterm()

    def _fork(
        self, body: Callable[[Dict[str, Any]], None], outputs: List[int], status: int, ours: Any
    ) -> int:
        """Fork the task; in a namespace by way of its init. Returns our child's pid."""
        if self.namespace:
            linux.new_pid_namespace()
        inside, outside = socket.socketpair()
        gate, keepers_gate = socket.socketpair()
        pid = os.fork()
        if pid:
            inside.close()
            gate.close()
            with outside:
                if self._shared and self.request.get("apart"):
                    self._shared.receive(outside)
            self._weigh_the_start(pid, keepers_gate)
            return pid
        outside.close()
        keepers_gate.close()
        self._gate = gate
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if _KNOWS_SENDERS:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
            if not self.crowd:
                linux.die_with_parent()
            for fd in ours:
                os.close(fd)
            if self._shared:
                self._shared.close()
            if not self.namespace:
                inside.close()
                os.close(status)
                self._become_task(body, outputs)
            self._move_in(inside)
            task = os.fork()
            if task == 0:
                os.close(status)
                self._become_task(body, outputs)
            gate.close()
            for fd in outputs:
                os.close(fd)
            _init(task, status)
        finally:
            os._exit(127)
        return 0

    def _weigh_the_start(self, pid: int, gate: socket.socket) -> None:
        """What a task has from its zygote is not its own: it begins when that was weighed."""
        with gate, contextlib.suppress(OSError):
            if self.group or self.crowd:
                return
            gate.settimeout(max(0.1, self.request["deadline"] - time.monotonic()))
            if gate.recv(1):
                self._weigh_by_hand(pid)

    def _move_in(self, channel: socket.socket) -> None:
        """As the init of a namespace: see its processes and, set apart, its files alone."""
        linux.mount_own_proc()
        if self.request.get("apart"):
            linux.set_apart(linux.Apart(**self.request["apart"]))
            if self._shared:
                send_view(channel)
        channel.close()

    def _become_task(self, body: Callable[[Dict[str, Any]], None], outputs: List[int]) -> None:
        """`outputs`: where errors go and, where that is apart, standard output; else both."""
        os.setsid()
        os.dup2(outputs[-1], 1)
        os.dup2(outputs[0], 2)
        for fd in outputs:
            if fd > 2:
                os.close(fd)
        if self.group:
            self.group.enter()
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, self.request["cores"])
        if self._gate:
            with self._gate as gate, contextlib.suppress(OSError):
                gate.sendall(b"1")
                gate.recv(1)
        body(self.request)

    def _watch(self, pid: int, logs: List[CappedLog], status: int, wake: int) -> Ended:
        deadline = self.request["deadline"]
        poll = select.poll()
        poll.register(self.lifeline, _HUNG_UP)
        watched = logs[::-1]
        for fd in (*(log.fd for log in logs), status, wake):
            poll.register(fd, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            events = dict(poll.poll(max(0.0, min(TICK_S, left) * 1000)))
            if any(log.fd in events for log in watched):
                drain(watched)
            for log in [log for log in watched if not log.open]:
                poll.unregister(log.fd)
                watched.remove(log)
            if wake in events:
                os.read(wake, 4096)
            ended = self._ended(pid, status, status in events)
            if ended:
                return ended
            self._note_safe(pid)
            self._weigh(pid)
            self._heed_sigterm()
            self.abandoned = self.abandoned or self.lifeline.fileno() in events
            if self.crowd and os.getppid() != self._parent:
                self.abandoned = True
            self.timed_out = time.monotonic() >= deadline
            if self.abandoned or self.timed_out or self.out_of_memory:
                return Ended(None, None)

    def _ended(self, pid: int, status: int, terminated: bool) -> Optional[Ended]:
        if self.namespace:
            if not terminated:
                return None
            text = os.read(status, 64)
            if text:
                return _decode(int(text))
            return Ended(None, int(signal.SIGKILL))
        done, code = os.waitpid(pid, os.WNOHANG)
        return _decode(code) if done == pid else None

    def _note_safe(self, pid: int) -> None:
        """From when the outcome is safe, what the task takes is no longer the framework's peak."""
        adapter = "adapter" in self.request["entry"]
        if adapter and self._safe_peak_mb is None and os.path.exists(self._safe):
            if not self.group:
                self._weigh_by_hand(pid)
            self._account()
            self._safe_peak_mb = self.peak_mb

    def _weigh(self, pid: int) -> None:
        now = time.monotonic()
        if now - self._weighed < self._weigh_every:
            return
        if self.group:
            usage = self.group.usage()
            self.peak_mb = max(self.peak_mb, usage.anonymous_mb)
            self._cache_mb = max(self._cache_mb, usage.cache_mb)
            self.out_of_memory = self.group.has_run_out()
            self._weigh_every = TICK_S
        else:
            self._weigh_by_hand(pid)
        self._weighed = time.monotonic()

    def _note_kill_from_around(self, ended: Ended) -> None:
        """A container may kill its task for memory before the watchdog sees that it is too much.

        Of a container with less memory than the task was promised, that is no word on the task.
        """
        if not self._around or ended.signal != signal.SIGKILL:
            return
        promised = allowance().memory_mb >= self.request["memory_mb"]
        if promised and self._around.oom_kills() > self._killed_before:
            self.out_of_memory = True

    def _weigh_by_hand(self, pid: int) -> None:
        """The watchdog: a cheap upper bound often, the exact sum when that comes near the limit."""
        start = time.monotonic()
        if self.crowd:
            self.baseline_mb = 0.0
            resident = self.crowd.memory_mb(pid)
            unmapped = self._shared.unmapped_mb(self.crowd.pids) if self._shared else 0.0
            self.peak_mb = max(self.peak_mb, resident + unmapped)
            self.out_of_memory = self.peak_mb > self.request["memory_mb"]
            self._weigh_every = max(LOOK_S, 5 * (time.monotonic() - start))
            return
        pids = [pid] + trees.descendants(pid)
        limit = self.request["memory_mb"]
        baseline = self.baseline_mb or 0.0
        shared = self._shared.at_least_mb() if self._shared else 0.0
        near = trees.resident_mb(pids) + shared > baseline + _NEAR * limit
        if self.baseline_mb is None or near or start - self._last_exact > _WEIGH_S:
            exact = trees.anonymous_mb(pids)
            self._last_exact = start
            if self.baseline_mb is None:
                self.baseline_mb = round(exact, 2)
            exact += self._shared.unmapped_mb(pids) if self._shared else 0.0
            self.peak_mb = max(self.peak_mb, exact - (self.baseline_mb or 0.0))
            self.out_of_memory = self.peak_mb > limit
        cost = time.monotonic() - start
        self._weigh_every = max(0.005 if near else TICK_S, 3 * cost)

    _last_exact = 0.0

    def _note_left(self) -> None:
        """What a task that has ended left in shared memory, such as when its /dev/shm was full."""
        if self._shared and self._safe_peak_mb is None:
            pids = [] if self.crowd else trees.descendants(os.getpid())
            self.peak_mb = max(self.peak_mb, self._shared.unmapped_mb(pids))
            self.out_of_memory = self.out_of_memory or self.peak_mb > self.request["memory_mb"]

    def _kill(self, pid: int) -> None:
        """End the whole tree, by every means at hand."""
        if self.namespace:
            # The kernel ends a namespace with its init, and the wait returns when all are gone.
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if self.group:
            self.group.kill()
        if self.crowd:
            self.crowd.kill_all([pid])
        else:
            trees.kill_all(os.getpid())

    def _account(self) -> None:
        if not self.group:
            return
        usage = self.group.usage()
        cache = max(self._cache_mb, usage.cache_mb)
        self.peak_mb = max(self.peak_mb, usage.anonymous_mb, usage.peak_mb - cache)
        self.out_of_memory = self.out_of_memory or self.group.has_run_out()


def keep(
    request: Dict[str, Any],
    lifeline: socket.socket,
    report: int,
    body: Callable[[Dict[str, Any]], None],
) -> None:
    """The keeper's process: never returns."""
    try:
        if not request.get("mark"):
            linux.die_with_parent(signal.SIGTERM)
            linux.become_subreaper()
        keeper = Keeper(request, lifeline)
        answer = keeper.run(body, report)
        if keeper.abandoned and keeper.group:
            keeper.group.remove()
        os.write(report, json.dumps(answer).encode())
    except OSError as error:
        os.write(report, json.dumps({"broken": str(error)}).encode())
    finally:
        os._exit(0)


def _init(task: int, status: int) -> None:
    """PID 1 of the namespace: reaps until the task ends, tells how, and ends everything."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while True:
        pid, code = os.waitpid(-1, 0)
        if pid == task:
            os.write(status, str(code).encode())
            os._exit(0)


def _decode(status: int) -> Ended:
    if os.WIFSIGNALED(status):
        return Ended(None, os.WTERMSIG(status))
    return Ended(os.WEXITSTATUS(status), None)
