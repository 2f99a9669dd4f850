"""What machines are started with: a security group that lets nobody in, and launch templates."""

from __future__ import annotations

from typing import Any

from benchmark.compute.aws.resources.site import Described, Site, as_pairs
from benchmark.errors import ConfigError

_NO_TEMPLATE = (
    "InvalidLaunchTemplateName.NotFoundException",
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateName.NotFound",
)


def default_vpc(site: Site) -> str:
    """The VPC that the machines are in.

    Raises:
        ConfigError: the region has no default one.
    """
    asked = [{"Name": "is-default", "Values": ["true"]}]
    found = site.aws.call("ec2", "describe_vpcs", Filters=asked)["Vpcs"]
    if not found:
        raise ConfigError(
            f"{site.aws.region} has no default VPC; make one (`aws ec2 create-default-vpc`), or "
            "make queue and launch template yourself and name them in the configuration."
        )
    return str(found[0]["VpcId"])


def subnets(site: Site) -> list[str]:
    """The default VPC's, one in each zone."""
    asked = [{"Name": "vpc-id", "Values": [default_vpc(site)]}]
    found = site.aws.call("ec2", "describe_subnets", Filters=asked)["Subnets"]
    return sorted(str(one["SubnetId"]) for one in found)


class SecurityGroup(Described):
    """Machines may ask the world, and nobody may ask them."""

    kind = "security group"
    id_key = "GroupId"

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-machines")

    def make(self) -> str:
        found = self.find()
        if found:
            return found
        made = self.aws.call(
            "ec2",
            "create_security_group",
            GroupName=self.name,
            Description="Machines of AutoML benchmark: nothing comes in",
            VpcId=default_vpc(self.site),
            TagSpecifications=[{"ResourceType": "security-group", "Tags": as_pairs()}],
        )
        return str(made["GroupId"])

    def remove(self) -> str | None:
        self.aws.call("ec2", "delete_security_group", GroupId=self.find())
        return None

    def told(self) -> Any:
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

    def make(self) -> str:
        found = self.find()
        if found:
            return found
        made = self.aws.call(
            "ec2",
            "create_launch_template",
            LaunchTemplateName=self.name,
            LaunchTemplateData=self._data(),
            TagSpecifications=[{"ResourceType": "launch-template", "Tags": as_pairs()}],
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def remove(self) -> str | None:
        self.aws.call("ec2", "delete_launch_template", LaunchTemplateName=self.name)
        return None

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = {
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
        }
        if self._fleet:
            data |= {
                "IamInstanceProfile": {"Name": f"{self.site.prefix}-machines"},
                "SecurityGroupIds": [str(SecurityGroup(self.site).find())],
                "InstanceInitiatedShutdownBehavior": "terminate",
            }
        return data

    def told(self) -> Any:
        told = self.found(
            _NO_TEMPLATE, "ec2", "describe_launch_templates", LaunchTemplateNames=[self.name]
        )
        return told["LaunchTemplates"][0] if told and told["LaunchTemplates"] else None
