"""What a batch system of a cluster must be able to do, for the dispatchers that build on one.

Slurm's, for arrays, is in slurm/commands.py, Kubernetes' in kubernetes/jobs.py, AWS Batch's in
batch/jobs.py. Another (PBS, LSF, Grid Engine) is a class with these methods, and an
`ArrayDispatcher` whose `cluster` returns it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from benchmark.compute.submissions import Submission
from benchmark.compute.waiting import EnginePace
from benchmark.errors import BenchmarkError
from benchmark.records.results import Cause
from benchmark.records.tasks import Ranks, Resources

if TYPE_CHECKING:
    from benchmark.config.loading import Config
    from benchmark.config.method_options import KubernetesOptions, SlurmOptions

_SIGKILL, _SIGTERM = 137, 143


class ClusterError(BenchmarkError):
    """The batch system refuses something, in its own words."""


class TooManyError(ClusterError):
    """It takes no more jobs from this user now, or none of this size."""


class FullError(TooManyError):
    """It takes no more jobs now, whatever their size."""


@dataclass(frozen=True)
class Request:
    """What a job asks for: `size` elements, each with these resources. Seconds and MB.

    With `size` 0 it is an allocation: of so much on each of `nodes`, its script runs on the first.
    `options` are those of its submission.
    """

    name: str
    size: int
    cores: int
    memory_mb: int
    time_s: float
    log: str = ""
    nodes: int = 1
    throttle: int | None = None
    image: str = ""
    mpi: Ranks | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        config: Config,
        options: SlurmOptions | KubernetesOptions,
        resources: Resources,
        **others: Any,
    ) -> Self:
        """For tasks with these resources, with what `options` reserve beside them."""
        return cls(
            cores=resources.cores,
            memory_mb=resources.memory_mb + options.reserve_mb,
            time_s=resources.hard_limit_s + options.reserve_s,
            throttle=options.throttle or config.parallel,
            **others,
        )


@dataclass(frozen=True)
class Element:
    """An element of a job as the batch system describes it, in its own words.

    `is_over`: it has ended and will not start again; `state` is empty where only `past` tells how.
    `waits`: it has not started. `is_hopeless`: it waits for something that does not come by itself.
    `is_held`: a node could not start it, and the batch system does not try again. `note`: why it
    waits, and what helps, where it is not its turn. `number`: the batch system's own id of the
    element, where it has one. `after_s`: for how long it must be over or held to be believed.
    `starts`: how often the batch system has started it, if it is over or held. `took_s`: for how
    long it ran the last time, if that is known. `facts`: all that the batch system says of it.
    """

    state: str
    reason: str = ""
    code: str = ""
    is_over: bool = False
    waits: bool = False
    is_hopeless: bool = False
    is_held: bool = False
    note: str = ""
    number: str = ""
    after_s: float = 0.0
    starts: int = 1
    took_s: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)


Elements = dict[str, dict[int, Element]]


def indices(text: str) -> Iterator[int]:
    """The numbers of "7", of "0-3,5" and of "[0-3,5,8-12:2%4]"."""
    for part in text.strip("[]").partition("%")[0].split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", part)
        if found:
            first, last, step = (int(group) if group else None for group in found.groups())
            yield from range(first or 0, (last if last is not None else first or 0) + 1, step or 1)


def cause_of_exit(code: int | None, words: str) -> tuple[Cause, str]:
    """Why a container ended that left no record, by its exit code and the engine's own words."""
    if code == _SIGTERM:
        return Cause.INTERRUPTED, f"The container was ended by SIGTERM ({words})."
    if code == _SIGKILL:
        return Cause.INFRASTRUCTURE, f"The container was killed from outside ({words})."
    if code is None:
        return Cause.INFRASTRUCTURE, f"The job ended without an exit code ({words})."
    end = f"The container ended with exit code {code} and left no record"
    return Cause.INFRASTRUCTURE, f"{end} ({words})."


class Cluster(Protocol):
    """Elements are known by the job's id and their index; `causes` are what their states mean."""

    name: str
    causes: ClassVar[Mapping[str, tuple[Cause, str]]] = {}

    def largest_array(self) -> int:
        return 10_000

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

    def present(self, jobs: Collection[Submission] = ()) -> Elements:
        """At least these jobs, or all of this user that wait, run, or ended lately."""
        ...

    def past(self, jobs: Mapping[str, Collection[int]]) -> Elements:
        """What is kept of elements that are not present any more, or do not show how they ended."""
        ...

    def cancel(self, jobs: Collection[str]) -> None: ...

    def cancel_element(self, job: str, index: int) -> None:  # noqa: ARG002
        return  # Where elements go with their job.

    def forget(self, job: str) -> bool:
        """Remove what is kept of a job whose tasks have all ended; False where elements of it may
        be queued again, so that `present` must be asked for them at the end."""
        ...

    def cause_of(self, element: Element, log: Path) -> tuple[Cause, str]:  # noqa: ARG002
        """Why an element ended that left no record: by its state, or else by its exit code.

        `log` is the file of what the job's elements print, which may not be there.
        """
        said = ": ".join(filter(None, (element.state, element.reason)))
        words = said or "no reason was given"
        if element.state in self.causes:
            cause, sentence = self.causes[element.state]
            code = f", exit code {element.code}" if element.code else ""
            return cause, f"{sentence} ({words}{code})."
        return cause_of_exit(int(element.code) if element.code.isdigit() else None, words)


@dataclass(frozen=True)
class Pace(EnginePace):
    """Seconds, beside those of every engine: until a job that has ended is believed to have left
    no record, and until jobs that could not be cancelled are left."""

    store_s: float = 2.0
    patience_s: float = 3600.0
    settle_s: float = 10.0
    close_s: float = 10.0
