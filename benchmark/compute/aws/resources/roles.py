"""The roles: Batch's own, and that of the machines with its profile. No user, no key."""

from __future__ import annotations

from typing import Any

from benchmark.compute.aws.resources.site import (
    Described,
    Resource,
    Site,
    as_pairs,
    is_tagged,
    policy,
)

_NONE = ("NoSuchEntity", "NoSuchEntityException")
_INLINE = "store-and-queue"


class Role(Resource):
    """A role that a service takes, with policies of AWS's and one of ours."""

    kind = "role"
    service = ""
    managed: tuple[str, ...] = ()

    def statements(self) -> list[dict[str, Any]]:
        return []

    def find(self) -> str | None:
        described = self.found(_NONE, "iam", "get_role", RoleName=self.name)
        return str(described["Role"]["Arn"]) if described else None

    def make(self) -> str:
        arn = self.find()
        if arn is None:
            trust = {
                "Effect": "Allow",
                "Principal": {"Service": self.service},
                "Action": "sts:AssumeRole",
            }
            asked: dict[str, Any] = {
                "RoleName": self.name,
                "AssumeRolePolicyDocument": policy([trust]),
            }
            made = self.aws.call("iam", "create_role", **asked, Tags=as_pairs())
            arn = str(made["Role"]["Arn"])
        elif not self.is_ours():
            return arn
        for name in self.managed:
            self._after_creation("attach_role_policy", PolicyArn=self._managed(name))
        if statements := self.statements():
            self._after_creation(
                "put_role_policy", PolicyName=_INLINE, PolicyDocument=policy(statements)
            )
        return arn

    def _after_creation(self, operation: str, **asked: Any) -> None:
        self.site.propagated(lambda: self.aws.call("iam", operation, RoleName=self.name, **asked))

    def _managed(self, name: str) -> str:
        return f"arn:{self.aws.partition}:iam::aws:policy/service-role/{name}"

    def is_ours(self) -> bool:
        tags = self.aws.call("iam", "list_role_tags", RoleName=self.name)["Tags"]
        return is_tagged(tags)

    def remove(self) -> str | None:
        for name in self.managed:
            arn = self._managed(name)
            self.found(_NONE, "iam", "detach_role_policy", RoleName=self.name, PolicyArn=arn)
        if self.statements():
            self.found(_NONE, "iam", "delete_role_policy", RoleName=self.name, PolicyName=_INLINE)
        self.aws.call("iam", "delete_role", RoleName=self.name)
        return None


class ServiceRole(Role):
    """What AWS Batch may do in the account."""

    service = "batch.amazonaws.com"
    managed = ("AWSBatchServiceRole",)

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-batch")


class MachineRole(Role):
    """What machines and their containers may do: the store, the queues of fleets, and no more."""

    managed = ("AmazonEC2ContainerServiceforEC2Role",)

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-machines")
        suffix = "com.cn" if self.aws.partition == "aws-cn" else "com"
        self.service = f"ec2.amazonaws.{suffix}"

    def statements(self) -> list[dict[str, Any]]:
        bucket = f"arn:{self.aws.partition}:s3:::{self.site.bucket}"
        folder = self.site.config.s3_folder or ""
        objects = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        messages = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueUrl")
        return [
            {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [bucket]},
            {"Effect": "Allow", "Action": list(objects), "Resource": [f"{bucket}/{folder}*"]},
            {
                "Effect": "Allow",
                "Action": [f"sqs:{name}" for name in messages],
                "Resource": [
                    f"arn:{self.aws.partition}:sqs:{self.aws.region}:*:automl-benchmark-*"
                ],
            },
        ]


class Profile(Described):
    """How a machine is given its role."""

    kind = "instance profile"
    id_key = "Arn"

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-machines")

    def make(self) -> str:
        named: dict[str, Any] = {"InstanceProfileName": self.name}
        profile = self.described()
        if profile is None:
            made = self.aws.call("iam", "create_instance_profile", **named, Tags=as_pairs())
            profile = made["InstanceProfile"]
        if not profile.get("Roles"):
            named["RoleName"] = self.name
            self.site.propagated(
                lambda: self.aws.call("iam", "add_role_to_instance_profile", **named)
            )
        return str(profile["Arn"])

    def remove(self) -> str | None:
        named: dict[str, Any] = {"InstanceProfileName": self.name}
        if (self.described() or {}).get("Roles"):
            self.aws.call("iam", "remove_role_from_instance_profile", **named, RoleName=self.name)
        self.aws.call("iam", "delete_instance_profile", **named)
        return None

    def described(self) -> Any:
        found = self.found(_NONE, "iam", "get_instance_profile", InstanceProfileName=self.name)
        return found and found["InstanceProfile"]


class LinkedRole(Role):
    """A role of AWS's own that EC2 needs to start fleets and spot machines; it has no costs."""

    kind = "service-linked role"

    def __init__(self, site: Site, name: str, service: str) -> None:
        super().__init__(site, name)
        self.service = f"{service}.amazonaws.com"

    def make(self) -> str:
        return self.find() or self.create()

    def create(self) -> str:
        made = self.aws.call("iam", "create_service_linked_role", AWSServiceName=self.service)
        return str(made["Role"]["Arn"])

    def is_ours(self) -> bool:
        """Never: it is the account's, and takes no tag when it is made."""
        return False

    def remove(self) -> str | None:
        return "it is the account's"
