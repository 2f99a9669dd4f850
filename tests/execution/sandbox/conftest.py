"""The sandbox by every means that works on this machine."""

import os

import pytest

from benchmark.errors import SetupError
from benchmark.execution.sandbox.sandbox import Sandbox
from tests.support.works import MEANS, command


@pytest.fixture(params=MEANS)
def sandbox(request):
    with Sandbox(cores=[min(os.sched_getaffinity(0))], means=request.param) as made:
        try:
            made.run(command("/bin/true"))
        except SetupError as error:
            pytest.skip(f"{request.param} does not work on this machine: {error}")
        yield made
