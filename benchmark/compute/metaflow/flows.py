"""A run of the flow on this machine, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.compute.images import RESERVE_MB
from benchmark.compute.metaflow.lifeline import FOLDER_VARIABLE
from benchmark.execution.sandbox.scratch import Scratch, sweep

FLOW = Path(__file__).parent / "scripts" / "tasks_flow.py"
STOP_S = 15.0
CARD_S = 120.0
_TICK_S = 0.2
_RETRY = "retry:times=2,minutes_between_retries=0"
_NAMES = ("SUDO_USER", "USERNAME", "USER")  # of which Metaflow takes the first


class Flow:
    """`python tasks_flow.py run` by Metaflow's Runner; `said` is why it failed, once it has."""

    def __init__(self, options: Mapping[str, Any], variables: Mapping[str, str]) -> None:
        self.said = ""
        self._stop = threading.Event()
        arguments = (dict(options), dict(variables))
        self._thread = threading.Thread(target=self._run, args=arguments, name="metaflow")
        self._thread.daemon = True
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._stop.set()

    def join(self) -> None:
        """Wait for its end: one that was not stopped has its card to write still."""
        self._thread.join(2 * STOP_S if self._stop.is_set() else CARD_S)

    def _run(self, options: dict[str, Any], variables: dict[str, str]) -> None:
        try:
            asyncio.run(self._drive(options, variables))
        except Exception as error:
            self.said = f"{type(error).__name__}: {error}"

    async def _drive(self, options: dict[str, Any], variables: dict[str, str]) -> None:
        name_user()
        from metaflow import Runner

        sweep()  # what a killed driver's flow left
        with Scratch() as scratch:
            variables = variables | {FOLDER_VARIABLE: str(scratch.folder)}
            with Runner(str(FLOW), show_output=False, env=variables) as runner:
                executing = await runner.async_run(**options, max_num_splits=100_000)
                _keep_logs(executing.command_obj, scratch.folder)
                await self._follow(executing)

    async def _follow(self, executing: Any) -> None:
        """Wait for the end of a flow; stop it when asked to."""
        process = executing.command_obj.process
        while process.returncode is None:
            if self._stop.is_set():
                await executing.command_obj.kill(termination_timeout=STOP_S)
                return
            await asyncio.sleep(_TICK_S)
        if process.returncode != 0:
            lines = [line for line in executing.stderr.splitlines() if line.strip()]
            self.said = " ".join(lines[-3:])[-600:] or f"exit code {process.returncode}"


def _keep_logs(command: Any, folder: Path) -> None:
    """Move a flow's logs to where they are removed even if this process is killed."""
    command.temp_dir = shutil.move(command.temp_dir, folder / "logs")
    command.log_files = {name: f"{command.temp_dir}/{name}.log" for name in command.log_files}


def asking(cores: int, memory_mb: int) -> str:
    """The decorator by which steps ask for a task's cores and memory, with the harness's own.

    On Kubernetes and AWS Batch the larger counts where METAFLOW_DECOSPECS asks too.
    """
    return f"resources:cpu={cores},memory={memory_mb + RESERVE_MB}"


def on_machines(decorators: Iterable[str]) -> list[str]:
    """The decorators of steps that run elsewhere: such a step is tried again when its machine is
    lost, unless they say how often."""
    given = list(decorators)
    return given if any(one.startswith("retry") for one in given) else [*given, _RETRY]


def in_namespace(namespace: str | None) -> dict[str, Any]:
    """The options of `run` and `create` by which runs are found in a namespace.

    Metaflow finds in a namespace what is tagged with its name.
    """
    return {"user_namespace": namespace, "tags": [namespace]} if namespace else {}


def name_user() -> None:
    """Metaflow refuses to run for root, whom a container has, and where no one is named."""
    names = (os.environ.get(name) for name in ("METAFLOW_USER", *_NAMES))
    if not any(name and name != "root" for name in names):
        os.environ["METAFLOW_USER"] = "automl-benchmark"
    settings = sys.modules.get("metaflow.metaflow_config")
    if settings is not None and settings.USER in (None, "", "root"):  # read when it is loaded
        settings.USER = os.environ.get("METAFLOW_USER")  # type: ignore[attr-defined]
