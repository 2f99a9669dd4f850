"""A study that is handed to Argo Workflows or Step Functions: workers of a flow, and no driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmark.config.loading import Config
from benchmark.hpo.spec.study_file import StudyDefinition, StudyError


@dataclass(frozen=True)
class TriggeredFlow:
    """A study whose workers run on an orchestrator; `run` is Metaflow's TriggeredRun."""

    name: str
    where: str
    run: Any

    @property
    def facts(self) -> dict[str, Any]:
        return {"study": self.name, "orchestrator": self.where, "run": self.run.pathspec}

    @property
    def sentence(self) -> str:
        return f"Study '{self.name}' runs on {self.where} as {self.run.pathspec}"


def is_deployed(config: Config) -> bool:
    """Whether a study that is triggered goes to an orchestrator."""
    on_metaflow = (config.compute or {}).get("*") == "metaflow"
    return on_metaflow and config.metaflow.orchestrator is not None


def trigger_flow(definition: StudyDefinition, config: Config) -> TriggeredFlow:
    """Start the study's workers where the configuration's `metaflow` says.

    Raises:
        StudyError: machines elsewhere could not reach the study.
        BenchmarkError: the flow is not deployed and must not be, or Metaflow refuses.
    """
    from benchmark.compute.metaflow.deployments import STUDY_FLOW, trigger
    from benchmark.compute.metaflow.flows import asking

    options = config.metaflow
    where = options.orchestrator or "argo_workflows"
    if not config.store_url.startswith("s3://"):
        raise StudyError(
            f"The study '{definition.name}' would run on {where}, whose machines do not see "
            f"{config.store_url}; name a bucket in 's3_bucket_root'."
        )
    if not definition.storage:
        raise StudyError(
            f"The study '{definition.name}' keeps its journal on this machine and would run on "
            f"{where}; name a 'storage' that its workers reach, such as postgresql://…"
        )
    values = {
        "store_url": config.store_url,
        "study": definition.name,
        "workers": definition.max_parallelism or definition.parallel,
    }
    run = trigger(
        where,
        values,
        flow=STUDY_FLOW,
        deploys=options.deploy,
        namespace=options.namespace,
        asks=asking(definition.cores, definition.memory_mb),
    )
    return TriggeredFlow(definition.name, where, run)


def in_namespace(config: Config, namespace: str | None) -> Config:
    """The configuration with the namespace that a command or a call has named."""
    if namespace is None:
        return config
    return config.model_copy(
        update={"metaflow": config.metaflow.model_copy(update={"namespace": namespace})}
    )
