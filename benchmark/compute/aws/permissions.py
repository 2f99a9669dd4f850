"""Whether these credentials may do what is to be done, asked before anything is."""

from __future__ import annotations

import re
from collections.abc import Iterable

from benchmark.compute.aws.clients import Aws, RefusedError, batches
from benchmark.compute.aws.resources.site import PREFIX
from benchmark.compute.submissions import name_part
from benchmark.config.loading import Config
from benchmark.errors import ConfigError

STORE = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
BATCH = (
    *("batch:SubmitJob", "batch:DescribeJobs", "batch:ListJobs", "batch:TerminateJob"),
    *("batch:DescribeJobQueues", "batch:DescribeComputeEnvironments"),
    *("batch:DescribeJobDefinitions", "batch:RegisterJobDefinition", "batch:TagResource"),
    *("ec2:DescribeInstanceTypes", "ec2:DescribeSpotPriceHistory", "logs:GetLogEvents"),
)
IMAGES = (
    *("ecr:GetAuthorizationToken", "ecr:DescribeRepositories", "ecr:DescribeImages"),
    *("ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart"),
    *("ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage"),
)
FLEET = (
    *("ec2:CreateFleet", "ec2:RunInstances", "ec2:CreateTags", "ec2:DescribeInstances"),
    *("ec2:TerminateInstances", "ec2:DescribeLaunchTemplateVersions", "ec2:DescribeVpcs"),
    *("ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions"),
    *("ec2:DescribeInstanceTypes", "ec2:DescribeSpotPriceHistory"),
    *("sqs:CreateQueue", "sqs:TagQueue", "sqs:GetQueueAttributes", "sqs:DeleteQueue"),
    *("sqs:GetQueueUrl", "sqs:SetQueueAttributes", "sqs:SendMessage", "sqs:ReceiveMessage"),
    *("sqs:DeleteMessage", "ssm:GetParameters"),
)
CREATE = (
    *("s3:CreateBucket", "s3:TagResource", "s3:PutBucketPublicAccessBlock"),
    *("s3:GetBucketTagging", "s3:DeleteBucket"),
    *("ecr:CreateRepository", "ecr:TagResource", "ecr:ListTagsForResource"),
    *("ecr:DeleteRepository", "iam:CreateRole", "iam:GetRole", "iam:TagRole", "iam:ListRoleTags"),
    "iam:CreateServiceLinkedRole",
    *("iam:PassRole", "iam:AttachRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy"),
    *("iam:DeleteRolePolicy", "iam:DeleteRole", "iam:CreateInstanceProfile"),
    *("iam:GetInstanceProfile", "iam:TagInstanceProfile", "iam:AddRoleToInstanceProfile"),
    *("iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"),
    *("ec2:DescribeVpcs", "ec2:DescribeSubnets", "ec2:DescribeSecurityGroups"),
    *("ec2:CreateSecurityGroup", "ec2:DeleteSecurityGroup", "ec2:CreateTags"),
    *("ec2:DescribeLaunchTemplates", "ec2:CreateLaunchTemplate", "ec2:DeleteLaunchTemplate"),
    *("batch:CreateComputeEnvironment", "batch:UpdateComputeEnvironment"),
    *("batch:DeleteComputeEnvironment", "batch:DescribeComputeEnvironments"),
    *("batch:CreateJobQueue", "batch:UpdateJobQueue", "batch:DeleteJobQueue"),
    *("batch:DescribeJobQueues", "batch:TagResource"),
    *("batch:DescribeJobDefinitions", "batch:DeregisterJobDefinition"),
    *("ec2:DescribeImages", "ec2:DescribeInstances", "ec2:TerminateInstances"),
    *("ec2:DescribeInstanceTypes", "sqs:ListQueues", "sqs:DeleteQueue"),
)
_AT_ONCE = 50


def check(aws: Aws, config: Config, actions: Iterable[str]) -> str | None:
    """Refuse where an action is not allowed on what it is for; a note where AWS does not say.

    Raises:
        ConfigError: with every action that is missing.
    """
    arn = str(aws.call("sts", "get_caller_identity")["Arn"])
    if arn.endswith(":root"):
        return None
    wanted: dict[str, list[str]] = {}
    for action in sorted(set(actions)):
        wanted.setdefault(_resource(action, arn, aws.region, config), []).append(action)
    missing: list[str] = []
    try:
        source = _principal(aws, arn)
        for resource, group in wanted.items():
            for some in batches(group, _AT_ONCE):
                simulated = aws.call(
                    "iam",
                    "simulate_principal_policy",
                    PolicySourceArn=source,
                    ActionNames=list(some),
                    ResourceArns=[resource],
                )
                missing += [
                    one["EvalActionName"]
                    for one in simulated["EvaluationResults"]
                    if one["EvalDecision"] == "explicitDeny"
                    # Else the answer depends on something that was not passed, such as a tag.
                    or (one["EvalDecision"] != "allowed" and not one.get("MissingContextValues"))
                ]
    except RefusedError as error:
        return f"Permissions cannot be checked beforehand: {error}"
    if missing:
        raise ConfigError(
            f"{arn} may not do {', '.join(sorted(missing))}; allow it in its policy (docs/aws.md "
            "has one), or use other credentials."
        )
    return None


def _resource(action: str, caller: str, region: str, config: Config) -> str:
    """What an action is to be done to, as a policy may name it; "*" where it takes no name."""
    _, partition, _, _, account, _ = caller.split(":", 5)
    service, _, verb = action.partition(":")
    prefix = name_part(config.job_name or PREFIX)
    if service == "s3" and config.store_url.startswith("s3://"):
        bucket, _, folder = config.store_url[len("s3://") :].partition("/")
        place = f"/{folder}object" if verb.endswith("Object") else ""
        return f"arn:{partition}:s3:::{bucket}{place}"
    if action == "sqs:ListQueues":
        return "*"
    if service == "sqs":
        return f"arn:{partition}:sqs:{region}:{account}:{PREFIX}-queue"
    if action == "iam:CreateServiceLinkedRole":
        name = "aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
        return f"arn:{partition}:iam::{account}:role/{name}"
    if service == "iam":
        kind = "instance-profile" if verb.endswith("InstanceProfile") else "role"
        return f"arn:{partition}:iam::{account}:{kind}/{prefix}-machines"
    return "*"


def _principal(aws: Aws, arn: str) -> str:
    """The role of a session; other ARNs are what they are.

    A session's ARN lacks its role's path, which roles of IAM Identity Center (SSO) have:
    role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_…
    """
    found = re.fullmatch(r"(arn:[\w-]+:)sts(::\d+:)assumed-role/([^/]+)/.+", arn)
    if not found:
        return arn
    prefix, account, name = found.groups()
    try:
        return str(aws.call("iam", "get_role", RoleName=name)["Role"]["Arn"])
    except RefusedError:
        path = "aws-reserved/sso.amazonaws.com/" if name.startswith("AWSReservedSSO_") else ""
        return f"{prefix}iam{account}role/{path}{name}"
