"""A running double of AWS Batch with a queue, and the SDK's variables set for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from batch_double import KEYS, BatchDouble

from benchmark.compute.batch.batch import BatchDispatcher, Pace
from benchmark.config import Config

QUICK = Pace(store_s=0.2, engine_s=0.3, stuck_s=0.5, settle_s=1.0, patience_s=20.0)


@pytest.fixture
def batch(tmp_path: Path, aws: pytest.MonkeyPatch) -> Iterator[BatchDouble]:
    from moto.core.models import default_user_config
    from moto.moto_api._internal.models import moto_api_backend

    assert default_user_config is not None
    moto_api_backend.reset()
    folder = tmp_path / "containers"
    folder.mkdir()
    for name, value in KEYS.items():
        aws.setenv(name, value)
    aws.setattr(BatchDispatcher, "pace", QUICK)
    with BatchDouble(folder) as double:
        aws.setenv("AWS_ENDPOINT_URL_BATCH", double.endpoint)
        aws.setenv("AWS_ENDPOINT_URL_ECR", double.endpoint)
        double.make_queue()
        yield double


@pytest.fixture
def make_config(make_config: Callable[..., Config]) -> Callable[..., Config]:
    """A small configuration for the queue and images of the double."""
    place = {"job_queue_id": "bench", "ecr_repo": "registry.example/bench"}

    def make(**changes: Any) -> Config:
        return make_config(**(place | changes))

    return make
