"""The fixture `proxy`: the endpoint of `s3`, with faults at hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from prove.proxy import FaultyProxy
from tests.support.services import Seaweed


@pytest.fixture
def proxy(s3: str, seaweed: Seaweed, aws: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """The endpoint of `s3`, with faults at hand."""
    with FaultyProxy(seaweed.endpoint) as proxy:
        aws.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        yield proxy
