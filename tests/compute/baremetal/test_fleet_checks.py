"""What is checked and named before a fleet is made."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from benchmark.compute.aws.clients import Aws
from benchmark.compute.baremetal import checks
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.baremetal.messages import TaskQueue, remove
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from tests.support.fleet_double import FleetDouble


def test_a_queue_is_used_again_with_other_attributes_and_removed_by_its_name(
    fleet: FleetDouble,
) -> None:
    aws = Aws()
    first = TaskQueue.make(aws, "automl-benchmark-a", 6, 3)
    assert TaskQueue.make(aws, "automl-benchmark-a", 7, 4) == first
    asked = {"QueueUrl": first.url, "AttributeNames": ["All"]}
    now = fleet.client("sqs").get_queue_attributes(**asked)["Attributes"]
    assert now["VisibilityTimeout"] == "7"
    assert json.loads(now["RedrivePolicy"])["maxReceiveCount"] == 4
    remove(aws, "automl-benchmark-a", [])
    assert "QueueUrls" not in fleet.client("sqs").list_queues()
    remove(aws, "automl-benchmark-a", [first.url])


def test_system_packages_are_named_for_the_system_or_refused(
    config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    java = config(frameworks=["h2o", "constant"])
    assert checks.packages(java, amazon_linux=True) == {
        "apt-get": ["openjdk-17-jre-headless"],
        "dnf": ["java-17-amazon-corretto-headless"],
    }
    elsewhere = config(frameworks=["h2o"], compute={"h2o": "local"})
    assert checks.packages(elsewhere, amazon_linux=True) == {"apt-get": [], "dnf": []}
    monkeypatch.setattr(checks, "_AMAZON_LINUX", {})
    assert checks.packages(java, amazon_linux=False)["dnf"] == ["openjdk-17-jre-headless"]
    with pytest.raises(ConfigError, match=r"h2o needs the Debian package openjdk.*cluster_image"):
        checks.packages(java, amazon_linux=True)


def test_what_cannot_work_is_one_sentence_before_anything_is_made(
    fleet: FleetDouble, config: Callable[..., Config], s3: str
) -> None:
    bare = fleet.make_template("bare", IamInstanceProfile={})
    good = {"s3_bucket_root": "bench"}
    BaremetalDispatcher.check(config(**good))
    for changes, words in (
        ({"ec2_template": None}, "'ec2_template' is unset"),
        ({"s3_bucket_root": None}, r"would go to \./runs/"),
        ({"ec2_template": "absent"}, "no such launch template in eu-central-1"),
        ({"ec2_template": "lt-0123456789abcdef0"}, "no such launch template"),
        ({"ec2_template": bare}, "no instance profile"),
        ({"instance_types": ["c5.nothing"]}, "no instance type c5.nothing in eu-central-1"),
        ({"cores": 64}, "A task takes 64 cores"),
        ({"instance_types": ["c5.large", "c6g.large"]}, "architectures arm64 and x86_64"),
    ):
        with pytest.raises(BenchmarkError, match=words):
            BaremetalDispatcher.check(config(**(good | changes)))
    ec2 = fleet.client("ec2")
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        for subnet in ec2.describe_subnets()["Subnets"]:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        ec2.delete_vpc(VpcId=vpc["VpcId"])
    with pytest.raises(BenchmarkError, match="names no subnet"):
        BaremetalDispatcher.check(config(**good))
    fleet.fault = lambda name, _: (403, "UnauthorizedOperation")
    with pytest.raises(BenchmarkError, match="AWS denies ec2:DescribeLaunchTemplateVersions"):
        BaremetalDispatcher.check(config(**good))
    assert not fleet.instances
