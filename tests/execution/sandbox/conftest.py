"""The sandbox by every means that works on this machine."""

import os
from collections.abc import Iterator

import pytest

from benchmark.errors import SetupError
from benchmark.execution.sandbox.sandbox import Sandbox
from tests.support.works import MEANS, command


@pytest.fixture(scope="session")
def _sandboxes() -> Iterator[dict[str, Sandbox]]:
    """By means the sandbox that the tests of this worker share."""
    made: dict[str, Sandbox] = {}
    yield made
    for sandbox in made.values():
        sandbox.close()


@pytest.fixture(params=MEANS)
def sandbox(request: pytest.FixtureRequest, _sandboxes: dict[str, Sandbox]) -> Iterator[Sandbox]:
    """Its interpreters are those of the test before; after an interrupt it is a new one."""
    means = request.param
    if means not in _sandboxes:
        made = Sandbox(cores=[min(os.sched_getaffinity(0))], means=means)
        try:
            made.run(command("/bin/true"))
        except SetupError as error:
            made.close()
            pytest.skip(f"{means} does not work on this machine: {error}")
        _sandboxes[means] = made
    shared = _sandboxes[means]
    yield shared
    shared.discard_work()
    if shared._closing:
        _sandboxes.pop(means).close()
