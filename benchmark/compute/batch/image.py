"""Which image a framework's jobs run, and whether the registry has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.images import image_tag, repository_name
from benchmark.config.extras import program
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError

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
