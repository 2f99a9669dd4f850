"""AWS Batch's compute environment and job queue."""

from __future__ import annotations

from typing import Any, ClassVar

from benchmark.compute.aws.resources.machines import groups, network
from benchmark.compute.aws.resources.roles import Profile, ServiceRole
from benchmark.compute.aws.resources.site import TAGS, Described, Site
from benchmark.errors import BenchmarkError

_ROLE_TRIES = 10
_ROLE_UNKNOWN = ("AssumeRole", "ssume the role", "ot authorized to perform")


class _OfBatch(Described):
    """One that AWS Batch makes, disables and deletes in its own time.

    `noun` names it in operations, `argument` in what they are given.
    """

    noun: ClassVar[str]
    argument: ClassVar[str]

    def _status(self) -> str | None:
        described = self.described()
        return str(described["status"]) if described else None

    def _wait_until_valid(self) -> None:
        """Until it can be used, no matter who made it.

        Raises:
            BenchmarkError: AWS has found it invalid, with its reason.
        """
        self.site.wait(self.title, lambda: self._status() == "VALID" or self._is_spoiled())
        described = self.described() or {}
        if described.get("status") == "INVALID":
            why = str(described.get("statusReason") or "no reason").rstrip(".")
            raise BenchmarkError(
                f"The {self.title} is invalid: {why}; fix that, remove it with init-compute "
                "--destroy, and create it again."
            )

    def _is_spoiled(self) -> bool:
        """Whether AWS has found it invalid for a reason that does not pass."""
        return self._status() == "INVALID"

    def _wait_until_gone(self) -> None:
        """Where one of the name is being deleted."""
        if self._status() in ("DELETING", "DELETED"):
            self.site.wait(self.title, lambda: self.described() is None)

    def remove(self) -> str | None:
        if (self.described() or {}).get("state") != "DISABLED":
            self._call("update", state="DISABLED")
        self.site.wait(self.title, lambda: self._status() != "UPDATING")
        self._call("delete")
        self.site.wait(self.title, lambda: self.described() is None)
        return None

    def described(self) -> Any:
        key = f"{self.argument}s"
        asked: dict[str, Any] = {key: [self.name]}
        found = self.aws.call("batch", f"describe_{self.noun}s", **asked)[key]
        there = [one for one in found if one.get("status") != "DELETED"]
        return there[0] if there else None

    def _call(self, verb: str, **asked: Any) -> None:
        """Update or delete it."""
        asked[self.argument] = self.name
        self.aws.call("batch", f"{verb}_{self.noun}", **asked)


class Environment(_OfBatch):
    """The machines that Batch starts: as many cores as `cluster_size` tasks take, none when idle.

    Spot machines, or on demand where 'on_demand' is set.
    """

    kind = "compute environment"
    id_key = "computeEnvironmentArn"
    noun, argument = "compute_environment", "computeEnvironment"

    def __init__(self, site: Site, *, on_demand: bool | None = None) -> None:
        self._on_demand = site.config.on_demand if on_demand is None else on_demand
        self._tries = 0
        super().__init__(site, f"{site.prefix}-{'on-demand' if self._on_demand else 'spot'}")

    def make(self) -> str:
        self._wait_until_gone()
        found = self.find()
        if found:
            self._wait_until_valid()
            self._update()
            return found
        template = {"launchTemplateName": f"{self.site.prefix}-batch", "version": "$Default"}
        resources: dict[str, Any] = {
            "type": "EC2" if self._on_demand else "SPOT",
            "allocationStrategy": "BEST_FIT_PROGRESSIVE"
            if self._on_demand
            else "SPOT_PRICE_CAPACITY_OPTIMIZED",
            "minvCpus": 0,
            "maxvCpus": self._most_cores,
            "instanceTypes": self._types,
            "subnets": network(self.site)[1],
            "securityGroupIds": groups(self.site),
            "instanceRole": Profile(self.site).known(),
            "launchTemplate": template,
            "tags": TAGS,
        }
        if self.site.config.aws.batch_image:
            image = {"imageType": "ECS_AL2023", "imageIdOverride": self.site.config.aws.batch_image}
            resources["ec2Configuration"] = [image]
        made = self.site.propagated(
            lambda: self.aws.call(
                "batch",
                "create_compute_environment",
                computeEnvironmentName=self.name,
                type="MANAGED",
                state="ENABLED",
                serviceRole=ServiceRole(self.site).known(),
                computeResources=resources,
                tags=TAGS,
            )
        )
        self._wait_until_valid()
        return str(made["computeEnvironmentArn"])

    def _is_spoiled(self) -> bool:
        """An environment that was created before its role was known everywhere becomes invalid; an
        update makes Batch try again."""
        described = self.described() or {}
        if described.get("status") != "INVALID":
            return False
        if self._tries >= _ROLE_TRIES or not any(
            words in str(described.get("statusReason")) for words in _ROLE_UNKNOWN
        ):
            return True
        self._tries += 1
        self._call("update", serviceRole=ServiceRole(self.site).known())
        return False

    @property
    def _most_cores(self) -> int:
        return self.site.config.cluster_size * self.site.config.cores

    @property
    def _types(self) -> list[str]:
        return self.site.config.instance_types or ["optimal"]

    def _update(self) -> None:
        """Follow the configuration where AWS lets a living environment change, and say where not:
        other instance types need Batch's service-linked role."""
        if not self.is_ours():
            return
        present = self.described()["computeResources"]
        changes = []
        if present.get("maxvCpus") != self._most_cores:
            self._call("update", computeResources={"maxvCpus": self._most_cores})
            self._wait_until_valid()
            changes.append(f"now has {self._most_cores} vCPUs at most")
        types = present.get("instanceTypes", [])
        if sorted(types) != sorted(self._types):
            changes.append(
                f"keeps the instance types {', '.join(types)}; --destroy and --create make it with "
                f"{', '.join(self._types)}"
            )
        self.changed = " and ".join(changes) or None


class Queue(_OfBatch):
    kind = "job queue"
    id_key = "jobQueueArn"
    noun, argument = "job_queue", "jobQueue"

    def __init__(self, site: Site) -> None:
        super().__init__(site, site.prefix, "job_queue_id")

    def make(self) -> str:
        self._wait_until_gone()
        environment = Environment(self.site)
        order = [{"order": 1, "computeEnvironment": environment.known()}]
        described = self.described()
        if described is None:
            self.site.propagated(
                lambda: self.aws.call(
                    "batch",
                    "create_job_queue",
                    jobQueueName=self.name,
                    state="ENABLED",
                    priority=1,
                    computeEnvironmentOrder=order,
                    tags=TAGS,
                )
            )
        elif self.is_ours() and described["computeEnvironmentOrder"] != order:
            self._call("update", computeEnvironmentOrder=order)
            self.changed = f"now over {environment.name}"
        self._wait_until_valid()
        return self.name
