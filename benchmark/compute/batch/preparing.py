"""The job definitions of the configured frameworks, registered before any task is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.compute import methods
from benchmark.compute.aws.prices import resources_of
from benchmark.compute.batch import definition
from benchmark.compute.batch.image import image_of
from benchmark.compute.images import RESERVE_MB, framework_names
from benchmark.compute.submissions import name_part

if TYPE_CHECKING:
    from benchmark.compute.aws.clients import Aws
    from benchmark.config.loading import Config
    from benchmark.records.tasks import Resources

PREFIX = "automl-benchmark"


def ensure(aws: Aws, config: Config, label: str, name: str, resources: Resources) -> str:
    """The ARN of a framework's definition; `label` is its name in the results."""
    template = definition.template_of(aws, config)
    prefix = name_part(config.job_name or PREFIX)
    wanted = definition.definition(
        f"{prefix}-{name_part(label)}",
        image_of(aws, config, name, template),
        resources,
        RESERVE_MB,
        config.aws.shared_memory_mb or max(64, resources.memory_mb // 2),
        config.max_attempts,
        template,
    )
    return definition.ensure(aws, wanted)


def definitions(aws: Aws, config: Config) -> list[str]:
    """The ARNs of all that go to this method."""
    named = framework_names(config)
    chosen = methods.methods_of(config, named).methods
    return [
        ensure(aws, config, label, named[label], resources_of(config))
        for label, method in chosen.items()
        if method == "batch"
    ]
