"""What earlier drivers of a run have left: jobs to wait for, to send, to account for and to end."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from benchmark.compute import submissions
from benchmark.compute.aws.clients import Aws
from benchmark.compute.batch import jobs
from benchmark.compute.batch.jobs import ENDED, Ended
from benchmark.compute.submissions import Submission
from benchmark.records.tasks import Run


@dataclass(frozen=True)
class Adoption:
    """`live` have a job that goes on; `unsent` may have one, or are to be sent.

    `ended` are the waiting tasks whose jobs are over, `over` those jobs and all that carry none of
    the waiting tasks. `known` are all jobs of which AWS may know more than the store.
    """

    live: list[Submission] = field(default_factory=list)
    unsent: list[Submission] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    over: list[Submission] = field(default_factory=list)
    known: list[Submission] = field(default_factory=list)

    @property
    def keys(self) -> set[str]:
        """The tasks that a job has, or will have."""
        return {key for one in [*self.live, *self.unsent] for key in one.indices}


def adopt(aws: Aws, run: Run, method: str, waiting: Collection[str]) -> Adoption:
    """Look for jobs of the tasks that wait (keys), and end what was to be cancelled."""
    known = submissions.load(run, method)
    _end_cancelled(aws, run, [one for one in known if one.cancelled])
    taken = submissions.carried(run, known, waiting)
    adopted = [replace(one, indices=taken[one.name]) for one in known if one.name in taken]
    states = jobs.describe(aws, (one.job for one in adopted if one.job))
    found = Adoption()
    over: list[Submission] = []
    for one in adopted:
        if one.job is None:
            found.unsent.append(one)
        elif states.get(one.job, {}).get("status", "FAILED") in ENDED:
            over.append(one)
        else:
            found.live.append(one)
    found.ended.extend(_ended(aws, over))
    idle = (one for one in known if one.name not in taken and not one.cancelled)
    found.over.extend([*over, *idle])
    found.known.extend(one for one in known if one.job)
    return found


def _ended(aws: Aws, over: Sequence[Submission]) -> list[Ended]:
    watch = jobs.Watch(aws)
    # The second look also finds children that were never made.
    both = watch.ended(over) + watch.ended(over) if over else []
    return list({one.key: one for one in reversed(both)}.values())


def _end_cancelled(aws: Aws, run: Run, cancelled: Sequence[Submission]) -> None:
    """A driver may have been killed between its word and the end of its jobs."""
    named = [one.job or jobs.find(aws, one) for one in cancelled]
    states = jobs.describe(aws, (job for job in named if job))
    goes_on = (
        name
        for name, job in states.items()
        if job["status"] not in ENDED and not job.get("isTerminated")
    )
    jobs.end(aws, run, goes_on)
    for one in cancelled:
        submissions.forget(run, one)
