"""What runs leave: job definitions, and machines and queues of fleets whose driver is lost."""

from __future__ import annotations

import re

from benchmark.compute.aws.resources.site import PREFIX, SHUTDOWN_S, TAG, Resource, Site

_TOKEN = re.compile(PREFIX + r"-[0-9a-f]{12}(-dead)?")
_ALIVE = ("pending", "running", "stopping", "stopped", "shutting-down")
_NO_QUEUE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


class Left(Resource):
    """All resources of a kind that runs created, found by the prefix of their names."""

    def __init__(self, site: Site, prefix: str = PREFIX) -> None:
        super().__init__(site, f"{prefix}-*")

    def make(self) -> str:
        """Nothing: runs create these."""
        return self.name

    def is_ours(self) -> bool:
        return True

    def find(self) -> str | None:
        return ", ".join(self.ids()) or None

    def ids(self) -> list[str]:
        raise NotImplementedError


class Instances(Left):
    """The machines of fleets. They are ended, and waited for: until they are gone their security
    group cannot be removed."""

    kind = "machines of fleets"

    def ids(self) -> list[str]:
        asked = [
            {"Name": f"tag:{TAG}", "Values": [f"{PREFIX}-*"]},
            {"Name": "instance-state-name", "Values": list(_ALIVE)},
        ]
        groups = self.aws.items("ec2", "describe_instances", "Reservations", Filters=asked)
        return [str(one["InstanceId"]) for group in groups for one in group["Instances"]]

    def remove(self) -> str | None:
        self.aws.call("ec2", "terminate_instances", InstanceIds=self.ids())
        self.site.wait(self.title, lambda: not self.ids(), SHUTDOWN_S)
        return None


class TaskQueues(Left):
    """The queues of fleets' tasks, with the messages in them."""

    kind = "task queues"

    def ids(self) -> list[str]:
        asked = {"QueueNamePrefix": f"{PREFIX}-", "MaxResults": 1000}
        urls = self.aws.items("sqs", "list_queues", "QueueUrls", **asked)
        return [str(url) for url in urls if _TOKEN.fullmatch(url.rpartition("/")[2])]

    def remove(self) -> str | None:
        for url in self.ids():
            self.found(_NO_QUEUE, "sqs", "delete_queue", QueueUrl=url)
        return None


class Definitions(Left):
    """The job definitions that were registered for the frameworks; AWS keeps them a while as
    inactive."""

    kind = "job definitions"

    def __init__(self, site: Site) -> None:
        super().__init__(site, site.prefix)

    def find(self) -> str | None:
        return str(len(self.ids())) if self.ids() else None

    def ids(self) -> list[str]:
        active = self.aws.items(
            "batch", "describe_job_definitions", "jobDefinitions", status="ACTIVE"
        )
        return [
            str(one["jobDefinitionArn"])
            for one in active
            if one["jobDefinitionName"].startswith(self.name[:-1]) and TAG in one.get("tags", {})
        ]

    def remove(self) -> str | None:
        for arn in self.ids():
            self.aws.call("batch", "deregister_job_definition", jobDefinition=arn)
        return None
