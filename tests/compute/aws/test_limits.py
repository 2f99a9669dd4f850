"""The doubles refuse requests that AWS refuses, before moto sees them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ParamValidationError

from tests.support.aws_double import KEYS

TRUST = '{"Version": "2012-10-17"}'
REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("iam", "create_role", {"RoleName": "a" * 65, "AssumeRolePolicyDocument": TRUST}, "65"),
    ("iam", "create_role", {"RoleName": "a b", "AssumeRolePolicyDocument": TRUST}, "'a b'"),
    ("batch", "submit_job", {"jobName": "a.b", "jobQueue": "q", "jobDefinition": "d"}, "'a.b'"),
    (
        "batch",
        "submit_job",
        {"jobName": "a", "jobQueue": "q", "jobDefinition": "d", "arrayProperties": {"size": 1}},
        "between 2 and 10000",
    ),
    (
        "batch",
        "submit_job",
        {
            "jobName": "a",
            "jobQueue": "q",
            "jobDefinition": "d",
            "containerOverrides": {"environment": [{"name": "A", "value": "x" * 31_000}]},
        },
        "bytes",
    ),
    (
        "batch",
        "register_job_definition",
        {"jobDefinitionName": "d", "type": "vm"},
        "not one of container",
    ),
    (
        "batch",
        "register_job_definition",
        {"jobDefinitionName": "d", "type": "container", "tags": {"aws:x": "1"}},
        "'aws:x'",
    ),
    ("sqs", "create_queue", {"QueueName": "run.1"}, "'run.1'"),
    (
        "sqs",
        "send_message_batch",
        {"QueueUrl": "u", "Entries": [{"Id": "1", "MessageBody": "x"}] * 2},
        "ids",
    ),
    (
        "ec2",
        "create_launch_template",
        {"LaunchTemplateName": "t", "LaunchTemplateData": {"ImageId": "ami-1"}},
        "'t'",
    ),
    (
        "ec2",
        "create_launch_template_version",
        {"LaunchTemplateName": "abc", "LaunchTemplateData": {"UserData": "QUFB" * 6_000}},
        "18000 bytes",
    ),
    (
        "ec2",
        "create_security_group",
        {"GroupName": "sg-mine", "Description": "of mine"},
        "'sg-mine'",
    ),
]


@pytest.mark.parametrize(("service", "operation", "arguments", "words"), REFUSED)
def test_what_aws_refuses_is_refused(
    aws: pytest.MonkeyPatch, service: str, operation: str, arguments: dict[str, Any], words: str
) -> None:
    for name, value in KEYS.items():
        aws.setenv(name, value)
    client = boto3.client(service, endpoint_url="http://127.0.0.1:9")
    with pytest.raises(ParamValidationError, match="AWS refuses this") as refused:
        getattr(client, operation)(**arguments)
    assert words in str(refused.value)
