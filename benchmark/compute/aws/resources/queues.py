"""AWS Batch's compute environment and job queue."""

from __future__ import annotations

from typing import Any

from benchmark.compute.aws.resources.machines import SecurityGroup, subnets
from benchmark.compute.aws.resources.roles import Profile, ServiceRole
from benchmark.compute.aws.resources.site import TAGS, Described, Site


class _OfBatch(Described):
    """One that AWS Batch makes, disables and deletes in its own time."""

    def _status(self) -> str | None:
        told = self.told()
        return str(told["status"]) if told else None

    def _wait_until_made(self) -> None:
        self.site.wait(self.title, lambda: self._status() in ("VALID", "INVALID"))

    def remove(self) -> str | None:
        if (self.told() or {}).get("state") != "DISABLED":
            self._disable()
        self.site.wait(self.title, lambda: self._status() != "UPDATING")
        self._delete()
        self.site.wait(self.title, lambda: self.told() is None)
        return None

    def _disable(self) -> None:
        raise NotImplementedError

    def _delete(self) -> None:
        raise NotImplementedError


class Environment(_OfBatch):
    """The machines that Batch starts: as many cores as `cluster_size` tasks take, none when idle.

    Spot machines, or on demand where 'on_demand' is set.
    """

    kind = "compute environment"
    id_key = "computeEnvironmentArn"

    def __init__(self, site: Site) -> None:
        super().__init__(site, f"{site.prefix}-spot")
        if site.config.on_demand:
            self.name = f"{site.prefix}-on-demand"

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
        self._wait_until_made()
        return str(made["computeEnvironmentArn"])

    def _disable(self) -> None:
        self.aws.call(
            "batch", "update_compute_environment", computeEnvironment=self.name, state="DISABLED"
        )

    def _delete(self) -> None:
        self.aws.call("batch", "delete_compute_environment", computeEnvironment=self.name)

    def told(self) -> Any:
        page = self.aws.call(
            "batch", "describe_compute_environments", computeEnvironments=[self.name]
        )
        there = [one for one in page["computeEnvironments"] if one.get("status") != "DELETED"]
        return there[0] if there else None


class Queue(_OfBatch):
    kind = "job queue"
    id_key = "jobQueueArn"

    def __init__(self, site: Site) -> None:
        super().__init__(site, site.prefix, "job_queue_id")

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
            self._wait_until_made()
        return self.name

    def _disable(self) -> None:
        self.aws.call("batch", "update_job_queue", jobQueue=self.name, state="DISABLED")

    def _delete(self) -> None:
        self.aws.call("batch", "delete_job_queue", jobQueue=self.name)

    def told(self) -> Any:
        found = self.aws.call("batch", "describe_job_queues", jobQueues=[self.name])["jobQueues"]
        there = [one for one in found if one.get("status") != "DELETED"]
        return there[0] if there else None
