"""The records of ended trials, written behind the answers: what `studies` and `tune` read.

The optimizer's storage is what makes a result durable; its record follows within moments, and under
load later: each record is two syncs of the disk, which the storage needs for its own. What a kill
left without one gets it when the experiment is opened again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from time import monotonic
from typing import Any

from optuna.trial import FrozenTrial

from benchmark.errors import StoreError
from benchmark.hpo.service.core.backend import storage_faults
from benchmark.hpo.service.core.endings import ENDED, seconds_of
from benchmark.hpo.service.core.errors import NotFoundError
from benchmark.hpo.service.core.experiment import Experiment
from benchmark.hpo.study.deletion import forget_trial
from benchmark.records.results import Cause, Record

_log = logging.getLogger("benchmark.hpo.service")
# Records are followed by a pause of so many times what they took, at most so long for each.
_PAUSE, _LONGEST_PAUSE_S = 3.0, 0.1
# So many are written after one look whether another server has deleted their experiment.
_MOST_AT_ONCE = 16
_AWAY = 10.0
# A server that ends writes records for so long; the others are written when it opens them again.
_ENDING_S = 3.0


class Recorder:
    """Writes records one after the other in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="records")
        self._hurried = threading.Event()
        self._closed = False
        self._ends = math.inf
        self._away_until = -math.inf
        self._guard = threading.Lock()
        self._waiting: dict[Experiment, list[int]] = {}
        """The trials that have ended and have no record yet."""
        self._behind: set[Experiment] = set()
        """Of its thread: the experiments of which records may be missing."""

    def ended(self, experiment: Experiment, number: int) -> None:
        """A trial has ended, or was deleted, and so is its record."""
        self.reached()
        if experiment.run is None:
            return
        with self._guard:
            self._waiting.setdefault(experiment, []).append(number)
        self._thread.submit(self._write_waiting, experiment)

    def reached(self) -> None:
        """The database has answered: what waited for it is written."""
        if self._away_until > -math.inf:
            self._away_until = -math.inf
            self._thread.submit(self._try_all)

    def complete(self, experiment: Experiment) -> None:
        """Write what is missing."""
        if experiment.run is not None:
            self._thread.submit(self._write_guarded, experiment, None)

    def unsure(self, experiment: Experiment) -> None:
        """A write failed, and may have ended a trial all the same: look before the next record."""
        if experiment.run is not None:
            self._thread.submit(self._behind.add, experiment)

    def forget(self, experiment: Experiment) -> None:
        """Another server has deleted it: there is nothing left to write."""
        if experiment.run is not None:
            self._thread.submit(self._behind.discard, experiment)

    def flush(self, experiment: Experiment) -> None:
        """Wait until all that has ended so far is written, before the experiment is closed."""
        if experiment.run is None:
            return
        self._hurried.set()
        self._thread.submit(self._try_last, experiment)
        self._thread.submit(self._calm).result()

    def close(self) -> None:
        """Write what there is time for; the next opening of an experiment writes the others."""
        if self._closed:
            return
        self._closed = True
        self._ends = monotonic() + _ENDING_S
        self._hurried.set()
        self._thread.submit(self._try_all)
        self._thread.shutdown(wait=True)
        for name in sorted(experiment.definition.name for experiment in self._behind):
            _log.warning("Some records of '%s' are written when a server opens it again.", name)

    def _calm(self) -> None:
        if not self._closed:
            self._hurried.clear()

    def _write_waiting(self, experiment: Experiment) -> None:
        """Write records that wait, and pause; those that are left have calls of their own."""
        with self._guard:
            waiting = self._waiting.pop(experiment, [])
            numbers, left = waiting[:_MOST_AT_ONCE], waiting[_MOST_AT_ONCE:]
            if left:
                self._waiting[experiment] = left
        if not numbers:
            return
        started = time.perf_counter()
        self._write_guarded(experiment, numbers)
        took = time.perf_counter() - started
        self._hurried.wait(min(_PAUSE * took, _LONGEST_PAUSE_S * len(numbers)))

    def _try_all(self) -> None:
        for experiment in list(self._behind):
            self._write_guarded(experiment, None)

    def _try_last(self, experiment: Experiment) -> None:
        """Write what could not be written; what still cannot, the next opening completes."""
        if experiment in self._behind:
            self._write_guarded(experiment, None)
            self._behind.discard(experiment)

    def _write_guarded(self, experiment: Experiment, numbers: list[int] | None) -> None:
        """Write these records, or all that are missing.

        The result itself is safe: a store that fails is worth a warning, and the next record of the
        experiment is written with those that are missing.
        """
        name = experiment.definition.name
        try:
            with storage_faults():
                is_whole = self._write_current(experiment, numbers)
        except StoreError as error:
            self._behind.add(experiment)
            _log.warning("A record of '%s' is not written yet: %s", name, error)
        except (KeyError, NotFoundError):
            # Another server has deleted the trial, or the experiment.
            self._behind.add(experiment)
        except Exception:
            self._behind.add(experiment)
            _log.exception("A record of '%s' is not written yet", name)
        else:
            (self._behind.discard if is_whole else self._behind.add)(experiment)

    def _write_current(self, experiment: Experiment, numbers: list[int] | None) -> bool:
        """Whether nothing is left to write, as far as is known."""
        while monotonic() < self._ends:
            if (is_current := self._is_current(experiment)) is None:
                return False
            if not is_current:
                # Another server has deleted it, and what is there now is not of its trials.
                return True
            if numbers is None or experiment in self._behind:
                numbers = _missing(experiment)
                self._behind.discard(experiment)
            _write(experiment, numbers[:_MOST_AT_ONCE])
            numbers = numbers[_MOST_AT_ONCE:]
            if not numbers:
                return True
        return False

    def _is_current(self, experiment: Experiment) -> bool | None:
        """Whether no other server has deleted it; None if the database does not answer.

        It is not asked again before it has answered another call, or several times as long have
        passed as it took to fail. What it has committed is in the records once it answers.
        """
        started = monotonic()
        if started < self._away_until:
            return None
        try:
            with storage_faults():
                return experiment.is_current()
        except StoreError as error:
            ended = monotonic()
            self._away_until = ended + _AWAY * (ended - started)
            _log.warning("Records wait for the study storage: %s", error)
            return None


def _missing(experiment: Experiment) -> list[int]:
    run = experiment.run
    assert run is not None
    ended = {t.number for t in experiment.optimizer.trials() if t.state.is_finished()}
    if not ended and not experiment.optimizer.deleted:
        return []
    prefix = f"{run.name}/out/"
    listed = run.store.list(f"{run.name}/out")
    names = (path[len(prefix) :].removesuffix(".json") for path in listed)
    # Repeats that confirm a trial have other names.
    written = {int(name) for name in names if name.isascii() and name.isdecimal()}
    return sorted((ended - written) | (written & experiment.optimizer.deleted))


def _write(experiment: Experiment, numbers: list[int]) -> None:
    run = experiment.run
    assert run is not None
    for number in numbers:
        if number in experiment.optimizer.deleted:
            forget_trial(run, experiment.optimizer, number)
            continue
        trial = experiment.trial(number)
        if not trial.state.is_finished():
            continue
        run.store.create(run.out_path(str(number)), record_of(experiment, trial).to_bytes())


def record_of(experiment: Experiment, trial: FrozenTrial) -> Record:
    """An ended trial as the record of its task."""
    ending = trial.user_attrs.get(ENDED) or {}
    status = {"COMPLETE": "success", "PRUNED": "prune"}.get(trial.state.name, "failure")
    values = list(trial.values or ()) if status == "success" else []
    labels = {
        "study": experiment.definition.name,
        "trial": trial.number,
        "params": experiment.optimizer.params_of(trial),
        "values": values,
        "constraints": trial.system_attrs.get("constraints") or [],
        "intermediate": trial.intermediate_values,
    }
    labels |= {key: ending[key] for key in ("cost",) if key in ending}
    directions = list(experiment.definition.directions)
    metrics = dict(trial.user_attrs.get("metrics") or {})
    metrics |= dict(zip(directions, values, strict=False))
    message = ending.get("message", "")
    if status == "failure":
        message = message or f"The client told {ending.get('status', 'failure')}."
    return Record(
        task=str(trial.number),
        status=status,
        cause=Cause.FRAMEWORK if status == "failure" else None,
        message=message,
        metric=directions[0],
        metrics=metrics,
        labels=labels,
        total_s=seconds_of(trial),
        attempt=1,
        begun=_utc(trial.datetime_start),
        ended=_utc(trial.datetime_complete),
    )


def _utc(moment: Any) -> str | None:
    """Optuna keeps local times without a zone."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")
