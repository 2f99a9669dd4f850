"""An empty account, and the site that a configuration describes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.compute.aws.clients import Aws
from benchmark.compute.aws.resources import Site
from benchmark.config.loading import Config
from tests.support.aws_account import Account
from tests.support.aws_double import KEYS


@pytest.fixture
def account(aws: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    from moto.moto_api._internal.models import moto_api_backend

    moto_api_backend.reset()
    for name, value in KEYS.items():
        aws.setenv(name, value)
    with Account(tmp_path) as double:
        aws.setenv("AWS_ENDPOINT_URL", double.endpoint)
        yield double


@pytest.fixture
def site(account: Account, make_config: Callable[..., Config]) -> Site:
    config = make_config(s3_bucket_root="my-results", s3_folder="a/", cluster_size=7, cores=2)
    return Site(Aws(), config, pause_s=0.01)
