"""Real services that tests talk to: SeaweedFS as S3, one a pytest worker, and Prometheus.

A start of SeaweedFS takes 3 s of waiting, 0.3 s of processor time and 110 MB, so each worker has
its own: none of them has to outlive another, and the kernel ends each with the worker that started
it.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.request import urlopen

import pytest

from prove.seaweed import BUCKET, SECRET, Seaweed, free_ports, serving, variables
from tests.support import aws_limits

__all__ = [
    "BUCKET",
    "SECRET",
    "Seaweed",
    "_models",
    "aws",
    "free_ports",
    "s3",
    "scraping",
    "seaweed",
    "serving",
    "variables",
]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A running server with the bucket `bench`."""
    with serving(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def _models() -> Iterator[None]:
    """Sessions of the SDK share one loader, so that each of its models is read once, and the
    classes of its clients, and refuse what AWS's limits do. The program is compressed once."""
    import botocore.session
    from botocore.client import ClientCreator
    from botocore.loaders import create_loader

    from benchmark.compute.images import context

    classes: dict[str, type] = {}
    made = ClientCreator._create_client_class

    def once(self: ClientCreator, service_name: str, service_model: Any) -> type:
        if service_name not in classes:
            classes[service_name] = made(self, service_name, service_model)
        return classes[service_name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(create_loader))
        patch.setattr(ClientCreator, "_create_client_class", once)
        compress = functools.cache(gzip.compress)
        patch.setattr(context, "gzip", SimpleNamespace(compress=compress))
        aws_limits.enforce(patch)
        yield


@pytest.fixture
def aws(_models: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The SDK's variables as on a machine that knows nothing of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # moto makes a thousand images, and a snapshot of each, whenever it is reset.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    return monkeypatch


@pytest.fixture
def s3(seaweed: Seaweed, aws: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a real S3, with the SDK's variables set for it."""
    for name, value in variables(seaweed).items():
        aws.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(8)}/"


def scraping(url: str) -> None:
    """Wait until a server of Prometheus that was just started has tried to scrape its target."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        with suppress(OSError), urlopen(f"{url}/api/v1/query?query=up", timeout=60) as answer:
            if json.load(answer)["data"]["result"]:
                return
        time.sleep(0.1)
    pytest.fail("prometheus does not scrape")
