"""Three requests of ten are throttled, and what is described may not be known yet."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.compute.aws import clients
from benchmark.compute.aws.clients import Aws
from benchmark.compute.aws.resources import Site, create, destroy, resources_of
from benchmark.compute.baremetal.baremetal import BaremetalDispatcher
from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.config.loading import Config
from benchmark.runs.plan import Plan
from benchmark.store import Store, open_store
from tests.compute.aws.test_resources import Account
from tests.support.aws_double import KEYS, AwsDouble
from tests.support.aws_eventually import eventually
from tests.support.batch_double import CONFIGURATION, BatchDouble
from tests.support.fleet_double import FleetDouble

pytestmark = pytest.mark.integration

PASSES = 4
SHARE, BUCKET = 0.3, "my-results"
# What must have met something that was made and is not known yet.
LATER = {
    *("iam:GetRole", "iam:AttachRolePolicy", "iam:PutRolePolicy", "iam:GetInstanceProfile"),
    *("iam:AddRoleToInstanceProfile", "ec2:DescribeSecurityGroups", "ec2:CreateLaunchTemplate"),
    *("batch:CreateComputeEnvironment", "batch:DescribeComputeEnvironments"),
    *("batch:CreateJobQueue", "batch:DescribeJobQueues", "s3:PutPublicAccessBlock"),
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK waits for seconds after each refusal, and slows down after several."""
    retries = "botocore.retries"
    monkeypatch.setattr(f"{retries}.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    limiter = f"{retries}.adaptive.ClientRateLimiter.on_sending_request"
    monkeypatch.setattr(limiter, lambda *_, **__: None)
    # What was made stays new, however long this machine takes.
    monkeypatch.setattr(clients, "_SPREAD_S", math.inf)


def throttle(double: AwsDouble) -> list[str]:
    """Returns the operations that were refused, as they are."""
    chance, refused = random.Random(23), []

    def fault(name: str, number: int) -> tuple[int, str] | None:
        if chance.random() > SHARE:
            return None
        refused.append(name)
        return (503, "SlowDown") if name == BUCKET else (400, "ThrottlingException")

    double.fault = fault
    return refused


def test_resources_are_created_and_removed(
    aws: pytest.MonkeyPatch, tmp_path: Path, make_config: Callable[..., Config]
) -> None:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    for name, value in KEYS.items():
        aws.setenv(name, value)
    with Account(tmp_path) as account:
        aws.setenv("AWS_ENDPOINT_URL", account.endpoint)
        site = Site(Aws(), make_config(s3_bucket_root=BUCKET), pause_s=0.01)
        refused = throttle(account)
        later = eventually(aws)
        assert {one.done for one in create(site)} == {"made"}
        ours = [one for one in resources_of(site) if one.kind != "service-linked role"]
        for _ in range(PASSES):  # A description that is empty at first hides what there is.
            done = {one.done for one in destroy(site) if not one.what.startswith("service-linked")}
            assert done <= {"removed"}
        assert {one.find() for one in ours} == {None}
    assert set(later.seen) >= LATER
    assert len(refused) > 0.2 * account.calls.total()


def test_jobs_are_sent_once_and_ended(
    batch: BatchDouble,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    folder_store: Store,
    aws: pytest.MonkeyPatch,
) -> None:
    batch.slots = 0
    plan = make_plan(folder_store, job_queue_id=None, ecr_repo=None)
    refused = throttle(batch)
    eventually(aws)
    with BatchDispatcher(plan.run, make_config(**CONFIGURATION)) as dispatcher:
        dispatcher.submit(plan.tasks)
        while not batch.jobs:
            assert dispatcher.completed(timeout_s=0.2) == []
        assert dispatcher.completed(timeout_s=2) == []
        (job,) = batch.jobs.values()
        assert len(job.children) == 2
    assert {child.status for child in job.children} == {"FAILED"}
    assert refused


def test_a_fleet_is_started_and_nothing_of_it_is_left(
    fleet: FleetDouble,
    s3: str,
    make_plan: Callable[..., Plan],
    make_config: Callable[..., Config],
    aws: pytest.MonkeyPatch,
) -> None:
    config = make_config(
        ec2_template=fleet.make_template(), instance_types=["c5.large"], cluster_size=2, parallel=1
    )
    fleet.before_boot = "exec sleep 600\n"
    plan = make_plan(open_store(s3))
    refused = throttle(fleet)
    eventually(aws)
    with BaremetalDispatcher(plan.run, config) as dispatcher:
        dispatcher.submit(plan.tasks)
        while not fleet.living():
            dispatcher.completed(timeout_s=0.2)
        dispatcher.completed(timeout_s=2)
        assert 1 <= len(fleet.living()) <= 2
    fleet.fault = lambda name, number: None
    assert fleet.living() == []
    assert "QueueUrls" not in fleet.client("sqs").list_queues()
    assert refused
