"""The engine's words become causes."""

import pytest

from benchmark.compute.batch.jobs import cause_of

# What the jobStateTimeLimitActions of a queue leave.
ENDED = "Canceled by JobStateTimeLimit action due to reason:"
CAPACITY = "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


def job(code=None, reason=None, status=None, **facts):
    container = {"exitCode": code, "reason": reason}
    return {"container": {k: v for k, v in container.items() if v}, "statusReason": status} | facts


@pytest.mark.parametrize(
    ("ended", "cause"),
    [
        (job(137, "OutOfMemoryError: Container killed due to memory usage", "Essential"), "memory"),
        (job(137, None, "Job attempt duration exceeded timeout"), "timeout"),
        (job(None, None, "Host EC2 (instance i-0ab) terminated."), "infrastructure"),
        (job(None, "CannotPullContainerError: manifest not found", "Task failed"), "setup"),
        (job(None, "CannotPullECRContainerError: AccessDenied", "Task failed"), "setup"),
        (job(None, "DockerTimeoutError: Could not transition", "Task failed"), "infrastructure"),
        (job(None, None, "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - too large"), "setup"),
        (
            job(None, None, f"{ENDED} MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", isCancelled=True),
            "setup",
        ),
        (job(None, None, f"{ENDED} {CAPACITY}", isCancelled=True), "interrupted"),
        (job(None, None, f"{ENDED} {CAPACITY}"), "infrastructure"),
        (job(143, None, "not needed any more", isTerminated=True), "interrupted"),
        (job(None, None, "not needed any more", isCancelled=True), "interrupted"),
        (job(137, None, "Essential container in task exited"), "infrastructure"),
        (job(143, None, "Essential container in task exited"), "interrupted"),
        (job(2, None, "Essential container in task exited"), "infrastructure"),
        (job(), "infrastructure"),
        ({}, "infrastructure"),
    ],
)
def test_the_cause_follows_what_aws_says(ended, cause):
    found, sentence = cause_of(ended)
    assert found == cause
    assert sentence.endswith(".")
    if ended.get("statusReason"):
        assert ended["statusReason"].rstrip(".") in sentence
