"""What is refused before anything costs money, one sentence each, and nothing is made by it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmark.compute.batch.batch import BatchDispatcher
from benchmark.compute.images import image_tag
from benchmark.config.loading import Config
from benchmark.errors import ConfigError
from tests.support.batch_double import BatchDouble

MANIFEST = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/bench"


@pytest.fixture
def make_config(make_config: Callable[..., Config]) -> Callable[..., Config]:
    good = {
        "job_queue_id": "bench",
        "ecr_repo": "registry.example/bench",
        "s3_bucket_root": "bucket",
        "compute": {"*": "batch"},
    }
    return lambda **changes: make_config(**(good | changes))


def template(batch: BatchDouble, **changes: object) -> None:
    container = {
        "image": "registry.example/other:1",
        "jobRoleArn": "arn:aws:iam::123456789012:role/tasks",
        "vcpus": 1,
        "memory": 100,
    }
    batch.client().register_job_definition(
        jobDefinitionName="template", type="container", containerProperties=container | changes
    )


def test_what_is_right_is_accepted_and_nothing_is_made(
    batch: BatchDouble, make_config: Callable[..., Config]
) -> None:
    template(batch)
    before = batch.calls.copy()
    BatchDispatcher.check(make_config())
    BatchDispatcher.check(make_config(ecr_repo=None, job_definition_id="template"))
    BatchDispatcher.check(make_config(ecr_repo=None, job_definition_id="template:1"))
    made = {name for name in batch.calls - before if not name.startswith("describe")}
    assert made == set()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job_queue_id": None}, "'job_queue_id' is unset"),
        ({"s3_bucket_root": None}, r"would go to \./runs/"),
        ({"ecr_repo": None}, "Neither 'ecr_repo' nor 'job_definition_id'"),
        ({"job_queue_id": "absent"}, r"no such job queue in eu-central-1 \(there: bench\)"),
        (
            {"job_queue_id": "arn:aws:batch:us-west-2:123456789012:job-queue/bench"},
            "queue in us-west-2 and the region is eu-central-1; set AWS_REGION=us-west-2",
        ),
        ({"job_definition_id": "absent"}, "no active job definition of this name in eu-central-1"),
        ({"job_definition_id": "absent:3"}, "no active job definition of this name"),
    ],
)
def test_a_wrong_key_is_a_sentence(
    batch: BatchDouble,
    make_config: Callable[..., Config],
    changes: dict[str, object],
    words: str,
) -> None:
    with pytest.raises(ConfigError, match=words):
        BatchDispatcher.check(make_config(**changes))


def test_no_credentials_and_no_region_are_sentences(
    batch: BatchDouble, make_config: Callable[..., Config], aws: pytest.MonkeyPatch
) -> None:
    with aws.context() as patch:
        patch.delenv("AWS_REGION")
        patch.delenv("AWS_DEFAULT_REGION")
        with pytest.raises(ConfigError, match="No AWS region is set; set AWS_REGION"):
            BatchDispatcher.check(make_config())
    aws.delenv("AWS_ACCESS_KEY_ID")
    aws.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="There are no AWS credentials; set AWS_PROFILE"):
        BatchDispatcher.check(make_config())


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "AccessDeniedException", "AWS denies batch:DescribeJobQueues"),
        (403, "UnrecognizedClientException", "AWS does not know these credentials"),
        (403, "InvalidSignatureException", "AWS does not know these credentials"),
    ],
)
def test_a_denial_is_a_sentence(
    batch: BatchDouble, make_config: Callable[..., Config], status: int, code: str, words: str
) -> None:
    batch.fault = lambda name, number: (status, code)
    with pytest.raises(ConfigError, match=words):
        BatchDispatcher.check(make_config())


def test_a_disabled_queue_is_refused(
    batch: BatchDouble, make_config: Callable[..., Config]
) -> None:
    batch.make_queue("closed", state="DISABLED")
    with pytest.raises(ConfigError, match="queue closed is disabled; enable it"):
        BatchDispatcher.check(make_config(job_queue_id="closed"))
    batch.client().update_compute_environment(computeEnvironment="bench-machines", state="DISABLED")
    with pytest.raises(ConfigError, match=r"no compute environment that works.*is DISABLED"):
        BatchDispatcher.check(make_config())


def test_an_image_that_ecr_does_not_have_is_refused(
    batch: BatchDouble, make_config: Callable[..., Config]
) -> None:
    config = make_config(ecr_repo=ECR)
    with pytest.raises(ConfigError, match="no such repository in eu-central-1"):
        BatchDispatcher.check(config)
    with pytest.raises(ConfigError, match="no such repository in eu-central-1"):
        BatchDispatcher.check(make_config(ecr_repo="bench"))
    ecr = batch.client("ecr")
    ecr.create_repository(repositoryName="bench")
    with pytest.raises(ConfigError, match=f"image of constant is not in {ECR} .*init-compute"):
        BatchDispatcher.check(config)
    ecr.put_image(
        repositoryName="bench", imageManifest=MANIFEST, imageTag=image_tag(config, "constant")
    )
    BatchDispatcher.check(config)
    BatchDispatcher.check(make_config(ecr_repo="bench"))


def test_the_template_gives_roles_and_the_configuration_the_limits(
    batch: BatchDouble, make_config: Callable[..., Config]
) -> None:
    from benchmark.compute.aws.clients import Aws
    from benchmark.compute.batch.definition import definition, registered, template_of
    from benchmark.records.tasks import Resources

    template(batch, resourceRequirements=[{"type": "GPU", "value": "1"}])
    aws = Aws()
    found = template_of(aws, make_config(job_definition_id="template"))
    limits = Resources(cores=4, memory_mb=2000, runtime_s=5, hard_limit_s=10.5)
    wanted = definition("mine-h2o", "registry.example/bench:h", limits, 1000, 900, 3, found)
    first = registered(aws, wanted)
    assert registered(aws, wanted) == first
    made = batch.client().describe_job_definitions(jobDefinitions=[first])["jobDefinitions"][0]
    container = made["containerProperties"]
    assert container["jobRoleArn"].endswith("role/tasks")
    assert container["image"] == "registry.example/bench:h"
    assert {need["type"]: need["value"] for need in container["resourceRequirements"]} == {
        "VCPU": "4",
        "MEMORY": "3000",
        "GPU": "1",
    }
    assert container["linuxParameters"]["sharedMemorySize"] == 900
    assert made["timeout"] == {"attemptDurationSeconds": 311}
    assert made["retryStrategy"]["attempts"] == 3
    last = made["retryStrategy"]["evaluateOnExit"][-1]
    assert (last["action"].upper(), last["onReason"]) == ("EXIT", "*")
    other = registered(aws, definition("mine-h2o", None, limits, 1000, 900, 3, found))
    assert other.endswith("mine-h2o:2")
