"""What machines are started with: a security group that lets no one in, and launch templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark.compute.aws.resources.site import Described, Site, as_pairs
from benchmark.errors import ConfigError

# Of Amazon Linux 2023 and of the ECS images that are made from it.
_ROOT_DEVICE = "/dev/xvda"
_NO_TEMPLATE = (
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateName.NotFound",
)


def network(site: Site) -> tuple[str, list[str]]:
    """The VPC and the subnets of the machines: those that are configured, or of the default VPC
    those that are the default of their zone.

    Raises:
        ConfigError: the region has no default VPC or no default subnet, or a subnet or security
            group that is configured is not there or in another VPC.
    """
    vpc, found = _configured(site) if site.config.aws.subnets else _default(site)
    groups = site.config.aws.security_groups
    for one in _described(site, "security_groups", "Group", groups) if groups else ():
        if one["VpcId"] != vpc:
            raise ConfigError(
                f"The security group {one['GroupId']} of 'aws' is in {one['VpcId']}, and the "
                f"subnets are in {vpc}; name groups of that VPC."
            )
    return vpc, found


def _default(site: Site) -> tuple[str, list[str]]:
    asked = [{"Name": "is-default", "Values": ["true"]}]
    vpcs = site.aws.call("ec2", "describe_vpcs", Filters=asked)["Vpcs"]
    if not vpcs:
        raise ConfigError(
            f"{site.aws.region} has no default VPC; create one (`aws ec2 create-default-vpc`), or "
            "name subnets in 'aws'."
        )
    vpc = str(vpcs[0]["VpcId"])
    asked = [
        {"Name": "vpc-id", "Values": [vpc]},
        {"Name": "default-for-az", "Values": ["true"]},
        {"Name": "state", "Values": ["available"]},
    ]
    found = site.aws.call("ec2", "describe_subnets", Filters=asked)["Subnets"]
    if not found:
        raise ConfigError(
            f"The default VPC {vpc} of {site.aws.region} has no default subnet; create one (`aws "
            "ec2 create-default-subnet`), or name subnets in 'aws'."
        )
    return vpc, sorted(str(one["SubnetId"]) for one in found)


def _configured(site: Site) -> tuple[str, list[str]]:
    names = list(site.config.aws.subnets)
    vpcs = {str(one["VpcId"]) for one in _described(site, "subnets", "Subnet", names)}
    if len(vpcs) > 1:
        raise ConfigError(
            f"The subnets of 'aws' are in the VPCs {' and '.join(sorted(vpcs))}; name subnets of "
            "one."
        )
    return vpcs.pop(), names


def _described(site: Site, what: str, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
    """By a filter: an id that is not there would be an error without its name."""
    kebab = {"Subnet": "subnet-id", "Group": "group-id", "Image": "image-id"}[kind]
    asked = [{"Name": kebab, "Values": list(names)}]
    page = site.aws.call("ec2", f"describe_{what}", Filters=asked)
    found = list(page[what.title().replace("_", "")])
    missing = set(names) - {str(one[f"{kind}Id"]) for one in found}
    if missing:
        words = what.replace("_", " ").rstrip("s")
        raise ConfigError(
            f"There is no {words} {', '.join(sorted(missing))} in {site.aws.region}; correct the "
            "configuration, or set AWS_REGION."
        )
    return found


def root_device(site: Site, image: str | None) -> str:
    """The name of the root disk of an AMI; of AWS's own ones where none is named.

    Raises:
        ConfigError: there is no such AMI.
    """
    if not image:
        return _ROOT_DEVICE
    return str(
        _described(site, "images", "Image", [image])[0].get("RootDeviceName") or _ROOT_DEVICE
    )


def groups(site: Site) -> list[str]:
    """The security groups of the machines."""
    return list(site.config.aws.security_groups) or [SecurityGroup(site).known()]


class SecurityGroup(Described):
    """Machines may ask the world, and no one may ask them."""

    kind = "security group"
    id_key = "GroupId"

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-machines")

    def create(self) -> str:
        made = self.aws.call(
            "ec2",
            "create_security_group",
            GroupName=self.name,
            Description="Machines of AutoML benchmark: nothing comes in",
            VpcId=network(self.site)[0],
            TagSpecifications=[{"ResourceType": "security-group", "Tags": as_pairs()}],
        )
        return str(made["GroupId"])

    def remove(self) -> str | None:
        group = self.find()
        self.site.removed(
            lambda: self.aws.call("ec2", "delete_security_group", GroupId=group),
            ("InvalidGroup.NotFound",),
        )
        return None

    def described(self) -> Any:
        asked = [{"Name": "group-name", "Values": [self.name]}]
        found = self.aws.call("ec2", "describe_security_groups", Filters=asked)["SecurityGroups"]
        return found[0] if found else None


class Template(Described):
    """The launch template of a fleet's machines ("machines") or of Batch's ("batch").

    Both use the metadata service's second version only; containers reach it by a second hop.
    """

    kind = "launch template"
    id_key = "LaunchTemplateId"

    def __init__(self, site: Site, purpose: str) -> None:
        self._fleet = purpose == "machines"
        key = "ec2_template" if self._fleet else None
        super().__init__(site, f"{site.prefix}-{purpose}", key)

    def create(self) -> str:
        data = self._data()
        made = self.site.propagated(
            lambda: self.aws.call(
                "ec2",
                "create_launch_template",
                LaunchTemplateName=self.name,
                LaunchTemplateData=data,
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": as_pairs()}],
            )
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def remove(self) -> str | None:
        self.aws.call("ec2", "delete_launch_template", LaunchTemplateName=self.name)
        return None

    def _data(self) -> dict[str, Any]:
        config = self.site.config
        image = config.cluster_image if self._fleet else config.aws.batch_image
        disk = {"VolumeSize": config.aws.disk_gb, "VolumeType": "gp3", "DeleteOnTermination": True}
        data: dict[str, Any] = {
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            "BlockDeviceMappings": [
                {"DeviceName": root_device(self.site, image), "Ebs": disk},
            ],
        }
        if self._fleet:
            data |= {
                "IamInstanceProfile": {"Name": f"{self.site.prefix}-machines"},
                "SecurityGroupIds": groups(self.site),
                "InstanceInitiatedShutdownBehavior": "terminate",
            }
        return data

    def described(self) -> Any:
        described = self.found(
            _NO_TEMPLATE, "ec2", "describe_launch_templates", LaunchTemplateNames=[self.name]
        )
        return (
            described["LaunchTemplates"][0] if described and described["LaunchTemplates"] else None
        )
