"""What a container said, from CloudWatch, where the runner could leave no log in the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark.compute.aws.clients import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmark.compute.aws.clients import Aws

GROUP = "/aws/batch/job"
_MOST_EVENTS = 5000


def fetch(aws: Aws, job: Mapping[str, Any]) -> bytes:
    """The log of a job, its end where it is long; what AWS says of it where it never started."""
    told = aws.call("batch", "describe_jobs", jobs=[job["jobId"]])["jobs"] if "jobId" in job else []
    container: Mapping[str, Any] = (told[0] if told else job).get("container") or {}
    stream = container.get("logStreamName")
    reasons = [str(job.get("statusReason", "")), str(container.get("reason", ""))]
    closing = "\n".join(dict.fromkeys(text for text in reasons if text))
    if not stream:
        return f"The container never started.\n{closing}\n".encode()
    options = container.get("logConfiguration", {}).get("options", {})
    try:
        page = aws.call(
            "logs",
            "get_log_events",
            logGroupName=options.get("awslogs-group", GROUP),
            logStreamName=stream,
            limit=_MOST_EVENTS,
            startFromHead=False,
        )
    except RefusedError as error:
        return f"The log {stream} cannot be read: {error}\n{closing}\n".encode()
    lines = [str(event["message"]) for event in page["events"]]
    return "\n".join([*lines, closing, ""]).encode()
