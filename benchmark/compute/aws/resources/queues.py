"""AWS Batch's compute environment and job queue."""

from __future__ import annotations

from typing import Any

from benchmark.compute.aws.resources.machines import SecurityGroup, subnets
from benchmark.compute.aws.resources.roles import Profile, ServiceRole
from benchmark.compute.aws.resources.site import TAGS, Resource, Site


class Environment(Resource):
    """The machines that Batch starts: as many cores as `cluster_size` tasks take, none when idle.

    Spot machines, or on demand where 'on_demand' is set.
    """

    kind = "compute environment"

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-spot")
        if site.config.on_demand:
            self.name = f"{site.prefix}-on-demand"

    def find(self) -> str | None:
        told = self._told()
        return str(told["computeEnvironmentArn"]) if told else None

    def make(self) -> str:
        found = self.find()
        if found:
            return found
        config = self.site.config
        resources: dict[str, Any] = {
            "type": "EC2" if config.on_demand else "SPOT",
            "allocationStrategy": "BEST_FIT_PROGRESSIVE"
            if config.on_demand
            else "SPOT_PRICE_CAPACITY_OPTIMIZED",
            "minvCpus": 0,
            "maxvCpus": config.cluster_size * config.cores,
            "instanceTypes": config.instance_types or ["optimal"],
            "subnets": subnets(self.site),
            "securityGroupIds": [str(SecurityGroup(self.site).find())],
            "instanceRole": str(Profile(self.site).find()),
            "launchTemplate": {
                "launchTemplateName": f"{self.site.prefix}-batch",
                "version": "$Default",
            },
            "tags": TAGS,
        }
        made = self.aws.call(
            "batch",
            "create_compute_environment",
            computeEnvironmentName=self.name,
            type="MANAGED",
            state="ENABLED",
            serviceRole=str(ServiceRole(self.site).find()),
            computeResources=resources,
            tags=TAGS,
        )
        self.site.wait(self.title, lambda: self._status() in ("VALID", "INVALID"))
        return str(made["computeEnvironmentArn"])

    def is_ours(self) -> bool:
        return bool((self._told() or {}).get("tags", {}).items() >= TAGS.items())

    def remove(self) -> str | None:
        if (self._told() or {}).get("state") != "DISABLED":
            self.aws.call(
                "batch",
                "update_compute_environment",
                computeEnvironment=self.name,
                state="DISABLED",
            )
        self.site.wait(self.title, lambda: self._status() != "UPDATING")
        self.aws.call("batch", "delete_compute_environment", computeEnvironment=self.name)
        self.site.wait(self.title, lambda: self._told() is None)
        return None

    def _status(self) -> str | None:
        told = self._told()
        return str(told["status"]) if told else None

    def _told(self) -> Any:
        page = self.aws.call(
            "batch", "describe_compute_environments", computeEnvironments=[self.name]
        )
        there = [one for one in page["computeEnvironments"] if one.get("status") != "DELETED"]
        return there[0] if there else None


class Queue(Resource):
    kind = "job queue"

    def __init__(self, site: Site) -> None:
        super().__init__(site, site.prefix, "job_queue_id")

    def find(self) -> str | None:
        told = self._told()
        return str(told["jobQueueArn"]) if told else None

    def make(self) -> str:
        if self.find() is None:
            environment = Environment(self.site).find()
            self.aws.call(
                "batch",
                "create_job_queue",
                jobQueueName=self.name,
                state="ENABLED",
                priority=1,
                computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
                tags=TAGS,
            )
            self.site.wait(self.title, lambda: self._status() in ("VALID", "INVALID"))
        return self.name

    def is_ours(self) -> bool:
        return bool((self._told() or {}).get("tags", {}).items() >= TAGS.items())

    def remove(self) -> str | None:
        if (self._told() or {}).get("state") != "DISABLED":
            self.aws.call("batch", "update_job_queue", jobQueue=self.name, state="DISABLED")
        self.site.wait(self.title, lambda: self._status() != "UPDATING")
        self.aws.call("batch", "delete_job_queue", jobQueue=self.name)
        self.site.wait(self.title, lambda: self._told() is None)
        return None

    def _status(self) -> str | None:
        told = self._told()
        return str(told["status"]) if told else None

    def _told(self) -> Any:
        found = self.aws.call("batch", "describe_job_queues", jobQueues=[self.name])["jobQueues"]
        there = [one for one in found if one.get("status") != "DELETED"]
        return there[0] if there else None
