"""The script by which users accept the program on their own account, against the doubles."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.compute.aws.test_resources import Account
from tests.support.aws_double import KEYS
from tests.support.batch_double import BatchDouble
from tests.support.batch_job import Job
from tests.support.docker_double import docker_double
from tests.support.fleet_double import FleetDouble, told_to_machines

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "prove/aws_acceptance.py"
BUCKET = "accepted"
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {"digest": "sha256:00ff"},
    "layers": [],
}
LINKED = {"AWSServiceRoleForEC2Spot", "AWSServiceRoleForEC2Fleet"}


class WholeAccount(Account, BatchDouble, FleetDouble):
    """IAM, S3, ECR, SQS, AWS Batch and EC2 in one account. Batch's jobs are on one machine."""

    host = SimpleNamespace(id="i-00ff", type="m5.large", lifecycle="spot", notice=None)

    def _container(self, job: Job, told: dict[str, str]) -> tuple[list[str], dict[str, str]]:
        command, variables = super()._container(job, told)
        variables.pop("AWS_EC2_METADATA_DISABLED", None)
        place = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{self.endpoint}/imds/{self.host.id}"}
        return command, variables | place

    def _serve(self, environ: dict[str, Any], start: Any) -> Any:
        before, _, asked = environ["PATH_INFO"].partition(f"/imds/{self.host.id}/latest/")
        if before or not asked:
            return super()._serve(environ, start)
        said = self._metadata(self.host, asked)
        start("404 Not Found" if said is None else "200 OK", [])
        return [(said or "").encode()]


@pytest.fixture
def account(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[WholeAccount]:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    for name, value in KEYS.items():
        aws.setenv(name, value)
    folder = tmp_path / "account"
    folder.mkdir()
    with WholeAccount(folder) as double:
        aws.setenv("AWS_ENDPOINT_URL", double.endpoint)
        aws.setenv("AWS_ENDPOINT_URL_SQS", double.endpoint)
        double.variables = told_to_machines()

        def pushed(repository: str, tag: str) -> None:
            ecr, manifest = double.client("ecr"), json.dumps(MANIFEST | {"tag": tag})
            with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
                ecr.put_image(
                    repositoryName=repository.partition("/")[2],
                    imageTag=tag,
                    imageManifest=manifest,
                )

        with docker_double(tmp_path / "bin", pushed) as variables:
            for name, value in variables.items():
                aws.setenv(name, value)
            aws.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
            aws.setenv("ACCEPTANCE_PAUSE_S", "0.1")
            yield double


@pytest.fixture
def accept(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(SCRIPT), "--bucket", BUCKET, *words],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


Accept = Callable[..., subprocess.CompletedProcess[str]]


def nothing_left(account: WholeAccount) -> None:
    assert account.living() == []
    assert "QueueUrls" not in account.client("sqs").list_queues()
    assert account.client("s3").list_buckets()["Buckets"] == []
    batch = account.client()
    assert batch.describe_compute_environments()["computeEnvironments"] == []
    assert batch.describe_job_queues()["jobQueues"] == []
    assert batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"] == []
    assert {one["RoleName"] for one in account.client("iam").list_roles()["Roles"]} <= LINKED
    assert account.client("ec2").describe_launch_templates()["LaunchTemplates"] == []
    assert account.client("ecr").describe_repositories()["repositories"] == []


def test_every_promise_is_kept_and_all_is_removed(
    account: WholeAccount, accept: Accept, tmp_path: Path
) -> None:
    refused = accept()
    assert refused.returncode == 1
    assert "likely costs 0.10 USD" in refused.stdout
    assert refused.stderr == "Not a terminal; pass --yes.\n"
    assert account.calls.total() == 0
    done = accept("--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    steps = done.stdout.partition("\n\n")[2].splitlines()
    names = ["create", "again", "check", "batch", "fleet", "limit", "destroy"]
    assert [line.split()[0] for line in steps[: len(names)]] == names
    assert all(line.split()[1].startswith("kept") for line in steps[: len(names)])
    assert "batch spent: 0." in done.stdout
    assert len(account.instances) >= 2
    assert account.jobs
    nothing_left(account)
    assert not (tmp_path / "aws-acceptance/acceptance.json").exists()


def test_a_step_that_fails_is_reported_and_all_is_removed(
    account: WholeAccount, accept: Accept
) -> None:
    account.fault = lambda name, _: (403, "AccessDenied") if name == "submitjob" else None
    done = accept("--yes")
    assert done.returncode == 1
    assert "batch    BROKEN: `main.py execute-compute" in done.stdout
    assert "fleet" not in done.stdout.partition("\n\n")[2]
    assert "destroy  kept, nothing is left" in done.stdout
    nothing_left(account)


@pytest.mark.soak
def test_what_is_kept_after_a_failure_is_removed_by_destroy(
    account: WholeAccount, accept: Accept, tmp_path: Path
) -> None:
    account.fault = lambda name, _: (
        (403, "AccessDenied") if name == "createcomputeenvironment" else None
    )
    first = accept("--yes", "--keep")
    assert first.returncode == 1
    assert "create   BROKEN" in first.stdout
    assert account.client("s3").list_buckets()["Buckets"]
    account.fault = lambda name, _: (
        (403, "AccessDenied") if name == "describejobdefinitions" else None
    )
    second = accept("--yes", "--keep")
    assert "create   BROKEN" in second.stdout
    state = json.loads((tmp_path / "aws-acceptance/acceptance.json").read_text())
    assert state["done"] == []
    account.fault = lambda *_: None
    gone = accept("--destroy")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    nothing_left(account)
    assert accept("--destroy").returncode == 1


def test_an_account_that_holds_what_could_be_hit_is_refused(
    account: WholeAccount, accept: Accept
) -> None:
    account.client("sqs").create_queue(QueueName="automl-benchmark-0123456789ab")
    busy = accept("--yes")
    assert "A fleet runs in this account" in busy.stderr
    account.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    taken = accept("--yes")
    assert f"The bucket {BUCKET} exists" in taken.stderr
    assert {busy.returncode, taken.returncode} == {1}
    assert not account.calls["createrole"]
