"""The records of told trials, written behind the answers: what `studies` and `tune` read.

The optimizer's storage is what makes a result durable; its record follows within moments. What a
kill left without one gets it when the experiment is opened again.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmark.errors import StoreError
from benchmark.hpo.service.endings import ENDED
from benchmark.results import Cause, Record

if TYPE_CHECKING:
    from concurrent.futures import Future

    from optuna.trial import FrozenTrial

    from benchmark.hpo.service.experiment import Experiment

_log = logging.getLogger("benchmark.hpo.service")


class Recorder:
    """Writes records one after the other in a thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="records")

    def told(self, experiment: Experiment, number: int) -> None:
        """A trial has ended."""
        if experiment.run is not None:
            self._thread.submit(_guarded, experiment, [number])

    def complete(self, experiment: Experiment) -> None:
        """Write what is missing."""
        if experiment.run is not None:
            self._thread.submit(_guarded, experiment, None)

    def flush(self) -> None:
        """Wait until all that was told so far is written."""
        done: Future[None] = self._thread.submit(lambda: None)
        done.result()

    def close(self) -> None:
        self._thread.shutdown(wait=True)


def _guarded(experiment: Experiment, numbers: list[int] | None) -> None:
    """The result itself is safe, so that a store that fails is worth a warning and no more."""
    try:
        _write(experiment, _missing(experiment) if numbers is None else numbers)
    except StoreError as error:
        _log.warning("A record of '%s' is not written yet: %s", experiment.definition.name, error)


def _missing(experiment: Experiment) -> list[int]:
    run = experiment.run
    assert run is not None
    ended = {t.number for t in experiment.optimizer.trials() if t.state.is_finished()}
    if not ended:
        return []
    prefix = f"{run.name}/out/"
    listed = run.store.list(f"{run.name}/out")
    return sorted(ended - {int(path[len(prefix) :].removesuffix(".json")) for path in listed})


def _write(experiment: Experiment, numbers: list[int]) -> None:
    run = experiment.run
    assert run is not None
    for number in numbers:
        trial = experiment.trial(number)
        params = experiment.optimizer.params_of(trial)
        record = record_of(experiment, trial, params)
        run.store.create(run.out_path(str(number)), record.to_bytes())


def record_of(experiment: Experiment, trial: FrozenTrial, params: dict[str, Any]) -> Record:
    """A told trial as the record of its task."""
    told = trial.user_attrs.get(ENDED) or {}
    status = {"COMPLETE": "success", "PRUNED": "prune"}.get(trial.state.name, "failure")
    values = list(trial.values or ()) if status == "success" else []
    labels = {
        "study": experiment.definition.name,
        "trial": trial.number,
        "params": params,
        "values": values,
        "constraints": trial.system_attrs.get("constraints") or [],
        "intermediate": trial.intermediate_values,
    }
    labels |= {key: told[key] for key in ("cost",) if key in told}
    directions = list(experiment.definition.directions)
    metrics = dict(trial.user_attrs.get("metrics") or {})
    metrics |= dict(zip(directions, values, strict=False))
    message = told.get("message", "")
    if status == "failure":
        message = message or f"The client told {told.get('status', 'failure')}."
    seconds = trial.duration.total_seconds() if trial.duration is not None else None
    return Record(
        task=str(trial.number),
        status=status,
        cause=Cause.FRAMEWORK if status == "failure" else None,
        message=message,
        metric=directions[0],
        metrics=metrics,
        labels=labels,
        total_s=seconds,
        attempt=1,
        begun=_utc(trial.datetime_start),
        ended=_utc(trial.datetime_complete),
    )


def _utc(moment: Any) -> str | None:
    """Optuna keeps local times without a zone."""
    from datetime import UTC

    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")
