"""What batch systems share: causes by states, and what a job elsewhere needs for the bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.compute.aws.clients import bucket_variables
from benchmark.compute.cluster import Cluster, Element
from benchmark.compute.kubernetes.jobs import Kubernetes
from benchmark.compute.slurm.commands import Slurm, element
from benchmark.config.method_options import KubernetesOptions, SlurmOptions
from benchmark.records.results import Cause

SLURM = Slurm(SlurmOptions())
KUBERNETES = Kubernetes(KubernetesOptions(), "s3://bench/", "default")


@pytest.mark.parametrize(
    ("cluster", "ended", "cause", "message"),
    [
        (
            SLURM,
            element("NODE_FAIL", "None", "0:0"),
            Cause.INFRASTRUCTURE,
            "The job's node was lost (NODE_FAIL).",
        ),
        (
            SLURM,
            element("OUT_OF_MEMORY", "(null)", "0:125"),
            Cause.MEMORY,
            "Slurm ended the job for its memory (OUT_OF_MEMORY, exit code 0:125).",
        ),
        (
            SLURM,
            element("TIMEOUT", "TimeLimit", "0:15", "9001"),
            Cause.INFRASTRUCTURE,
            "Slurm ended the job at its time limit (TIMEOUT: TimeLimit, exit code 0:15). Its node "
            "did not end it.",
        ),
        (
            SLURM,
            element("WEIRD"),
            Cause.INFRASTRUCTURE,
            "The job ended without an exit code (WEIRD).",
        ),
        (
            KUBERNETES,
            Element("OOMKilled", "", "137", is_over=True),
            Cause.MEMORY,
            "The container was killed for its memory (OOMKilled, exit code 137).",
        ),
        (
            KUBERNETES,
            Element("Error", "no list of tasks", "2", is_over=True),
            Cause.INFRASTRUCTURE,
            "The container ended with exit code 2 and left no record (Error: no list of tasks).",
        ),
        (
            KUBERNETES,
            Element("", is_over=True),
            Cause.INTERRUPTED,
            "The pod was preempted, drained, or deleted by someone (no reason was given).",
        ),
    ],
)
def test_a_state_or_else_the_exit_code_gives_the_cause(
    tmp_path: Path, cluster: Cluster, ended: Element, cause: Cause, message: str
) -> None:
    log = tmp_path / "job.log"
    log.write_text("nothing about a limit\n")
    assert cluster.cause_of(ended, log) == (cause, message)


def test_a_job_elsewhere_is_given_the_region_and_the_bucket_s_own_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other services of AWS stay AWS's own."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    assert bucket_variables() == {}
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000")
    regions = {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"}
    assert bucket_variables() == regions | {"AWS_ENDPOINT_URL_S3": "http://minio:9000"}
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://bucket:9000")
    assert bucket_variables("us-east-1") == {
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": "http://bucket:9000",
    }
