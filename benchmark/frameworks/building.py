"""Build the environments of several frameworks, two at a time, and check that each works.

for built in build_all(frameworks, report=print):
    print(built.framework.name, built.error or built.environment.folder)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from benchmark.errors import SetupError
from benchmark.frameworks.environments import Environment, ensure, verify
from benchmark.frameworks.framework import Framework

SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Built:
    """A framework with its environment, or with the error.

    `import_s` is the duration of importing what it preloads; None if it was not tried.
    """

    framework: Framework
    environment: Environment | None
    error: str | None = None
    import_s: float | None = None


def build_all(
    frameworks: Sequence[Framework],
    report: Callable[[str], None] | None = None,
    *,
    verified: bool = True,
) -> Iterator[Built]:
    """Build what is missing; yield each framework as soon as it is done.

    Cached environments are not built again, so an interrupted set-up resumes where it stopped;
    it waits for another process that builds the same environment. `verified` also imports what each
    framework preloads.
    """
    groups: dict[str, list[Framework]] = {}
    for framework in frameworks:
        groups.setdefault(f"{framework.environment} {framework.lock}", []).append(framework)
    pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="environment")
    try:
        waiting = [pool.submit(_built, group, report, verified) for group in groups.values()]
        for done in as_completed(waiting):
            yield from done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _built(
    group: Sequence[Framework], report: Callable[[str], None] | None, verified: bool
) -> list[Built]:
    """The frameworks that share an environment: built for the first, checked for each."""
    return [_one(framework, report, verified) for framework in group]


def _one(framework: Framework, report: Callable[[str], None] | None, verified: bool) -> Built:
    try:
        environment = ensure(framework, report)
    except SetupError as error:
        return Built(framework, None, str(error))
    try:
        seconds = verify(framework, environment) if verified else None
    except SetupError as error:
        return Built(framework, environment, str(error))
    return Built(framework, environment, None, seconds)
