"""Flows on Argo Workflows and Step Functions: deployed and triggered by Metaflow's configuration.

triggered = trigger("argo_workflows", {"store_url": "s3://bucket/bench/", "run_name": "default"})
triggered.pathspec                     # the run in Metaflow
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from benchmark.compute.metaflow.flows import FLOW, in_namespace, name_user, on_machines
from benchmark.errors import BenchmarkError

Orchestrator = Literal["argo_workflows", "step_functions"]
STUDY_FLOW = FLOW.with_name("study_flow.py")
CLASSES = {FLOW: "AutomlBenchmarkTasks", STUDY_FLOW: "AutomlBenchmarkStudy"}


def deploy(
    where: Orchestrator,
    *,
    flow: Path = FLOW,
    namespace: str | None = None,
    asks: str | None = None,
) -> Any:
    """Create the flow on an orchestrator, a new version where it is there; a DeployedFlow.

    `asks` is what its steps ask for (`asking` of flows.py); else Metaflow's own, 1 CPU and 4 GB.

    Raises:
        BenchmarkError: Metaflow refuses; it says why.
    """
    name_user()
    # What the command line names is in place of the variable, and not beside it.
    others = os.environ.get("METAFLOW_DECOSPECS", "").split()
    deployer = _deployer(where, flow, decospecs=on_machines([*filter(None, [asks]), *others]))
    try:
        return deployer.create(**in_namespace(namespace))
    except Exception as error:
        raise BenchmarkError(
            f"The flow {flow.name} cannot be deployed on {where}: {_said(deployer) or error}"
        ) from error
    finally:
        deployer.cleanup()  # of the logs of its commands


def trigger(
    where: Orchestrator,
    values: Mapping[str, Any],
    *,
    flow: Path = FLOW,
    deploys: bool = True,
    namespace: str | None = None,
    asks: str | None = None,
) -> Any:
    """Start a run of the deployed flow and return it (a TriggeredRun), without waiting.

    It is deployed first if it is not, unless `deploys` is False; only then `namespace` and `asks`
    count, for a deployed flow has them already.

    Raises:
        BenchmarkError: it is not deployed, or cannot be.
    """
    name_user()
    deployed = _deployed(where, flow)
    if deployed is None:
        if not deploys:
            raise BenchmarkError(
                f"The flow {flow.name} is not deployed on {where}; deploy it, or allow that."
            )
        deployed = deploy(where, flow=flow, namespace=namespace, asks=asks)
    try:
        return deployed.trigger(**values)
    except Exception as error:
        said = _said(deployed.deployer) or error
        raise BenchmarkError(f"The flow {flow.name} does not start on {where}: {said}") from error
    finally:
        deployed.deployer.cleanup()


def _deployed(where: Orchestrator, flow: Path) -> Any:
    """The flow as it is deployed under its own name, or None.

    `from_deployment` of Metaflow does as much for Argo alone, and leaves a file behind.
    """
    from metaflow import get_metadata

    name = CLASSES[flow]
    if where == "argo_workflows":
        from metaflow.plugins.argo.argo_workflows import ArgoWorkflows
        from metaflow.plugins.argo.argo_workflows_deployer_objects import ArgoWorkflowsDeployedFlow

        name = name.lower()
        look, kind = ArgoWorkflows.get_existing_deployment, ArgoWorkflowsDeployedFlow
    else:
        from metaflow.plugins.aws.step_functions import step_functions
        from metaflow.plugins.aws.step_functions import step_functions_deployer_objects as objects

        look = step_functions.StepFunctions.get_existing_deployment
        kind = objects.StepFunctionsDeployedFlow
    try:
        there = look(name)
    except Exception as error:
        raise BenchmarkError(f"{where} cannot be asked for the flow {name}: {error}") from error
    if there is None:
        return None
    deployer = _deployer(where, flow)
    deployer.name, deployer.flow_name, deployer.metadata = name, CLASSES[flow], get_metadata()
    return kind(deployer=deployer)


def _deployer(where: Orchestrator, flow: Path, **options: Any) -> Any:
    from metaflow import Deployer

    return getattr(Deployer(str(flow), show_output=False, **options), where)()


def _said(deployer: Any) -> str:
    """The last words of Metaflow's command, for its exception says only that it failed."""
    lines: list[str] = []
    for command in deployer.spm.commands.values():
        for kind in ("stdout", "stderr"):
            path = Path(command.log_files.get(kind, ""))
            if path.is_file():
                lines += path.read_text(errors="replace").splitlines()
    return " ".join(" ".join(line for line in lines if line.strip()).split())[-600:]
