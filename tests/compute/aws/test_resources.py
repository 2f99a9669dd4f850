"""What init-compute --create makes and --destroy removes, against moto's services."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.compute.aws import permissions
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.aws.resources import Site, create, destroy, resources_of
from benchmark.compute.aws.resources.roles import MachineRole
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError
from tests.support.aws_account import Account

KINDS = [
    *("bucket", "repository", "service-linked role", "service-linked role", "role", "role"),
    *("instance profile", "security group"),
    *("launch template", "launch template", "compute environment", "job queue"),
]

TAGGED = {"automl-benchmark": "0123456789abcdef"}


@pytest.mark.slow
def test_all_is_made_once_and_removed_again(site: Site, account: Account) -> None:
    told = list(create(site))
    assert [one.what.rpartition(" ")[0] for one in told] == KINDS
    assert {one.done for one in told} == {"made"}
    assert {one.key for one in told if one.key} == {
        *("s3_bucket_root", "ecr_repo", "ec2_template", "job_queue_id")
    }
    (environment,) = account.client().describe_compute_environments()["computeEnvironments"]
    resources = environment["computeResources"]
    assert (resources["type"], resources["maxvCpus"]) == ("SPOT", 14)
    before = account.calls.copy()
    assert {one.done for one in create(site)} == {"is there"}
    again = account.calls - before
    assert not [name for name in again if name.startswith("create")]
    account_wide = "service-linked role"
    gone = {one.what: one.done for one in destroy(site)}
    ours = {what: done for what, done in gone.items() if not what.startswith(account_wide)}
    assert set(ours.values()) == {"removed"}
    assert len(ours) == len(KINDS) - 2
    assert [one.title for one in resources_of(site) if one.find()] == [
        f"{account_wide} AWSServiceRoleForEC2Spot",
        f"{account_wide} AWSServiceRoleForEC2Fleet",
    ]


@pytest.mark.parametrize("killed_at", [8])
def test_what_was_killed_half_way_completes(site: Site, account: Account, killed_at: int) -> None:
    for number, _ in enumerate(create(site), 1):
        if number == killed_at:
            break
    assert {one.done for one in create(site)} == {"is there", "made"}
    assert all(one.find() for one in resources_of(site))


def test_a_bucket_that_was_made_half_is_completed_and_goes_away(
    site: Site, account: Account
) -> None:
    account.fault = lambda name, number: (
        (403, "AccessDenied") if (name, number) == ("my-results", 4) else None
    )
    with pytest.raises(BenchmarkError, match="s3:PutPublicAccessBlock"):
        list(create(site))
    assert next(create(site)).done == "is there"
    assert account.client("s3").get_public_access_block(Bucket="my-results")
    assert {one.what: one.done for one in destroy(site)} == {"bucket my-results": "removed"}


@pytest.mark.slow
def test_an_environment_is_waited_for_and_an_invalid_one_said(site: Site, account: Account) -> None:
    for told in create(site):
        if told.what.startswith("compute environment"):
            break
    account.statuses = ["CREATING"] * 9
    assert [one.done for one in create(site)][-2:] == ["is there", "made"]
    assert account.statuses == []
    account.statuses = ["INVALID"] * 9
    with pytest.raises(BenchmarkError, match=r"-spot is invalid: No role; fix that, remove it"):
        list(create(site))


def test_an_environment_whose_role_was_unknown_is_updated_until_it_is_valid(
    site: Site, account: Account
) -> None:
    """A new role is unknown to other services for some seconds."""
    account.reason = "CLIENT_ERROR - Not authorized to perform sts:AssumeRole"
    account.statuses = ["CREATING", "INVALID", "INVALID", "UPDATING", "INVALID", "INVALID"]
    told = list(create(site))
    assert {one.done for one in told} == {"made"}
    assert account.calls["updatecomputeenvironment"] >= 1
    assert account.calls["createcomputeenvironment"] == 1


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("addroletoinstanceprofile", "NoSuchEntity"),
        ("attachrolepolicy", "NoSuchEntity"),
        ("putrolepolicy", "NoSuchEntity"),
        ("createcomputeenvironment", "ClientException"),
    ],
)
def test_what_is_not_known_everywhere_yet_is_asked_for_again(
    site: Site, account: Account, operation: str, code: str
) -> None:
    account.fault = lambda name, number: (
        (400, code, "The role cannot be found") if name == operation and number < 3 else None
    )
    assert {one.done for one in create(site)} == {"made"}
    assert account.calls[operation] >= 4


@pytest.mark.slow
def test_machines_are_in_the_default_subnets_or_in_those_that_are_named(
    site: Site, account: Account, make_config: Callable[..., Config]
) -> None:
    ec2 = account.client("ec2")
    asked = [{"Name": "default-for-az", "Values": ["true"]}]
    default = {one["SubnetId"] for one in ec2.describe_subnets(Filters=asked)["Subnets"]}
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    own = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.200.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="mine", Description="x", VpcId=vpc)["GroupId"]
    keys = {"s3_bucket_root": "my-results", "cores": 2}
    named = {"subnets": [own], "security_groups": [group], "disk_gb": 80}
    found = {}
    for name, config in (("a", make_config(**keys)), ("b", make_config(**keys, aws=named))):
        for told in create(Site(Aws(), config.model_copy(update={"job_name": name}), pause_s=0.01)):
            if told.what.startswith("compute environment"):
                break
        environment = f"{name}-spot"
        (one,) = account.client().describe_compute_environments(computeEnvironments=[environment])[
            "computeEnvironments"
        ]
        found[name] = one["computeResources"]
    assert set(found["a"]["subnets"]) == default
    assert found["b"]["subnets"] == [own]
    assert found["b"]["securityGroupIds"] == [group]
    for name, size in (("a", 30), ("b", 80)):
        for purpose in ("machines", "batch"):
            (version,) = ec2.describe_launch_template_versions(
                LaunchTemplateName=f"{name}-{purpose}"
            )["LaunchTemplateVersions"]
            (disk,) = version["LaunchTemplateData"]["BlockDeviceMappings"]
            assert (disk["Ebs"]["VolumeSize"], disk["Ebs"]["VolumeType"]) == (size, "gp3")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aws": {"subnets": ["subnet-00ff"]}}, "no subnet subnet-00ff in eu-central-1"),
        ({"aws": {"security_groups": ["sg-00ff"]}}, "no security group sg-00ff"),
        ({"aws": {"batch_image": "ami-00ff"}}, "no image ami-00ff"),
        ({"cluster_image": "ami-00ff"}, "no image ami-00ff"),
        ({"instance_types": ["c5.enormous"]}, "no instance type c5.enormous"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_created(
    account: Account, make_config: Callable[..., Config], changes: dict[str, Any], words: str
) -> None:
    config = make_config(s3_bucket_root="my-results", **changes)
    before = account.calls.copy()
    with pytest.raises(ConfigError, match=words):
        list(create(Site(Aws(), config, pause_s=0.01)))
    made = [name for name in account.calls - before if name.startswith(("create", "put"))]
    assert made == []


@pytest.mark.slow
def test_destroy_waits_for_machines_and_goes_on_after_a_failure(
    site: Site, account: Account
) -> None:
    list(create(site))
    sqs = account.client("sqs")
    for name in ("automl-benchmark-0123456789ab", "automl-benchmark-0123456789ab-dead", "mine"):
        sqs.create_queue(QueueName=name)
    refusals = iter([(400, "DependencyViolation")] * 3)
    account.fault = lambda name, number: (
        next(refusals, None)
        if name == "deletesecuritygroup"
        else (400, "AnError")
        if name == "deleterepository"
        else None
    )
    done = {one.what: one.done for one in destroy(site)}
    assert done.pop("repository automl-benchmark").startswith("could not be removed: AWS refuses")
    assert done["security group automl-benchmark-machines"] == "removed"
    assert done["task queues automl-benchmark-*"] == "removed"
    assert done["bucket my-results"] == "removed"
    assert account.calls["deletesecuritygroup"] == 4
    assert [url.rpartition("/")[2] for url in sqs.list_queues()["QueueUrls"]] == ["mine"]


def test_machines_of_fleets_are_ended_and_waited_for(site: Site, account: Account) -> None:
    ec2 = account.client("ec2")
    tags = [{"Key": "automl-benchmark", "Value": "automl-benchmark-0123456789ab"}]
    image = ec2.register_image(Name="machine", RootDeviceName="/dev/xvda")["ImageId"]
    for specification in ([{"ResourceType": "instance", "Tags": tags}], []):
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=specification)
    assert {one.what: one.done for one in destroy(site)} == {
        "machines of fleets automl-benchmark-*": "removed"
    }
    states = [
        one["State"]["Name"]
        for group in ec2.describe_instances()["Reservations"]
        for one in group["Instances"]
    ]
    assert sorted(states) == ["running", "terminated"]


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_names_are_those_of_the_partition(
    account: Account, make_config: Callable[..., Config], region: str, partition: str
) -> None:
    role = MachineRole(Site(Aws(region), make_config(s3_bucket_root="my-results")))
    places = {place for one in role.statements() for place in one["Resource"]}
    assert {place.split(":")[1] for place in places} == {partition}
    assert role._managed("X").startswith(f"arn:{partition}:iam::aws:policy/")
    assert role.service.endswith(".cn") == (partition == "aws-cn")


class Identity:
    """An account in which a session is of a role with a path, which IAM may show."""

    def __init__(self, role: str | None) -> None:
        self.role = role

    def call(self, service: str, operation: str, **asked: Any) -> Any:
        if self.role is None:
            raise RefusedError("denied", "AccessDenied")
        return {"Role": {"Arn": self.role}}


@pytest.mark.parametrize(
    ("session", "shown", "principal"),
    [
        ("arn:aws:iam::1:user/me", None, "arn:aws:iam::1:user/me"),
        ("arn:aws:sts::1:assumed-role/dev/me", "arn:aws:iam::1:role/a/dev", "role/a/dev"),
        ("arn:aws-cn:sts::1:assumed-role/dev/me", None, "arn:aws-cn:iam::1:role/dev"),
        (
            "arn:aws:sts::1:assumed-role/AWSReservedSSO_Admin_00ff/me@x.org",
            None,
            "role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_00ff",
        ),
    ],
)
def test_the_role_of_a_session_has_its_path(
    session: str, shown: str | None, principal: str
) -> None:
    found = permissions._principal(Identity(shown), session)  # type: ignore[arg-type]
    assert found.endswith(principal)


@pytest.mark.slow
def test_changed_settings_are_followed_or_said_and_leave_nothing_behind(
    site: Site, account: Account, make_config: Callable[..., Config]
) -> None:
    list(create(site))
    batch = account.client()
    for name, tags in (("automl-benchmark-h2o", TAGGED), ("automl-benchmark-x", {})):
        properties = {"image": "x", "vcpus": 1, "memory": 128}
        batch.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=properties, tags=tags
        )
    keys = {"s3_bucket_root": "my-results", "s3_folder": "a/", "cores": 2}
    larger = make_config(**keys, cluster_size=9, instance_types=["c5.large"])
    told = {one.what: one.done for one in create(Site(Aws(), larger, pause_s=0.01))}
    assert told["compute environment automl-benchmark-spot"] == (
        "now has 18 vCPUs at most and keeps the instance types optimal; --destroy and --create "
        "make it with c5.large"
    )
    dear = Site(Aws(), make_config(**keys, cluster_size=9, on_demand=True), pause_s=0.01)
    told = {one.what: one.done for one in create(dear)}
    assert told["compute environment automl-benchmark-on-demand"] == "made"
    assert told["job queue automl-benchmark"] == "now over automl-benchmark-on-demand"
    gone = {one.what: one.done for one in destroy(dear)}
    assert gone["job definitions automl-benchmark-*"] == "removed"
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    left = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    assert [one["jobDefinitionName"] for one in left] == ["automl-benchmark-x"]


def test_the_machines_may_reach_the_store_and_nothing_else(site: Site, account: Account) -> None:
    list(create(site))
    told = account.client("iam").get_role_policy(
        RoleName="automl-benchmark-machines", PolicyName="store-and-queue"
    )["PolicyDocument"]
    places = {place for one in told["Statement"] for place in one["Resource"]}
    assert "arn:aws:s3:::my-results/a/*" in places
    assert "*" not in places
    data = account.client("ec2").describe_launch_template_versions(
        LaunchTemplateName="automl-benchmark-machines"
    )["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["IamInstanceProfile"] == {"Name": "automl-benchmark-machines"}


def test_what_is_somebody_elses_or_full_stays(site: Site, account: Account) -> None:
    account.client("iam").create_role(
        RoleName="automl-benchmark-machines", AssumeRolePolicyDocument="{}"
    )
    list(create(site))
    account.client("s3").put_object(Bucket="my-results", Key="x", Body=b"1")
    done = {one.what: one.done for one in destroy(site)}
    assert done["role automl-benchmark-machines"] == "left, for it is not init-compute's own"
    assert done["bucket my-results"].startswith("kept: it is not empty")
    assert account.client("s3").list_buckets()["Buckets"][0]["Name"] == "my-results"


def test_a_bucket_of_somebody_else_is_a_sentence(site: Site, account: Account) -> None:
    account.fault = lambda name, _: (403, "Forbidden") if name == "my-results" else None
    with pytest.raises(ConfigError, match="bucket my-results is someone else's"):
        list(create(site))


def test_missing_permissions_are_named_before_anything_is_done(account: Account) -> None:
    config = Config(s3_bucket_root="my-results")
    assert permissions.check(Aws(), config, permissions.STORE + permissions.CREATE) is None
    account.denied = frozenset(("iam:CreateRole", "batch:CreateJobQueue"))
    with pytest.raises(ConfigError, match=r"may not do batch:CreateJobQueue, iam:CreateRole;"):
        permissions.check(Aws(), config, permissions.CREATE)
    account.fault = lambda name, _: (403, "AccessDenied") if name.startswith("simulate") else None
    note = permissions.check(Aws(), config, permissions.CREATE)
    assert note
    assert "iam:SimulatePrincipalPolicy" in note


def test_the_policy_of_the_documents_is_enough_and_for_its_own_bucket_only(
    account: Account,
) -> None:
    page = (Path(__file__).parents[3] / "docs/aws.md").read_text()
    text = page.partition("## Minimum IAM policy")[2].partition("```json")[2].partition("```")[0]
    account.policy = tuple(json.loads(text)["Statement"])
    wanted = permissions.STORE + permissions.BATCH + permissions.IMAGES + permissions.FLEET
    config = Config(s3_bucket_root="my-results", s3_folder="a/")
    assert permissions.check(Aws(), config, (*wanted, "iam:PassRole")) is None
    other = Config(s3_bucket_root="another")
    with pytest.raises(ConfigError, match="s3:DeleteObject, s3:GetObject, s3:ListBucket, s3:Put"):
        permissions.check(Aws(), other, wanted)
