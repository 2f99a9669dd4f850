"""A run of the flow, in a thread of its own, and its deployment on Argo or Step Functions."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Mapping

FLOW = Path(__file__).parent / "scripts" / "tasks_flow.py"
STOP_S = 15.0
CARD_S = 120.0
_TICK_S = 0.2
Orchestrator = Literal["argo_workflows", "step_functions"]


class Flow:
    """`python tasks_flow.py run` by Metaflow's Runner; `said` is why it failed, once it has."""

    def __init__(
        self, values: Mapping[str, Any], workers: int, variables: Mapping[str, str]
    ) -> None:
        self.said = ""
        self._stop = threading.Event()
        arguments = (dict(values), workers, dict(variables))
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

    def _run(self, values: dict[str, Any], workers: int, variables: dict[str, str]) -> None:
        try:
            asyncio.run(self._drive(values, workers, variables))
        except Exception as error:
            self.said = f"{type(error).__name__}: {error}"

    async def _drive(self, values: dict[str, Any], workers: int, variables: dict[str, str]) -> None:
        _name_user()
        from metaflow import Runner

        with Runner(str(FLOW), show_output=False, env=variables) as runner:
            executing = await runner.async_run(
                **values, max_workers=workers, max_num_splits=100_000
            )
            process = executing.command_obj.process
            while process.returncode is None:
                if self._stop.is_set():
                    await executing.command_obj.kill(termination_timeout=STOP_S)
                    return
                await asyncio.sleep(_TICK_S)
            if process.returncode != 0:
                lines = [line for line in executing.stderr.splitlines() if line.strip()]
                self.said = " ".join(lines[-3:])[-600:] or f"exit code {process.returncode}"


def deploy(where: Orchestrator, variables: Mapping[str, str] | None = None, **options: Any) -> Any:
    """Create the flow on an orchestrator, by Metaflow's own configuration; a DeployedFlow.

    Raises:
        BenchmarkError: Metaflow refuses; it says why.
    """
    _name_user()
    from metaflow import Deployer

    deployer = Deployer(str(FLOW), show_output=False, env=dict(variables or {}))
    try:
        return getattr(deployer, where)().create(**options)
    except Exception as error:
        raise BenchmarkError(f"The flow cannot be deployed on {where}: {error}") from error


def trigger(
    where: Orchestrator,
    values: Mapping[str, Any],
    *,
    deploys: bool = True,
    namespace: str | None = None,
) -> Any:
    """Start a run of the deployed flow and return it (a TriggeredRun), without waiting.

    It is deployed first if it is not, unless `deploys` is False. `namespace` is Metaflow's, such as
    "user:ann".

    Raises:
        BenchmarkError: it is not deployed, or cannot be.
    """
    _name_user()
    import metaflow
    from metaflow.plugins.argo.argo_workflows_deployer_objects import ArgoWorkflowsDeployedFlow

    if namespace is not None:
        metaflow.namespace(namespace)
    found: Any = None
    if where == "argo_workflows":
        try:
            found = ArgoWorkflowsDeployedFlow.from_deployment("automlbenchmarktasks")
        except Exception as error:
            if not deploys:
                raise BenchmarkError(
                    f"The flow is not deployed on {where} ({error}); deploy it, or allow that."
                ) from error
    elif not deploys:
        raise BenchmarkError(f"Metaflow cannot look for flows on {where}; allow to deploy it.")
    deployed = found if found is not None else deploy(where)
    return deployed.trigger(**values)


def _name_user() -> None:
    """Metaflow refuses to run for root, whom a container has; it looks at this when loaded."""
    names = (os.environ.get(name) for name in ("METAFLOW_USER", "USERNAME", "USER"))
    if not any(name and name != "root" for name in names):
        os.environ["METAFLOW_USER"] = "automl-benchmark"
