"""Submissions: which tasks a job carries, kept in the store so that none is submitted twice.

`{run}/jobs/NAME.json` lists the tasks for the containers, and `{run}/jobs/NAME.batch.json` is
written before the job is submitted and completed with its id afterwards. NAME is unique and is the
job's name, so a driver that was killed between the two finds the job by its name.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from benchmark.compute.batch.definition import name_part
from benchmark.compute.jobs import job_path, write_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmark.compute.aws.clients import Aws
    from benchmark.tasks import Run

LARGEST_ARRAY = 10_000
# For how long AWS may not list a job that it has taken.
SETTLE_S = 30.0
_SUFFIX = ".batch.json"


@dataclass(frozen=True)
class Submission:
    """A job of AWS Batch: `keys[n]` is the task of the child n, `since[n]` its last attempt before.

    `asked` is when AWS was asked last and may have taken the job, in seconds since 1970; None
    before that. `job` is AWS's id.
    """

    name: str
    queue: str
    definition: str
    keys: tuple[str, ...]
    since: tuple[int, ...]
    created: float
    asked: float | None = None
    job: str | None = None
    cancelled: bool = False
    # The children that this driver waits for, by their task.
    indices: dict[str, int] = field(default_factory=dict, compare=False)

    def to_bytes(self) -> bytes:
        values = asdict(self)
        del values["indices"], values["asked"]
        return json.dumps(values, ensure_ascii=False).encode()


def cut(keys: Sequence[str], largest: int = LARGEST_ARRAY) -> Iterator[Sequence[str]]:
    """Arrays of the largest size and what is left."""
    for start in range(0, len(keys), largest):
        yield keys[start : start + largest]


def begin(  # noqa: PLR0917
    run: Run, prefix: str, label: str, queue: str, definition: str, since: Mapping[str, int]
) -> Submission:
    """Write down what is to be submitted: the tasks of `since` with their last attempts."""
    parts = (name_part(prefix), name_part(run.name, 30), name_part(label, 30))
    name = "-".join((*parts, secrets.token_hex(6)))
    submission = Submission(
        name=name,
        queue=queue,
        definition=definition,
        keys=tuple(since),
        since=tuple(since.values()),
        created=time.time(),
        indices={key: index for index, key in enumerate(since)},
    )
    write_job(run.store, run.name, name, submission.keys)
    run.store.put(_path(run, name), submission.to_bytes())
    return submission


def save(run: Run, submission: Submission) -> None:
    run.store.put(_path(run, submission.name), submission.to_bytes())


def submit(aws: Aws, run: Run, submission: Submission, variables: Mapping[str, str]) -> Submission:
    """Ask AWS for the job once; what a lost reply left is for `find`."""
    arguments: dict[str, Any] = {
        "jobName": submission.name,
        "jobQueue": submission.queue,
        "jobDefinition": submission.definition,
        "containerOverrides": {
            "command": [run.store.url, run.name, "--job", submission.name],
            "environment": [{"name": k, "value": v} for k, v in variables.items()],
        },
    }
    if len(submission.keys) > 1:
        arguments["arrayProperties"] = {"size": len(submission.keys)}
    taken = aws.call("batch", "submit_job", once=True, **arguments)
    submission = replace(submission, job=str(taken["jobId"]))
    save(run, submission)
    return submission


def find(aws: Aws, run: Run, submission: Submission) -> Submission:
    """The submission with the id of its job, if AWS lists one of this name."""
    page = aws.call(
        "batch",
        "list_jobs",
        jobQueue=submission.queue,
        filters=[{"name": "JOB_NAME", "values": [submission.name]}],
    )
    found = [job for job in page["jobSummaryList"] if job["jobName"] == submission.name]
    if not found:
        return submission
    submission = replace(submission, job=str(found[0]["jobId"]))
    save(run, submission)
    return submission


def load(run: Run) -> list[Submission]:
    """All that was ever begun in the run, oldest first; one that cannot be read is left out.

    One whose id is not known may have been taken, by a driver that was killed then.
    """
    paths = [path for path in run.store.list(f"{run.name}/jobs") if path.endswith(_SUFFIX)]
    found = []
    for _, data in run.store.get_many(paths):
        try:
            values = json.loads(data or b"")
            values |= {"keys": tuple(values["keys"]), "since": tuple(values["since"])}
            one = Submission(**values)
        except (ValueError, TypeError, KeyError):
            continue  # A write that was cut: its job was not asked for yet.
        found.append(replace(one, asked=one.created) if one.job is None else one)
    return sorted(found, key=lambda one: one.created)


def _path(run: Run, name: str) -> str:
    return job_path(run.name, name).removesuffix(".json") + _SUFFIX
