"""Deployments of flows, played by programs of the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.services import free_ports


@pytest.fixture
def account(aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, str]]:
    """An account of a double's with what Metaflow needs to deploy; the variables that name it."""
    import boto3
    from moto.moto_api._internal.models import moto_api_backend
    from moto.server import ThreadedMotoServer

    aws.chdir(tmp_path)
    moto_api_backend.reset()
    (port,) = free_ports(1)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        variables = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "METAFLOW_HOME": str(tmp_path / "metaflow"),
            "METAFLOW_USER": "ann",
            "METAFLOW_DEFAULT_DATASTORE": "s3",
            "METAFLOW_S3_ENDPOINT_URL": url,
            "METAFLOW_DATASTORE_SYSROOT_S3": "s3://bench/metaflow",
            "METAFLOW_BATCH_JOB_QUEUE": "queue",
            "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": "arn:aws:iam::123456789012:role/steps",
            "METAFLOW_ECS_FARGATE_EXECUTION_ROLE": "arn:aws:iam::123456789012:role/flows",
            "METAFLOW_SFN_IAM_ROLE": "arn:aws:iam::123456789012:role/flows",
            "METAFLOW_SFN_DYNAMO_DB_TABLE": "table",
            "METAFLOW_EVENTS_SFN_ACCESS_IAM_ROLE": "arn:aws:iam::123456789012:role/flows",
            "PYTHONPATH": str(ROOT),
        }
        for name, value in variables.items():
            aws.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="bench")
        boto3.client("iam").create_role(RoleName="flows", AssumeRolePolicyDocument="{}")
        batch = boto3.client("batch")
        network = boto3.client("ec2")
        machines = batch.create_compute_environment(
            computeEnvironmentName="machines",
            type="MANAGED",
            state="ENABLED",
            serviceRole=variables["METAFLOW_SFN_IAM_ROLE"],
            computeResources={
                "type": "FARGATE",
                "maxvCpus": 4,
                "subnets": [network.describe_subnets()["Subnets"][0]["SubnetId"]],
                "securityGroupIds": [
                    network.describe_security_groups()["SecurityGroups"][0]["GroupId"]
                ],
            },
        )["computeEnvironmentArn"]
        order = [{"order": 1, "computeEnvironment": machines}]
        batch.create_job_queue(
            jobQueueName="queue", state="ENABLED", priority=1, computeEnvironmentOrder=order
        )
        yield variables
    finally:
        server.stop()
