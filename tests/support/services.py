"""Real services that tests talk to: SeaweedFS as S3, one a pytest worker.

A start takes 3 s of waiting, 0.3 s of processor time and 110 MB, so each worker has its own: none
of them has to outlive another, and the kernel ends each with the worker that started it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from prove.seaweed import BUCKET, SECRET, Seaweed, free_ports, serving, variables

__all__ = [
    "BUCKET",
    "SECRET",
    "Seaweed",
    "aws",
    "free_ports",
    "s3",
    "seaweed",
    "serving",
    "variables",
]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    """A running server with the bucket `bench`."""
    with serving(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The SDK's variables as on a machine that knows nothing of AWS."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


@pytest.fixture
def s3(seaweed: Seaweed, aws: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a real S3, with the SDK's variables set for it."""
    for name, value in variables(seaweed).items():
        aws.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(8)}/"
