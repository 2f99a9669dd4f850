"""What can be refused before anything costs money, one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.compute import methods
from benchmark.compute.aws.clients import Aws
from benchmark.compute.batch.definition import template_of
from benchmark.compute.batch.image import check_images
from benchmark.compute.batch.queue import check_queue
from benchmark.compute.images import framework_names
from benchmark.errors import BenchmarkError, ConfigError

if TYPE_CHECKING:
    from benchmark.config.loading import Config

METHOD = "batch"


def check(config: Config) -> None:
    """Refuse what AWS Batch cannot do with this configuration; nothing is made or changed.

    Raises:
        ConfigError: with what is wrong, in one sentence.
    """
    queue = config.job_queue_id
    if not queue:
        raise ConfigError(
            "'job_queue_id' is unset, and the method batch needs a job queue of AWS Batch; set it "
            "to the queue's name or ARN."
        )
    if not config.store_url.startswith("s3://"):
        raise ConfigError(
            f"The results would go to {config.store_url}, which the jobs of AWS Batch cannot "
            "reach; name a bucket in 's3_bucket_root'."
        )
    if not (config.ecr_repo or config.job_definition_id):
        raise ConfigError(
            "Neither 'ecr_repo' nor 'job_definition_id' is set, so AWS Batch has no image to run; "
            "set one of them."
        )
    try:
        aws = Aws()
        check_queue(aws, queue)
        if config.aws.on_demand_queue:
            check_queue(aws, config.aws.on_demand_queue, "on_demand_queue")
        template_of(aws, config)
        check_images(aws, config, _names(config))
    except ConfigError:
        raise
    except BenchmarkError as error:
        raise ConfigError(str(error)) from None


def _names(config: Config) -> list[str]:
    """The frameworks that go to this method."""
    named = framework_names(config)
    chosen = methods.methods_of(config, named).methods
    return sorted({named[label] for label, method in chosen.items() if method == METHOD})
