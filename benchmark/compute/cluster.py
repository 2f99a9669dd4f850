"""What a batch system of a cluster must be able to do, for the dispatchers that build on one.

Slurm's, for arrays, is in slurm/commands.py. Another (PBS, LSF, Grid Engine) is a class with these
methods, and a dispatcher of a few lines that names it:

    class PbsDispatcher(ArrayDispatcher):
        def cluster(self) -> Cluster:
            return Pbs(self.config)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from benchmark.compute.waiting import EnginePace
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from collections.abc import Collection

    from benchmark.results import Cause
    from benchmark.tasks import Ranks


class ClusterError(BenchmarkError):
    """The batch system refuses something, in its own words."""


class TooManyError(ClusterError):
    """It takes no more jobs from this user now, or none of this size."""


@dataclass(frozen=True)
class Request:
    """What a job asks for: `size` elements, each with these resources. Seconds and MB."""

    name: str
    size: int
    cores: int
    memory_mb: int
    time_s: float
    log: str
    nodes: int = 1
    throttle: int | None = None
    mpi: Ranks | None = None


@dataclass(frozen=True)
class Element:
    """An element of a job as the batch system describes it, in its own words.

    `is_over`: it has ended and will not start again. `waits`: it has not started. `is_hopeless`: it
    waits for something that does not come by itself. `is_held`: a node could not start it, and the
    batch system does not try again.
    """

    state: str
    reason: str = ""
    code: str = ""
    is_over: bool = False
    waits: bool = False
    is_hopeless: bool = False
    is_held: bool = False


Elements = dict[str, dict[int, Element]]


class Cluster(Protocol):
    """Elements are known by the job's id and their index."""

    name: str

    def largest_array(self) -> int: ...

    def submit(self, request: Request, script: str) -> str:
        """Submit a job and return its id.

        Raises:
            TooManyError: it is too many at once.
            PassingError: (of faults.py) ask again later, after `find` where it was perhaps done.
            ClusterError: it will not be taken like this.
        """
        ...

    def find(self, name: str) -> str | None:
        """The id of the job with this name, if there is one."""
        ...

    def present(self) -> Elements:
        """All jobs of this user that wait, run, or ended lately."""
        ...

    def past(self, jobs: Collection[str]) -> Elements:
        """What is kept of jobs that are not present any more."""
        ...

    def cancel(self, jobs: Collection[str]) -> None: ...

    def cancel_element(self, job: str, index: int) -> None: ...

    def cause_of(self, element: Element | None) -> tuple[Cause, str]:
        """Why an element ended that left no word; None is one that nobody knows any more."""
        ...


@dataclass(frozen=True)
class Pace(EnginePace):
    """Seconds, beside those of every engine: until a job that has ended is believed to have left
    no record, until one that waits in vain is reported, and until a name that was not found is
    believed not to be there."""

    store_s: float = 2.0
    patience_s: float = 3600.0
    settle_s: float = 10.0
    stuck_s: float = 30.0
    find_s: float = 30.0
