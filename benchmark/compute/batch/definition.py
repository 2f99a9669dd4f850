"""The job definition of a framework: its image in ECR, what a job may take, when it is retried.

A definition that `job_definition_id` names is the template: roles, mounts, log settings and
variables come from it. What has not changed is not registered again.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.compute import methods
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.aws.prices import resources_of
from benchmark.compute.batch.jobs import HOST_LOSS
from benchmark.compute.images import RESERVE_MB, image_tag, repository_name
from benchmark.compute.submissions import name_part
from benchmark.config.extras import program
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from benchmark.records.tasks import Resources

PREFIX = TAG = "automl-benchmark"
# The harness ends a task at its hard limit; this is for one that cannot any more.
GRACE_S = 300
_LEAST_S, MOST_ATTEMPTS = 60, 10
_KEPT = ("parameters", "platformCapabilities", "schedulingPriority", "propagateTags")


def template_of(aws: Aws, config: Config) -> dict[str, Any]:
    """The definition that `job_definition_id` names; empty where it names none.

    Raises:
        ConfigError: there is no such active definition, or it holds no single container.
    """
    named = config.job_definition_id
    if not named:
        return {}
    found = _by_arn(aws, named) if named.startswith("arn:") or ":" in named else _latest(aws, named)
    if not found:
        raise ConfigError(
            f"'job_definition_id' names {named}, and there is no active job definition of this "
            f"name in {aws.region}; register it there, set AWS_REGION, or unset the key."
        )
    if "containerProperties" not in found:
        raise ConfigError(
            f"'job_definition_id' names {named}, which has no containerProperties; name a "
            "definition of the type container (not EKS or multi-node), or unset the key."
        )
    return found


def definition(  # noqa: PLR0917
    name: str,
    image: str | None,
    resources: Resources,
    reserve_mb: int,
    shared_mb: int,
    attempts: int,
    template: Mapping[str, Any],
) -> dict[str, Any]:
    """What `register_job_definition` is given. Memory in MB is the task's and the harness's, and
    `shared_mb` of it may be in /dev/shm, where a container has 64 otherwise."""
    container = dict(template.get("containerProperties", {}))
    for replaced in ("vcpus", "memory"):
        container.pop(replaced, None)
    others = [
        need
        for need in container.get("resourceRequirements", [])
        if need["type"] not in ("VCPU", "MEMORY")
    ]
    container["resourceRequirements"] = [
        {"type": "VCPU", "value": str(resources.cores)},
        {"type": "MEMORY", "value": str(resources.memory_mb + reserve_mb)},
        *others,
    ]
    linux = dict(container.get("linuxParameters", {}))
    fargate = "FARGATE" in template.get("platformCapabilities", ())
    if not fargate and not linux.get("sharedMemorySize"):
        container["linuxParameters"] = linux | {"sharedMemorySize": shared_mb}
    if image:
        container["image"] = image
    made: dict[str, Any] = {
        "jobDefinitionName": name,
        "type": "container",
        "containerProperties": container,
        # The last condition is needed: what none matches, AWS tries again.
        "retryStrategy": {
            "attempts": min(attempts, MOST_ATTEMPTS),
            "evaluateOnExit": [
                {"action": "RETRY", "onStatusReason": f"{HOST_LOSS}*"},
                {"action": "EXIT", "onReason": "*"},
            ],
        },
        "timeout": {
            "attemptDurationSeconds": max(_LEAST_S, math.ceil(resources.hard_limit_s) + GRACE_S)
        },
    }
    made |= {key: template[key] for key in _KEPT if template.get(key)}
    text = json.dumps(made, sort_keys=True).encode()
    tags = {k: v for k, v in template.get("tags", {}).items() if k != TAG}
    return made | {"tags": tags | {TAG: hashlib.sha256(text).hexdigest()[:16]}}


def definitions(aws: Aws, config: Config) -> list[str]:
    """The ARNs of all that go to this method."""
    return [
        ensure(aws, config, label, name, resources_of(config))
        for label, name in methods.frameworks_of(config, "batch").items()
    ]


def ensure(aws: Aws, config: Config, label: str, name: str, resources: Resources) -> str:
    """The ARN of a framework's definition; `label` is its name in the results."""
    template = template_of(aws, config)
    wanted = definition(
        f"{name_part(config.job_name or PREFIX)}-{name_part(label)}",
        image_of(aws, config, name, template),
        resources,
        RESERVE_MB,
        config.aws.shared_memory_mb or max(64, resources.memory_mb // 2),
        config.max_attempts,
        template,
    )
    return registered(aws, wanted)


def registered(aws: Aws, wanted: Mapping[str, Any]) -> str:
    """The ARN of the definition, registered unless its latest revision is the same."""
    latest = _latest(aws, wanted["jobDefinitionName"])
    if latest and latest.get("tags", {}).get(TAG) == wanted["tags"][TAG]:
        return str(latest["jobDefinitionArn"])
    made = aws.call("batch", "register_job_definition", **wanted)
    return str(made["jobDefinitionArn"])


def _latest(aws: Aws, name: str) -> dict[str, Any]:
    """The active revision with the highest number; empty where there is none."""
    asked = {"jobDefinitionName": name, "status": "ACTIVE"}
    found = aws.items("batch", "describe_job_definitions", "jobDefinitions", **asked)
    return max(found, key=lambda one: int(one["revision"]), default={})


def _by_arn(aws: Aws, named: str) -> dict[str, Any]:
    page = aws.call("batch", "describe_job_definitions", jobDefinitions=[named])
    active = [one for one in page["jobDefinitions"] if one.get("status", "ACTIVE") == "ACTIVE"]
    return dict(active[0]) if active else {}


_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>.+)"
)


def repository(aws: Aws, config: Config) -> str | None:
    """The repository of 'ecr_repo' with its registry; None where the key is unset."""
    named = config.ecr_repo
    if not named:
        return None
    if "." in named.split("/")[0] or ":" in named.split("/")[0]:
        return repository_name(named)
    found = aws.call("ecr", "describe_repositories", repositoryNames=[named])
    return str(found["repositories"][0]["repositoryUri"])


def check_images(aws: Aws, config: Config, names: Iterable[str]) -> None:
    """Refuse frameworks whose images the registry does not have; only ECR can be asked.

    Raises:
        ConfigError: an image is absent, or the repository.
    """
    try:
        place = repository(aws, config)
        parts = _ECR.fullmatch(place or "")
        if not parts:
            return
        for name in names:
            tag = image_tag(config, name)
            _look(aws, parts, tag, name)
    except RefusedError as error:
        if error.code == "RepositoryNotFoundException":
            raise ConfigError(
                f"'ecr_repo' is {config.ecr_repo}, and there is no such repository in "
                f"{aws.region}; make it, or correct the key."
            ) from None
        raise


def _look(aws: Aws, parts: re.Match[str], tag: str, name: str) -> None:
    asked: dict[str, Any] = {
        "registryId": parts["account"],
        "repositoryName": parts["name"],
        "imageIds": [{"imageTag": tag}],
    }
    if parts["region"] != aws.region:
        return  # A pull may cross regions; this client may not ask there.
    try:
        aws.call("ecr", "describe_images", **asked)
    except RefusedError as error:
        if error.code != "ImageNotFoundException":
            raise
        raise ConfigError(
            f"The image of {name} is not in {parts.string} (tag {tag}); run `{program()} "
            f"init-compute --framework {name} --push {parts.string}`."
        ) from None


def image_of(aws: Aws, config: Config, name: str, template: Mapping[str, Any]) -> str | None:
    """The image of a framework's definition; None where the template's own is meant.

    Raises:
        BenchmarkError: nothing names an image.
    """
    place = repository(aws, config)
    if place:
        return f"{place}:{image_tag(config, name)}"
    if template:
        return None
    raise BenchmarkError(
        "Neither 'ecr_repo' nor 'job_definition_id' is set, so AWS Batch has no image to run; set "
        "one of them."
    )
