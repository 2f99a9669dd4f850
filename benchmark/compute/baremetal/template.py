"""The launch template: the user's own, and a version of it with what the machines are to do.

That is a shell script, their user data, which holds boot.py and its job.
"""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.aws.prices import Offer
from benchmark.config.extras import program
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError

_LARGEST = 16 * 1024
_SCRIPT = """#!/bin/sh
# The machine ends at its longest lifetime whatever becomes of the rest.
shutdown -h +{minutes} || true
root="${{AUTOML_ROOT:-/opt/automl-benchmark}}"
mkdir -p "$root"
cat > "$root/boot.py" <<'END_OF_BOOT'
{boot}END_OF_BOOT
cat > "$root/job.json" <<'END_OF_JOB'
{job}
END_OF_JOB
python3 "$root/boot.py" "$root/job.json"
shutdown -h now
"""
_AMAZON_LINUX = (
    "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
)


def user_data(job: dict[str, Any], lifetime_s: float) -> str:
    """As EC2 takes it, in base64.

    Raises:
        BenchmarkError: it is longer than EC2 takes.
    """
    boot = (Path(__file__).parent / "scripts/boot.py").read_text(encoding="utf-8")
    text = _SCRIPT.format(minutes=math.ceil(lifetime_s / 60), boot=boot, job=json.dumps(job))
    if len(text.encode()) > _LARGEST:
        raise BenchmarkError(
            f"The user data of the machines would have {len(text.encode())} bytes, and EC2 takes "
            f"{_LARGEST}; shorten 's3_folder' or the endpoint."
        )
    return base64.b64encode(text.encode()).decode()


def named(template: str) -> dict[str, Any]:
    """How a call names it: by id or by name."""
    key = "LaunchTemplateId" if template.startswith("lt-") else "LaunchTemplateName"
    return {key: template}


def data_of(aws: Aws, template: str) -> dict[str, Any]:
    """What the default version of the template says.

    Raises:
        ConfigError: there is no such template.
    """
    versions = _versions(aws, template, Versions=["$Default"])
    if not versions:
        raise ConfigError(
            f"'ec2_template' is {template}, and there is no such launch template in {aws.region}; "
            f"correct it, set AWS_REGION, or let `{program()} init-compute --create` make one."
        )
    return dict(versions[0]["LaunchTemplateData"])


def check(aws: Aws, template: str) -> dict[str, Any]:
    """Refuse a template whose machines could not start or not reach the store; returns its data.

    Raises:
        ConfigError: with what is wanting, in one sentence.
    """
    data = data_of(aws, template)
    if not data.get("IamInstanceProfile"):
        raise ConfigError(
            f"The launch template {template} has no instance profile, so its machines could read "
            "neither store nor queue; add one (docs/aws.md lists what it must allow)."
        )
    interfaces = data.get("NetworkInterfaces") or []
    if not any(one.get("SubnetId") for one in interfaces):
        asked = [{"Name": "is-default", "Values": ["true"]}]
        if not aws.call("ec2", "describe_vpcs", Filters=asked)["Vpcs"]:
            raise ConfigError(
                f"The launch template {template} names no subnet, and {aws.region} has no default "
                "VPC to take one from; add a network interface with a subnet to it."
            )
    return data


def make_version(  # noqa: PLR0917
    aws: Aws, config: Config, data: dict[str, Any], user_data: str, token: str, offers: list[Offer]
) -> str:
    """A version of the template for one fleet; returns its number."""
    changes: dict[str, Any] = {
        "UserData": user_data,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
    }
    if config.cluster_image or not data.get("ImageId"):
        changes["ImageId"] = config.cluster_image or _AMAZON_LINUX.format(
            architecture=offers[0].architecture
        )
    template = str(config.ec2_template)
    made = aws.call(
        "ec2",
        "create_launch_template_version",
        SourceVersion="$Default",
        VersionDescription=token,
        ClientToken=token,
        LaunchTemplateData=changes,
        **named(template),
    )
    return str(made["LaunchTemplateVersion"]["VersionNumber"])


def remove_version(aws: Aws, template: str, token: str) -> None:
    """Delete the fleet's versions, found by their description."""
    numbers = [
        str(one["VersionNumber"])
        for one in _versions(aws, template)
        if one.get("VersionDescription") == token
    ]
    if numbers:
        aws.call("ec2", "delete_launch_template_versions", Versions=numbers, **named(template))


def _versions(aws: Aws, template: str, **which: Any) -> list[dict[str, Any]]:
    """None where there is no such template (any more)."""
    try:
        page = aws.call("ec2", "describe_launch_template_versions", **which, **named(template))
    except RefusedError as error:
        if "NotFound" not in error.code and "NotExist" not in error.code:
            raise
        return []
    return list(page["LaunchTemplateVersions"])
