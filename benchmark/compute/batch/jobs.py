"""What AWS Batch is told about jobs: to submit one, to find one by its name, to end some.

A job's queue and definition stand in the options of its submission.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from benchmark.compute.aws.clients import Aws
    from benchmark.compute.submissions import Submission
    from benchmark.records.tasks import Run

_T = TypeVar("_T")

LARGEST_ARRAY = 10_000


def cut(items: Sequence[_T], largest: int = LARGEST_ARRAY) -> Iterator[Sequence[_T]]:
    """Parts of the largest size, and what is left."""
    for start in range(0, len(items), largest):
        yield items[start : start + largest]


def submit(aws: Aws, run: Run, submission: Submission, variables: Mapping[str, str]) -> str:
    """Ask AWS for the job once, and return its id; what a lost reply left is for `find`."""
    arguments: dict[str, Any] = {
        "jobName": submission.name,
        "jobQueue": submission.options["queue"],
        "jobDefinition": submission.options["definition"],
        "containerOverrides": {
            "command": [run.store.url, run.name, "--job", submission.name],
            "environment": [{"name": k, "value": v} for k, v in variables.items()],
        },
    }
    if len(submission.keys) > 1:
        arguments["arrayProperties"] = {"size": len(submission.keys)}
    return str(aws.call("batch", "submit_job", once=True, **arguments)["jobId"])


def find(aws: Aws, submission: Submission) -> str | None:
    """The id of the job, if AWS lists one of this name."""
    page = aws.call(
        "batch",
        "list_jobs",
        jobQueue=submission.options["queue"],
        filters=[{"name": "JOB_NAME", "values": [submission.name]}],
    )
    found = [job for job in page["jobSummaryList"] if job["jobName"] == submission.name]
    return str(found[0]["jobId"]) if found else None


def end(aws: Aws, run: Run, jobs: Iterable[str]) -> None:
    """Terminate jobs with all their children, whatever state they are in."""
    for job in jobs:
        reason = f"The run {run.name} was stopped"
        aws.call("batch", "terminate_job", jobId=job, reason=reason)
