"""What is wrong with an account or a configuration: one sentence and exit code 2, and no bill."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.aws_double import REGION
from tests.support.batch_double import BatchDouble
from tests.support.fleet_double import FleetDouble, told_to_machines

pytestmark = pytest.mark.integration  # a program's start for each

ECR = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/bench"
Program = Callable[..., subprocess.CompletedProcess[str]]


class CloudDouble(BatchDouble, FleetDouble):
    """AWS Batch and EC2 in one account."""


@pytest.fixture
def cloud(tmp_path: Path, s3: str, aws: pytest.MonkeyPatch) -> Iterator[CloudDouble]:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    folder = tmp_path / "cloud"
    folder.mkdir()
    aws.setenv("AWS_REGION", REGION)
    with CloudDouble(folder) as double:
        for service in ("BATCH", "ECR", "EC2", "PRICING", "CLOUDWATCH_LOGS", "SQS", "STS", "IAM"):
            aws.setenv(f"AWS_ENDPOINT_URL_{service}", double.endpoint)
        double.variables = told_to_machines()
        double.make_queue()
        double.make_queue("closed", state="DISABLED")
        yield double


def without_subnets(cloud: CloudDouble) -> None:
    ec2 = cloud.client("ec2")
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        ec2.delete_vpc(VpcId=vpc["VpcId"])


def without_image(cloud: CloudDouble) -> None:
    cloud.client("ecr").create_repository(repositoryName="bench")


def denied(cloud: CloudDouble) -> None:
    cloud.fault = lambda name, _: (
        (403, "AccessDeniedException") if name == "describejobqueues" else None
    )


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
READER = {"AWS_ACCESS_KEY_ID": "AKIAREADER"}  # of the bucket `bench`
FLEET = {"compute": {"*": "baremetal"}, "ec2_template": "machines", "instance_types": ["c5.large"]}
CASES: dict[str, tuple[dict[str, Any], dict[str, str], Callable[..., None] | None, str]] = {
    "no credentials": ({}, NO_KEYS, None, "There are no AWS credentials"),
    "wrong region": ({}, {"AWS_REGION": "us-west-2"}, None, "no such job queue in us-west-2"),
    "foreign bucket": ({"s3_bucket_root": "theirs"}, READER, None, "s3://theirs/"),
    "read only": ({}, READER, None, "cannot write"),
    "queue disabled": ({"job_queue_id": "closed"}, {}, None, "queue closed is disabled"),
    "no definition": ({"job_definition_id": "absent"}, {}, None, "no active job definition"),
    "denied": ({}, {}, denied, "AWS denies batch:DescribeJobQueues"),
    "no image": ({"ecr_repo": ECR}, {}, without_image, f"not in {ECR}"),
    "no subnet": (FLEET, {}, without_subnets, "names no subnet"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_a_sentence_and_nothing_is_started(
    case: str, s3: str, cloud: CloudDouble, program: Program, tmp_path: Path
) -> None:
    changes, variables, prepare, words = CASES[case]
    bucket, folder = s3.removeprefix("s3://").split("/", 1)
    values = {
        "s3_bucket_root": bucket,
        "s3_folder": folder,
        "job_queue_id": "bench",
        "ecr_repo": "registry.example/bench",
        "compute": {"*": "batch"},
        "studies": ["starter"],
        "frameworks": ["constant"],
        "seeds": [75],
        "cores": 1,
        "memory": 1500,
        "runtime": 5,
        "hard_limit": 60,
    } | changes
    (tmp_path / "work/batch.config").write_text(json.dumps(values))
    cloud.make_template()
    if prepare:
        prepare(cloud)
    done = program("execute-compute", "--dataset", "cpu", **variables)
    assert done.returncode == 2, done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    print(sentence)
    assert words in sentence
    assert done.stderr.rstrip().endswith(sentence)
    assert not cloud.jobs
    assert not cloud.instances
    assert cloud.calls["registerjobdefinition"] == 0
    assert "QueueUrls" not in cloud.client("sqs").list_queues()
