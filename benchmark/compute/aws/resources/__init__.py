"""What `init-compute --create` makes in an AWS account, and `--destroy` removes again.

    for told in create(Site(Aws(), config)):
        print(told.line)                 # "role automl-benchmark-machines: made (arn:…)"

Each resource has a fixed name and carries a tag; what has the name without the tag is somebody
else's and is neither changed nor removed. Making what is there is no error, so that what was
killed half way completes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.compute.aws.resources.machines import SecurityGroup, Template
from benchmark.compute.aws.resources.queues import Definitions, Environment, Queue
from benchmark.compute.aws.resources.roles import LinkedRole, MachineRole, Profile, ServiceRole
from benchmark.compute.aws.resources.site import Resource, Site
from benchmark.compute.aws.resources.storage import Bucket, Repository

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Site", "Told", "all_of", "create", "destroy", "resources_of"]


@dataclass(frozen=True)
class Told:
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
    return [*others, other_way, queue, Definitions(site)]


def create(site: Site) -> Iterator[Told]:
    """Make what is not there; told one by one, as each is there."""
    for one in resources_of(site):
        found = one.find()
        one_id = one.make()
        yield Told(one.title, (one.changed or "is there") if found else "made", one_id, one.key)


def destroy(site: Site) -> Iterator[Told]:
    """Remove what was made, in the opposite order; what is somebody else's or full stays."""
    for one in reversed(all_of(site)):
        found = one.find()
        if found is None:
            continue
        if not one.is_ours():
            yield Told(one.title, "left, for it is not init-compute's own", found)
            continue
        kept = one.remove()
        yield Told(one.title, f"kept: {kept}" if kept else "removed", found)
