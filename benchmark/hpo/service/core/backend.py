"""What a backend provides: where experiments are kept, what an opened one has, and its leases.

What a trial's client was promised stands in the trial as well (its token and its time), so that a
server that was killed goes on with the same promises; their time begins again then.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage

from benchmark.errors import StoreError
from benchmark.hpo.service.core.errors import ExistsError, NotFoundError
from benchmark.hpo.service.core.terms import Terms
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.tasks import Run


@dataclass(frozen=True)
class Lease:
    """Until `ends_s` by the keeper's clock the trial is of who has the token; None: for good."""

    token: str
    ends_s: float | None


class Leases(Protocol):
    """The leases of one experiment. All but `renew` and `release` are called in `exclusive`."""

    def exclusive(self) -> contextlib.AbstractContextManager[bool]:
        """One ask at a time, over all processes; whether the storage was read again in it."""

    def keep_out(self) -> None:
        """Let programs that are no servers wait with their writes until `exclusive` ends."""

    def unlocked(self) -> contextlib.AbstractContextManager[bool]:
        """One ask at a time in this process; False where other processes write too.

        Within, new trials may be written that are refused where others have written meanwhile.
        """

    def may_have_ended(self, running: Iterable[int]) -> bool:
        """Whether one of these may be free, as far as is known without a look."""

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        """From now on the trial is of who has the token."""

    def free(self, running: Iterable[int]) -> list[int]:
        """Those of the running trials whose lease has ended or was never."""

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        """Begin the lease's time again; False where it may have ended, or is another's."""

    def release(self, number: int) -> None:
        """The trial has ended."""


class MemoryLeases:
    """Whose a trial is, and for how long, where one process has the experiment alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        # A heartbeat does not wait for an ask's write, but must not overwrite what an ask grants.
        self._guard = threading.RLock()
        self._leases: dict[int, Lease] = {}

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[bool]:
        with self._turn:
            yield False

    def keep_out(self) -> None:
        """There are none."""

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[bool]:
        yield False  # `exclusive` costs nothing

    def may_have_ended(self, running: Iterable[int]) -> bool:
        return bool(self.free(running))

    def grant(self, number: int, token: str, lease_s: float | None) -> None:
        with self._guard:
            ends = None if lease_s is None else self._clock() + lease_s
            self._leases[number] = Lease(token, ends)

    def promise(self, number: int, token: str, lease_s: float | None) -> None:
        """Grant what was granted before this process began; what it granted itself stays."""
        with self._guard:
            lease = self._leases.get(number)
            if lease is None or lease.token != token:
                self.grant(number, token, lease_s)

    def free(self, running: Iterable[int]) -> list[int]:
        with self._guard:
            now = self._clock()
            found = ((number, self._leases.get(number)) for number in running)
            ends = [(n, -math.inf if one is None else one.ends_s) for n, one in found]
        return [number for number, end in ends if end is not None and end <= now]

    def renew(self, number: int, token: str, lease_s: float | None) -> bool:
        with self._guard:
            lease = self._leases.get(number)
            if lease is None or lease.token != token or number in self.free([number]):
                return False
            self.grant(number, token, lease_s)
            return True

    def release(self, number: int) -> None:
        with self._guard:
            self._leases.pop(number, None)


# The most connections to a database: four servers fit into PostgreSQL's default of 100.
CONNECTIONS = 20


@dataclass
class Opened:
    """An experiment's parts. `alone` where no other process can have it; `close` gives it back."""

    definition: StudyDefinition
    terms: Terms
    storage: BaseStorage
    leases: Leases
    run: Run | None
    alone: bool
    close: contextlib.ExitStack


class Backend(ABC):
    """Experiments by the names of their studies."""

    @abstractmethod
    def names(self) -> list[str]:
        """The studies there are."""

    @abstractmethod
    def title(self, study: str) -> str:
        """The name that a client gave the experiment; the study's where it was none."""

    @abstractmethod
    def create(self, definition: StudyDefinition, terms: Terms) -> None:
        """Found an experiment: it is there, whole, when this returns, or not at all.

        Raises:
            ExistsError: there is one of that name.
        """

    @abstractmethod
    def open(self, study: str) -> Opened:
        """The experiment to work with.

        Raises:
            NotFoundError: there is none.
            ConflictError: another process drives it.
        """

    @abstractmethod
    def delete(self, study: str) -> None:
        """Remove an experiment that no one has opened, with all its results."""

    @abstractmethod
    def check(self) -> None:
        """Whether the place can be read and written.

        Raises:
            StoreError: it cannot.
        """


def exists(experiment: str) -> ExistsError:
    return ExistsError(f"There is an experiment '{experiment}'; choose another name.")


def missing(study: str) -> NotFoundError:
    return NotFoundError(f"There is no experiment '{study}'.")


def storage_fault(error: Exception) -> StoreError | None:
    """A database that is full or away; None for another error."""
    # A server without a database does not import its driver, which takes an eighth of its start.
    sql = sys.modules.get("sqlalchemy.exc")
    kinds = (StorageInternalError,) if sql is None else (StorageInternalError, sql.SQLAlchemyError)
    if not isinstance(error, kinds):
        return None
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    reason = str(getattr(cause, "orig", None) or type(cause).__name__).strip().splitlines()[0]
    return StoreError(f"The study storage cannot be used: {reason}.")


@contextlib.contextmanager
def storage_faults() -> Iterator[None]:
    """A database that is full or away, as a StoreError."""
    try:
        yield
    except Exception as error:
        fault = storage_fault(error)
        if fault is None:
            raise
        raise fault from error
