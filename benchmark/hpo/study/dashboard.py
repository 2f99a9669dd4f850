"""optuna-dashboard over a study's storage, on the loopback interface and a port of its own.

It knows no passwords, and anyone who reaches it can delete; so no other machine does, unless a
host is named.
"""

from __future__ import annotations

import socketserver
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from benchmark.config.extras import install
from benchmark.errors import BenchmarkError
from benchmark.hpo.spec.study_file import StudyDefinition
from benchmark.hpo.storages.deleted_trials import RemainingTrials
from benchmark.hpo.storages.optuna_private import FrozenStudy, study_with_id, trial_id_of, with_id
from benchmark.hpo.storages.storage import holds_journals, open_storage, reaching
from benchmark.hpo.storages.study_journal import StudyJournal
from benchmark.hpo.study.store import journal_path
from benchmark.records.tasks import Run

if TYPE_CHECKING:
    from benchmark.hpo.storages.journal_database import JournalTable

HOST = "127.0.0.1"
PORT = 8080


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server of the dashboard; `page` is the path to open."""

    daemon_threads = True
    page = "/dashboard"


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """A page asks every few seconds; a line for each would bury what matters."""


def server(run: Run, definition: StudyDefinition, host: str = HOST, port: int = PORT) -> Server:
    """A server that is bound and not yet serving; port 0 takes any that is free.

    Raises:
        BenchmarkError: the package is missing, the study has no storage here, or the port is taken.
    """
    place = definition.storage or journal_path(run.store, run.name)
    if "://" not in place and not Path(place).is_file():
        raise BenchmarkError(
            f"Optuna's file of '{definition.name}' is not on this machine at {place}; "
            f"`tune --resume {definition.name}` makes it again from the records."
        )
    storage = open_storage(place, definition.name)
    study_id = storage.get_study_id_from_name(definition.name)
    bound = _bound(lambda: RemainingTrials(storage, study_id), host, port)
    bound.page += f"/studies/{study_id}"
    return bound


def server_of_all(url: str, host: str = HOST, port: int = PORT) -> Server:
    """The same over all studies of a database.

    Raises:
        BenchmarkError: the package is missing, the database cannot be used, or the port is taken.
    """
    if "://" not in url or not holds_journals(url):
        raise BenchmarkError(f"'{url}' is not a database; give postgresql://… or sqlite:///FILE.")
    return _bound(partial(_all_studies, url), host, port)


def _all_studies(url: str) -> BaseStorage:
    from benchmark.hpo.storages.journal_database import JournalTable, engine_of

    with reaching(url):
        return DatabaseStudies(JournalTable(engine_of(url)))


def _bound(opened: Callable[[], BaseStorage], host: str, port: int) -> Server:
    try:
        import optuna_dashboard
    except ImportError:
        raise BenchmarkError(
            "The dashboard needs the package optuna-dashboard, which is not installed; install "
            f"the extra 'dashboard': {install('dashboard')}"
        ) from None
    app = optuna_dashboard.wsgi(opened())
    try:
        return make_server(host, port, app, server_class=Server, handler_class=_Quiet)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchmarkError(
            f"Port {port} of {host} cannot be had: {reason}; choose another --port."
        ) from None


_TRIALS = 32  # bits of a trial's id


def _of_study(name: str) -> Callable[..., Any]:
    def call(self: Any, study_id: int, *args: Any, **named: Any) -> Any:
        return getattr(self._of(study_id), name)(0, *args, **named)

    return call


def _of_trial(name: str) -> Callable[..., Any]:
    def call(self: Any, trial_id: int, *args: Any, **named: Any) -> Any:
        storage, own = self._trial(trial_id)
        return getattr(storage, name)(own, *args, **named)

    return call


# What is not defined below is passed on to the storage of the study that the first argument names.
_PassedOn: Any = type(
    "_PassedOn",
    (BaseStorage,),
    {
        name: _of_trial(name) if name.startswith("set_trial_") else _of_study(name)
        for name in BaseStorage.__abstractmethods__
    },
)


class DatabaseStudies(_PassedOn):  # type: ignore[misc]
    """All studies of a database as one Optuna storage, to read, annotate and delete.

    Each study has its own journal; a study's id is the journal's, and a trial's id contains both.
    Studies and trials are created by `tune` or the service.
    """

    def __init__(self, table: JournalTable) -> None:
        self._table = table
        self._open: dict[int, BaseStorage] = {}

    def create_new_study(
        self, directions: Sequence[StudyDirection], study_name: str | None = None
    ) -> int:
        raise NotImplementedError("Studies are created by `tune` or the service.")

    def delete_study(self, study_id: int) -> None:
        self._table.delete(self.get_study_name_from_id(study_id))

    def get_study_id_from_name(self, study_name: str) -> int:
        return {name: number for number, name in self._table.ids().items()}[study_name]

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._table.ids()[study_id]

    def get_all_studies(self) -> list[FrozenStudy]:
        found = []
        for study_id in self._table.ids():
            for study in self._of(study_id).get_all_studies():
                found.append(study_with_id(study, study_id))
        return found

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        return self._id(study_id, self._of(study_id).create_new_trial(0, template_trial))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        study, own = self._trial(trial_id)
        return self._shown(trial_id >> _TRIALS, study.get_trial(own))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        trials = self._of(study_id).get_all_trials(0, deepcopy, states)
        return [self._shown(study_id, trial) for trial in trials]

    def _of(self, study_id: int) -> BaseStorage:
        if study_id not in self._open:
            journal = self._table.find(self.get_study_name_from_id(study_id))
            if journal is None:
                raise KeyError(study_id)
            self._open[study_id] = RemainingTrials(StudyJournal(journal), 0)
        return self._open[study_id]

    def _trial(self, trial_id: int) -> tuple[BaseStorage, int]:
        return self._of(trial_id >> _TRIALS), trial_id & ((1 << _TRIALS) - 1)

    def _id(self, study_id: int, own: int) -> int:
        return study_id << _TRIALS | own

    def _shown(self, study_id: int, trial: FrozenTrial) -> FrozenTrial:
        return with_id(trial, self._id(study_id, trial_id_of(trial)))
