"""The experiments of a server: founded, opened when they are needed, closed when they rest.

    service = Service(StoreBackend(store))
    service.create("mine", {"direction": "minimize", "tunables": [...], "trials": 100})
    with service.use("mine") as experiment:
        experiment.ask()

Only so many are held in memory as were used last; the others are on disk.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from fnmatch import fnmatchcase
from typing import Any, TypeVar, cast

from benchmark.errors import BenchmarkError, StoreError
from benchmark.hpo.service.core.backend import Backend, storage_fault, storage_faults
from benchmark.hpo.service.core.counts import Counts
from benchmark.hpo.service.core.errors import (
    ForbiddenError,
    FoundedAgainError,
    InvalidError,
    NotFoundError,
)
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.service.core.records import Recorder
from benchmark.hpo.service.core.terms import Terms, checked, study_of
from benchmark.records.results import utc_now

MOST_OPEN = 128
_SAMPLERS = 32
_CHECKED_S = 1.0
_T = TypeVar("_T")
_log = logging.getLogger("benchmark.hpo.service")
_patterns: ContextVar[tuple[str, ...]] = ContextVar("patterns", default=())


@contextlib.contextmanager
def limited_to(patterns: Iterable[str]) -> Iterator[None]:
    """Within, only experiments may be used whose name matches a pattern; without patterns all."""
    before = _patterns.set(tuple(patterns))
    try:
        yield
    finally:
        _patterns.reset(before)


def is_limited() -> bool:
    """Whether the request may use some experiments only."""
    return bool(_patterns.get())


class _Held:
    """An opened experiment, how many use it, and what keeps two from opening it at once."""

    def __init__(self) -> None:
        self.experiment: Experiment | None = None
        self.users = 0
        self.uses = 0
        """How often it was needed so far."""
        self.going = False
        self.resting = False
        """It is being closed; who needs it waits for `opening`."""
        self.opening = threading.Lock()


class Service:
    """Every experiment of a backend. For many threads."""

    def __init__(self, backend: Backend, most_open: int = MOST_OPEN) -> None:
        self._backend = backend
        self._most_open = most_open
        self._held: collections.OrderedDict[str, _Held] = collections.OrderedDict()
        self._guard = threading.Condition()
        # A slow sampler waits here for itself alone, as long as there are threads.
        self._background = ThreadPoolExecutor(_SAMPLERS, thread_name_prefix="sampler")
        self._recorder = Recorder()
        self._checking = threading.Lock()
        self._checked, self._fault = -math.inf, cast("BenchmarkError | None", None)
        self.ending = threading.Event()
        """Set when the server is about to end: answers that go on stop."""

    def create(self, experiment: str, values: dict[str, Any], **terms: Any) -> str:
        """Found an experiment; returns its study's name.

        `values` are the keys of a study file without name, objective, storage and limits.

        Raises:
            ExistsError: there is one of that name.
            InvalidError: says every fault in the values.
            ForbiddenError: the request may not use that name.
        """
        _check_permitted(experiment)
        study = study_of(experiment)
        if experiment in (".", ".."):
            raise InvalidError(
                f"The experiment's name is {experiment!r}, which clients leave out of a "
                "URL; choose another."
            )
        definition = checked(study, experiment, values)
        with storage_faults():
            self._backend.create(definition, Terms(experiment, utc_now(), **terms))
        return study

    @contextlib.contextmanager
    def use(self, experiment: str, *, looks: bool = True) -> Iterator[Experiment]:
        """The experiment, by its own name or its study's, opened while the block lasts.

        It has what other servers wrote before; without `looks` the block must read that itself.

        Raises:
            NotFoundError: there is none.
            ConflictError: another process drives it.
            FoundedAgainError: another server has founded it again while the block ran.
            ForbiddenError: the request may not use it.
        """
        study = self._study(experiment)
        held = self._hold(study)
        found: Experiment | None = None
        try:
            with storage_faults():
                found = self._opened(study, held, looks=looks)
                # Its own name: a study's name is another one of the same experiment.
                _check_permitted(found.terms.experiment)
                yield found
        except StoreError:
            if found is not None:
                self._recorder.unsure(found)
            raise
        except KeyError as error:
            # Another server has deleted it.
            with storage_faults():
                if study not in self._backend.names():
                    raise NotFoundError(f"There is no experiment '{experiment}'.") from error
                if found is None or found.is_current():
                    raise
            raise FoundedAgainError(
                f"The experiment '{experiment}' was founded again meanwhile; try again."
            ) from error
        finally:
            self._let_go(study, held)
            self._rest()

    def call(self, experiment: str, call: Callable[[Experiment], _T]) -> _T:
        """Call with the experiment what reads itself what other servers wrote."""
        try:
            with self.use(experiment, looks=False) as found:
                return call(found)
        except FoundedAgainError:
            with self.use(experiment) as found:
                return call(found)

    def call_for_all(
        self, experiment: str, call: Callable[[Experiment], list[_T | Exception]]
    ) -> list[_T | Exception]:
        """As `call` for several requests, with an error among the answers.

        After a KeyError the experiment may have been founded again: `call` tells.
        """
        with self.use(experiment, looks=False) as found:
            answers: list[_T | Exception] = [
                (storage_fault(one) or one) if isinstance(one, Exception) else one
                for one in call(found)
            ]
            if any(isinstance(one, StoreError) for one in answers):
                self._recorder.unsure(found)
        return answers

    @contextlib.contextmanager
    def use_in_memory(self, experiment: str) -> Iterator[Experiment | None]:
        """The experiment if it is open and no call waits for a disk or a network; else None."""
        with self._guard:
            study = experiment if "/" in experiment else _study_named(experiment)
            held = self._held.get(study)
            found = None if held is None or held.going else held.experiment
            if held is None or held.resting or found is None or not found.is_in_memory:
                held = None
            else:
                _check_permitted(found.terms.experiment)
                held.users += 1
                held.uses += 1
                self._held.move_to_end(study)
        try:
            yield None if held is None else found
        finally:
            if held is not None:
                self._let_go(study, held)

    def is_open(self, experiment: str) -> bool:
        """Whether a request on it need not wait until it is opened, or closed and opened again."""
        with contextlib.suppress(NotFoundError):
            held = self._held.get(experiment if "/" in experiment else _study_named(experiment))
            return held is not None and held.experiment is not None and not held.resting
        return True

    def names(self) -> list[str]:
        """The studies of the experiments that the request may use."""
        names = self._backend.names()
        if not _patterns.get():
            return names
        return [study for study in names if _is_permitted(self.title(study))]

    def titles(self) -> list[str]:
        """The names that clients gave the experiments."""
        return [self.title(study) for study in self.names()]

    def title(self, study: str) -> str:
        """The name that a client gave the experiment; its study's where that cannot be read."""
        try:
            return self._backend.title(study)
        except BenchmarkError:
            return study

    def open_counts(self) -> list[Counts]:
        """Of the experiments in memory: what each has assigned and what has ended."""
        with self._guard:
            found = [one.experiment for one in self._held.values() if one.experiment is not None]
        return [experiment.counts() for experiment in found]

    def delete(self, experiment: str) -> None:
        """Remove an experiment with all its results.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is in use by a request that has not ended.
        """
        study = self._study(experiment)
        held: _Held | None = None
        try:
            with self.use(experiment):
                held = self._hold(study, going=True)
            with self._guard:
                self._guard.wait_for(lambda: held.users == 1)
            with held.opening:
                if held.experiment is not None:
                    self._recorder.flush(held.experiment)
                self._close(held)
                self._backend.delete(study)
        finally:
            if held is not None:
                held.going = False
                self._let_go(study, held)

    def check(self) -> None:
        """Whether the place of the experiments can be read and written; looked at once a second.

        Raises:
            BenchmarkError: it cannot.
        """
        with self._checking:
            if time.monotonic() >= self._checked + _CHECKED_S:
                self._fault = None
                try:
                    with storage_faults():
                        self._backend.check()
                except BenchmarkError as error:
                    self._fault = error
                self._checked = time.monotonic()
            if self._fault is not None:
                raise self._fault

    def close(self) -> None:
        """Give all experiments back; records that are still to be written are written."""
        with self._guard:
            held = [one.experiment for one in self._held.values() if one.experiment is not None]
            self._held.clear()
        for experiment in held:
            experiment.close()
        self._background.shutdown(wait=True, cancel_futures=True)
        self._recorder.close()

    def _study(self, experiment: str) -> str:
        """A study's own name may have parts, which an experiment's cannot."""
        if "/" in experiment and (experiment in self._held or experiment in self._backend.names()):
            return experiment
        return _study_named(experiment)

    def _opened(self, study: str, held: _Held, *, looks: bool = True) -> Experiment:
        if not looks and not held.resting and (found := held.experiment) is not None:
            return found
        with held.opening:
            if held.experiment is not None and not held.experiment.is_current():
                experiment, held.experiment = held.experiment, None
                self._recorder.forget(experiment)
                experiment.close()
            if held.experiment is None:
                held.experiment = self._open(study)
            self._recorder.reached()
            return held.experiment

    def _open(self, study: str) -> Experiment:
        opened = self._backend.open(study)
        try:
            experiment = Experiment(opened, self._background, self._recorder.ended)
        except BaseException:
            opened.close.close()
            raise
        self._recorder.complete(experiment)
        return experiment

    def _hold(self, study: str, *, going: bool = False) -> _Held:
        """No one closes what is held; who deletes it lets no one else have it from now on."""
        with self._guard:
            held = self._held.setdefault(study, _Held())
            if held.going:
                raise NotFoundError(f"The experiment '{study}' is being deleted.")
            held.going = going
            held.users += 1
            held.uses += 1
            self._held.move_to_end(study)
            return held

    def _let_go(self, study: str, held: _Held) -> None:
        with self._guard:
            held.users -= 1
            if held.experiment is None and not held.users:
                self._held.pop(study, None)
            self._guard.notify_all()

    def _rest(self) -> None:
        """Close what was not used for longest, where more are open than may be."""
        while True:
            with self._guard:
                idle = next((name for name, held in self._held.items() if not held.users), None)
                if len(self._held) <= self._most_open or idle is None:
                    return
                held = self._held[idle]
                held.users += 1
                uses = held.uses
            try:
                if held.experiment is not None:
                    # It takes as long as the disk does: requests use the experiment meanwhile.
                    self._recorder.flush(held.experiment)
                with held.opening:
                    with self._guard:
                        # Not before `opening` is taken: a request may have taken it first.
                        held.resting = held.uses == uses
                    if held.resting:
                        self._close(held)
            except BenchmarkError as error:
                # The request that needs room has nothing to do with it.
                _log.warning("The experiment '%s' was not closed in order: %s", idle, error)
            finally:
                held.resting = False
                self._let_go(idle, held)

    @staticmethod
    def _close(held: _Held) -> None:
        if held.experiment is not None:
            experiment, held.experiment = held.experiment, None
            experiment.close()


def _study_named(experiment: str) -> str:
    try:
        return study_of(experiment)
    except InvalidError:
        # No experiment can have that name.
        raise NotFoundError(f"There is no experiment {experiment[:80]!r}.") from None


def _is_permitted(experiment: str) -> bool:
    patterns = _patterns.get()
    return not patterns or any(fnmatchcase(experiment, pattern) for pattern in patterns)


def _check_permitted(experiment: str) -> None:
    if not _is_permitted(experiment):
        raise ForbiddenError(
            f"This token is for other experiments than '{experiment}': "
            f"{', '.join(_patterns.get())}."
        )
