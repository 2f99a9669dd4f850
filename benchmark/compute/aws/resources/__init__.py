"""What `init-compute --create` makes in an AWS account, and `--destroy` removes again.

    for action in create(Site(Aws(), config)):
        print(action.line)               # "role automl-benchmark-machines: made (arn:…)"

Each resource has a fixed name and carries a tag; what has the name without the tag is someone
else's and is neither changed nor removed. Making what is there is no error, so that what was
killed half way completes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.compute.aws import prices
from benchmark.compute.aws.resources.left import Definitions, Instances, TaskQueues
from benchmark.compute.aws.resources.machines import SecurityGroup, Template, network, root_device
from benchmark.compute.aws.resources.queues import Environment, Queue
from benchmark.compute.aws.resources.roles import LinkedRole, MachineRole, Profile, ServiceRole
from benchmark.compute.aws.resources.site import PATIENCE_S, Resource, Site
from benchmark.compute.aws.resources.storage import Bucket, Repository
from benchmark.compute.faults import patiently
from benchmark.errors import BenchmarkError

__all__ = ["FAILED", "Action", "Site", "all_of", "create", "destroy", "resources_of"]


FAILED = "could not be removed"


@dataclass(frozen=True)
class Action:
    """What has become of one resource. `key` is the configuration's key that names it, if any."""

    what: str
    done: str
    id: str
    key: str | None = None

    @property
    def line(self) -> str:
        return f"{self.what}: {self.done}" + (f" ({self.id})" if self.id else "")


def resources_of(site: Site) -> list[Resource]:
    """In the order in which they are made; each needs those before it."""
    return [
        Bucket(site),
        Repository(site),
        LinkedRole(site, "AWSServiceRoleForEC2Spot", "spot"),
        LinkedRole(site, "AWSServiceRoleForEC2Fleet", "ec2fleet"),
        ServiceRole(site),
        MachineRole(site),
        Profile(site),
        SecurityGroup(site),
        Template(site, "machines"),
        Template(site, "batch"),
        Environment(site),
        Queue(site),
    ]


def all_of(site: Site) -> list[Resource]:
    """Those and what was made under other settings, or by a run; `destroy` looks for them."""
    *others, queue = resources_of(site)
    other_way = Environment(site, on_demand=not site.config.on_demand)
    return [*others, other_way, queue, Definitions(site), TaskQueues(site), Instances(site)]


def _check(site: Site) -> None:
    """Refuse what AWS would refuse, or what could not be used, before anything is created.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    config = site.config
    Bucket(site).find()
    network(site)
    for image in filter(None, (config.cluster_image, config.aws.batch_image)):
        root_device(site, image)
    prices.offers(site.aws, config.instance_types or [config.cluster_type])


def create(site: Site) -> Iterator[Action]:
    """Create what is missing; yields each as soon as it exists."""
    patiently(lambda: _check(site), PATIENCE_S)
    for one in resources_of(site):
        # Where many requests are throttled the SDK soon tries no more.
        found = patiently(one.find, PATIENCE_S)
        one_id = patiently(one.make, PATIENCE_S)
        yield Action(one.title, (one.changed or "is there") if found else "made", one_id, one.key)


def destroy(site: Site) -> Iterator[Action]:
    """Remove what was made, in the opposite order; what is someone else's or full stays.

    A resource that cannot be removed is reported as `failed`, and the others are removed.
    """
    for one in reversed(all_of(site)):
        found = None
        try:
            found = patiently(one.find, PATIENCE_S)
            if found is None:
                continue
            if not site.propagated(one.is_ours):
                yield Action(one.title, "left, for it is not init-compute's own", found)
                continue
            kept = site.propagated(one.remove)
        except BenchmarkError as error:
            yield Action(one.title, f"{FAILED}: {error}", found or "")
            continue
        yield Action(one.title, f"kept: {kept}" if kept else "removed", found)
