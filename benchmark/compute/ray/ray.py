"""The method ray: workers of a running Ray cluster that take one task after the other.

A worker is an actor with the cores and the memory of a task, and keeps a runner with its sandbox on
its node. Actors end with the driver that made them, and runners with their actor.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmark.compute.dispatcher import Dispatcher, account, answered
from benchmark.config.extras import ROOT, install
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records.results import Cause, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.config.loading import Config
    from benchmark.records.tasks import Resources, Run, Task

_MB = 2**20
_LOOK_S = 2.0
_CLOSE_S = 12.0
_LAME = 3
_SLOT = "benchmark.compute.pilot.slot"
_log = logging.getLogger("benchmark.compute")


@dataclass
class _Actor:
    """A worker: what it waits for (`ref`), and its task, None while it starts or is idle."""

    handle: Any
    needs: tuple[int, int]
    ref: Any = None
    task: Task | None = None


class RayDispatcher(Dispatcher):
    """As many workers as the cluster has room for, or `parallel`."""

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._waiting: collections.deque[Task] = collections.deque()
        self._actors: list[_Actor] = []
        self._ray: Any = None
        self._is_mine = False
        self._lame = 0
        self._warned = False

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse where there is no Ray, no cluster, or results that no node sees."""
        import importlib.util

        if config.store_url.startswith("memory://"):
            raise ConfigError("The results would go to memory, which no node of the cluster sees.")
        _reachable(_address(config))
        if importlib.util.find_spec("ray") is None:
            raise ConfigError(f"'compute' names ray, which is not installed; {install('ray')}.")

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks.

        Raises:
            ConfigError: there is no cluster, or one asks for MPI ranks.
        """
        if any(task.resources.mpi for task in tasks):
            raise ConfigError("Ray starts no MPI ranks; use the method slurm or pilot.")
        if self._ray is None:
            self._ray, self._is_mine = _connected(self.config)
        self._waiting.extend(tasks)
        self._feed()

    def completed(self, timeout_s: float) -> list[Record]:
        done: list[Record] = []
        end = time.monotonic() + timeout_s
        while not done and (self._waiting or any(actor.task for actor in self._actors)):
            left = end - time.monotonic()
            if left <= 0:
                break
            self._feed()
            refs = {actor.ref: actor for actor in self._actors if actor.ref is not None}
            wait_s = min(left, _LOOK_S)
            ready, _ = self._ray.wait(list(refs), num_returns=1, timeout=wait_s)
            for ref in ready:
                done += self._hear(refs[ref])
        return done

    def close(self) -> None:
        """End every worker with its task; its runner records that it was interrupted."""
        actors, self._actors = self._actors, []
        self._waiting.clear()
        if self._ray is None:
            return
        try:
            refs = [actor.handle.close.remote() for actor in actors if actor.task]
            if refs:
                self._ray.wait(refs, num_returns=len(refs), timeout=_CLOSE_S)
        finally:
            for actor in actors:
                self._kill(actor)
            if self._is_mine:
                self._ray.shutdown()
            self._ray = None

    def _feed(self) -> None:
        """Give idle workers the next tasks, and start more where tasks wait and there is room."""
        for actor in [actor for actor in self._actors if actor.ref is None]:
            if self._waiting and actor.needs == self._needs(self._waiting[0].resources):
                actor.task = self._waiting.popleft()
                actor.ref = actor.handle.execute.remote(actor.task.key)
            elif self._waiting:  # The next one asks for other resources.
                self._actors.remove(actor)
                self._kill(actor)
        starting = sum(actor.task is None for actor in self._actors)
        if len(self._waiting) <= starting:
            return
        needs = self._needs(self._waiting[0].resources)
        room = self.config.parallel or self._room(needs)
        for _ in range(min(len(self._waiting) - starting, room - len(self._actors))):
            handle = self._actor_of(needs)
            self._actors.append(_Actor(handle, needs, ref=handle.ready.remote()))

    def _hear(self, actor: _Actor) -> list[Record]:
        """A worker has started, has ended its task, or was lost."""
        try:
            answer = self._ray.get(actor.ref)
        except self._ray.exceptions.RayError as error:
            return self._bury(actor, error)
        task, actor.task, actor.ref = actor.task, None, None
        if task is None:
            return []
        self._lame = 0
        return [answered(self.run, task, answer)]

    def _bury(self, actor: _Actor, error: Exception) -> list[Record]:
        """Account for the task of a worker that was lost, most often with its node."""
        self._actors.remove(actor)
        self._kill(actor)
        cause = getattr(error, "cause", None) or error
        why = f"A worker of Ray was lost: {' '.join(str(cause).split())[:500]}"
        self._lame += 1
        if self._lame >= _LAME * (len(self._actors) + 1) and not any(a.task for a in self._actors):
            if actor.task:
                account(self.run, actor.task, Cause.INFRASTRUCTURE, why)
            raise BenchmarkError(f"No worker lives on the Ray cluster: {why}")
        return [account(self.run, actor.task, Cause.INFRASTRUCTURE, why)] if actor.task else []

    def _needs(self, resources: Resources) -> tuple[int, int]:
        """Cores and MB of a worker."""
        return resources.cores, resources.memory_mb + self.config.ray.reserve_mb

    def _room(self, needs: tuple[int, int]) -> int:
        """How many workers the nodes have room for; one where there is none (yet)."""
        cores, memory_mb = needs
        wanted = {"CPU": cores, "memory": memory_mb * _MB, **self.config.ray.resources}
        room = 0
        for node in self._ray.nodes():
            has = node["Resources"] if node["Alive"] else {}
            room += int(min(has.get(name, 0.0) // amount for name, amount in wanted.items()))
        if not room and not self._warned:
            self._warned = True
            _log.warning(
                "No node of the Ray cluster has %d cores and %d MB ('reserve_mb' of 'ray' "
                "included) as a task needs; waiting for one.",
                cores,
                memory_mb,
            )
        return max(1, room)

    def _actor_of(self, needs: tuple[int, int]) -> Any:
        from benchmark.compute.ray import ray_wrapper

        self._ray.cloudpickle.register_pickle_by_value(ray_wrapper)
        options = self.config.ray
        cores, memory_mb = needs
        made = self._ray.remote(ray_wrapper.Worker).options(
            num_cpus=cores,
            memory=memory_mb * _MB,
            resources=options.resources,
            max_restarts=0,
            max_concurrency=2,  # It can be closed while it runs a task.
        )
        words = [_SLOT, self.run.store.url, self.run.name, str(cores)]
        return made.remote(options.python or "", options.code or str(ROOT), words)

    def _kill(self, actor: _Actor) -> None:
        with contextlib.suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(actor.handle)


def _address(config: Config) -> str:
    """The cluster that is configured.

    Raises:
        ConfigError: none is, or in a way that would start one, or needs a client.
    """
    address = config.ray.address or os.environ.get("RAY_ADDRESS", "")
    if address in ("", "local") or "://" in address:
        named = f"is '{address}'" if address else "is unset"
        raise ConfigError(
            f"RAY_ADDRESS {named}, and the method ray needs a running cluster; set it (or "
            "'address' in 'ray') to HOST:PORT of its head node, or to auto on one of its nodes."
        )
    return address


def _reachable(address: str) -> None:
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise ConfigError(f"RAY_ADDRESS is '{address}'; write HOST:PORT, such as head:6379.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"There is no Ray cluster at {address} ({error}); start one (`ray start --head`), or "
            "correct RAY_ADDRESS."
        ) from None


def _connected(config: Config) -> tuple[Any, bool]:
    """Ray, connected to the cluster, and whether this has connected it."""
    address = _address(config)
    _reachable(address)
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        import ray

        if ray.is_initialized():
            return ray, False
        quiet = {"configure_logging": False, "log_to_driver": False, "logging_level": "error"}
        ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:500]
        raise BenchmarkError(f"The Ray cluster at {address} cannot be used: {why}") from None
    finally:
        if is_main:  # Ray sets a handler of its own.
            signal.signal(signal.SIGTERM, before)
    return ray, True
