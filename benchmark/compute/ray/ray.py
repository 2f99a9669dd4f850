"""The method ray: workers of a running Ray cluster that take one task after the other.

A worker is an actor with the cores and the memory of a task, and keeps a runner with its sandbox on
its node. Actors end with the driver that made them, and runners with their actor.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.compute import methods
from benchmark.compute.pool import PoolDispatcher
from benchmark.compute.waiting import Waits
from benchmark.config.extras import ROOT
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records.results import Record
from benchmark.records.tasks import Resources, Run, Task

_MB = 2**20
_LOOK_S = 2.0
_CLOSE_S = 12.0
_SLOT = "benchmark.compute.pilot.slot"


@dataclass
class _Actor:
    """A runner on a node: what it waits for (`ref`), and its task."""

    handle: Any
    needs: dict[str, float]
    ref: Any = None
    task: Task | None = None


class RayDispatcher(PoolDispatcher[_Actor]):
    """As many workers as the cluster has room for, or `parallel`."""

    place = "the Ray cluster"

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._waits = Waits(run)
        self._ray: Any = None
        self._is_mine = False

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse where there is no Ray, no cluster, or results that no node sees."""
        methods.check_store_is_shared(config)
        _reachable(_address(config))
        methods.check_installed("ray")

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks.

        Raises:
            ConfigError: there is no cluster, or one asks for MPI ranks.
        """
        if any(task.resources.mpi for task in tasks):
            raise ConfigError("Ray starts no MPI ranks; use the method slurm or pilot.")
        if self._ray is None:
            self._ray, self._is_mine = _connected(self.config)
        super().submit(tasks)

    def close(self) -> None:
        """End every worker with its task; its runner records that it was interrupted."""
        actors, self._runners = self._runners, []
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
            self._waits.note([])
            if self._is_mine:
                self._ray.shutdown()
            self._ray = None

    def _feed(self) -> None:
        for actor in [actor for actor in self._runners if actor.ref is None and self._waiting]:
            if self._waiting and actor.needs == self._needs(self._waiting[0].resources):
                actor.task = self._waiting.popleft()
                actor.ref = actor.handle.execute.remote(actor.task.key)
            elif self._waiting:  # The next one asks for other resources.
                self._runners.remove(actor)
                self._kill(actor)
        starting = sum(actor.task is None for actor in self._runners)
        if not self._waiting or (len(self._waiting) <= starting and not self._waits.sentences):
            self._waits.note([])
            return
        needs = self._needs(self._waiting[0].resources)
        room = self._room(needs)
        room = self.config.parallel or room
        for _ in range(min(len(self._waiting) - starting, room - len(self._runners))):
            handle = self._actor_of(needs)
            self._runners.append(_Actor(handle, needs, ref=handle.ready.remote()))

    def _received(self, timeout_s: float) -> list[Record]:
        refs = {actor.ref: actor for actor in self._runners if actor.ref is not None}
        ready, _ = self._ray.wait(list(refs), num_returns=1, timeout=min(timeout_s, _LOOK_S))
        return [record for ref in ready for record in self._answer(refs[ref])]

    def _answer(self, actor: _Actor) -> list[Record]:
        """A worker has started, has ended its task, or was lost, most often with its node."""
        try:
            answer = self._ray.get(actor.ref)
        except self._ray.exceptions.RayError as error:
            self._kill(actor)
            cause = getattr(error, "cause", None) or error
            why = " ".join(str(cause).split())[:500]
            return self._lost(actor, f"A worker of Ray was lost: {why}")
        actor.ref = None
        return self._answered(actor, answer) if actor.task else []

    def _needs(self, resources: Resources) -> dict[str, float]:
        """What a worker takes, by Ray's names."""
        memory_mb = resources.memory_mb + self.config.ray.reserve_mb
        return {"CPU": resources.cores, "memory": memory_mb * _MB, **self.config.ray.resources}

    def _room(self, needs: Mapping[str, float]) -> int:
        """How many workers the nodes have room for; one where there is none (yet)."""
        room = 0
        for node in self._ray.nodes():
            has = node["Resources"] if node["Alive"] else {}
            room += int(min(has.get(name, 0.0) // amount for name, amount in needs.items()))
        others = [f", {amount:g} {name}" for name, amount in self.config.ray.resources.items()]
        memory = f"{needs['memory'] // _MB:g} MiB of memory ('reserve_mb' of 'ray' included)"
        note = f"no node has {needs['CPU']:g} CPU, {memory}{''.join(others)}"
        self._waits.report("task", "Ray", [] if room else [note] * len(self._waiting))
        return max(1, room)

    def _actor_of(self, needs: dict[str, float]) -> Any:
        from benchmark.compute.ray import ray_wrapper

        self._ray.cloudpickle.register_pickle_by_value(ray_wrapper)
        options = self.config.ray
        made = self._ray.remote(ray_wrapper.Worker).options(
            num_cpus=needs["CPU"],
            memory=needs["memory"],
            resources=options.resources,
            max_restarts=0,
            max_concurrency=2,  # It can be closed while it runs a task.
        )
        words = [_SLOT, self.run.store.url, self.run.name, f"{needs['CPU']:g}"]
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
