"""The interface of backends: where experiments are kept, and what an opened one consists of."""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage

from benchmark.errors import StoreError
from benchmark.hpo.service.core.errors import ExistsError, NotFoundError
from benchmark.hpo.service.core.leases import Leases
from benchmark.hpo.service.core.terms import Terms
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.records.tasks import Run

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
