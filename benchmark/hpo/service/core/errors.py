"""What the service refuses, each with the status code that the wires answer."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.errors import BenchmarkError


class ServiceError(BenchmarkError):
    """Base: a request that cannot be served. `code` is for programs, the sentence for people."""

    status = 400
    code = "invalid"


class InvalidError(ServiceError):
    """The request has a value that cannot be; `faults` are its sentences, one for each fault."""

    status = 422

    def __init__(self, message: str, faults: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults) or (message,)


class ForbiddenError(ServiceError):
    """The token is for other experiments."""

    status = 403
    code = "forbidden"


class NotFoundError(ServiceError):
    """There is no such experiment, or no such trial in it."""

    status = 404
    code = "not_found"


class ExistsError(ServiceError):
    """There is an experiment of that name."""

    status = 409
    code = "exists"


class ConflictError(ServiceError):
    """What is asked for contradicts what has happened."""

    status = 409
    code = "conflict"


class PausedError(ConflictError):
    """The experiment gives out no trials for now."""

    code = "paused"


class FinishedError(ConflictError):
    """The experiment gives out no trials any more."""

    code = "finished"


class BusyError(ServiceError):
    """Too many wait already; to be tried again."""

    status = 503
    code = "busy"


class FoundedAgainError(BusyError):
    """Another server has deleted the experiment and founded another of its name."""


class TooLargeError(ServiceError):
    """More bytes came than may."""

    status = 413
    code = "too_large"
