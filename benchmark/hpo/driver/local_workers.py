"""Workers of a study on this machine: as many as `max_parallelism`, until no trial is left."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
from collections.abc import Callable

from benchmark.compute.driving import stoppable
from benchmark.compute.local.local import slots
from benchmark.compute.serving import RunnerProcess
from benchmark.config.extras import python_path
from benchmark.config.loading import Config
from benchmark.hpo.driver import control
from benchmark.hpo.driver.loop import Tuned, put_back
from benchmark.hpo.study.study import Study
from benchmark.records.results import Record

_TICK_S = 0.5
CLOSE_S = 6.0


def tune_by_workers(
    study: Study,
    config: Config,
    on_record: Callable[[Record], None] | None = None,
    on_stop: Callable[[], None] | None = None,
) -> Tuned:
    """Run the study by workers, each `trials_per_task` trials long; an ended one is replaced.

    No worker is started while the study is paused, or after a request to stop. Earlier requests are
    withdrawn, as by every driver. `on_stop` is called at Ctrl-C.
    """
    tuned = Tuned()
    control.request(study.run, "go")
    requests = control.Requests(study.run)
    stop = threading.Event()
    arrivals: queue.SimpleQueue[_Worker | Record] = queue.SimpleQueue()
    workers: dict[int, _Worker] = {}
    cores = slots(config)
    over = False
    objective = study.definition.objective
    within_s = CLOSE_S + (objective.hook_s if objective.restore else 0.0)
    drive_stop = study.drive_stop
    with stoppable(stop, on_stop):
        try:
            while not stop.is_set():
                wanted = requests.latest()
                free = [place for place in range(len(cores)) if place not in workers]
                for place in () if over or wanted != "go" else free:
                    workers[place] = _Worker(study, config, cores[place], place, arrivals)
                if not workers and (over or wanted != "pause"):
                    # A worker may have read the request first.
                    tuned.stopped = control.requested(study.run.store, study.run.name) == "stop"
                    break
                with contextlib.suppress(queue.Empty):
                    arrived = arrivals.get(timeout=_TICK_S)
                    if isinstance(arrived, Record):
                        _note(arrived, tuned, on_record)
                        drive_stop.add(arrived)
                        if drive_stop.why_stop and not over:
                            over = True
                            control.request(study.run, "stop")
                        continue
                    del workers[arrived.place]
                    fault = arrived.fault()
                    if fault:
                        tuned.faults.append(fault)
                    # One that ran nothing has found nothing to run.
                    over = over or bool(fault) or not arrived.ran or bool(tuned.without_result)
        finally:
            for worker in workers.values():
                worker.hang_up()
            for worker in workers.values():
                worker.end(within_s)
            put_back(study, tuned)
    tuned.interrupted = stop.is_set()
    if drive_stop.why_stop:
        tuned.stopped = False
    tuned.why_stopped = drive_stop.why_stop or Study(study.run, study.definition).why_stop
    return tuned


def _note(record: Record, tuned: Tuned, on_record: Callable[[Record], None] | None) -> None:
    if not record.is_result:
        tuned.without_result.append(record)
        return
    tuned.records.append(record)
    if on_record:
        on_record(record)


class _Worker(RunnerProcess):
    """One process of benchmark.hpo.driver.worker; its records arrive as they come."""

    def __init__(
        self,
        study: Study,
        config: Config,
        cores: list[int],
        place: int,
        arrivals: queue.SimpleQueue[_Worker | Record],
    ) -> None:
        self.place = place
        self.ran = 0
        self._has_left = False
        self._arrivals = arrivals
        command = [sys.executable, "-m", "benchmark.hpo.driver.worker"]
        command += [study.run.store.url, study.definition.name, "--lifeline"]
        command += ["--cores", ",".join(map(str, cores))]
        command += ["--max-attempts", str(config.max_attempts)]
        if study.definition.trials_per_task:
            command += ["--trials-per-task", str(study.definition.trials_per_task)]
        super().__init__(command, {"PYTHONPATH": python_path()}, keeps_errors=True)
        threading.Thread(target=self._read, daemon=True).start()

    def fault(self) -> str | None:
        """Why it ended, unless it had done its part."""
        code = self.exit_code()
        # An exception that no one caught ends a process with 1 too.
        if code == 0 or (code == 1 and self._has_left):
            return None
        return self.last_error() or f"A worker ended with the exit code {code}."

    def _read(self) -> None:
        for line in self.answers:
            record = Record.from_bytes(line)
            if record is not None:
                self.ran += 1
                self._has_left |= not record.is_result
                self._arrivals.put(record)
        self._arrivals.put(self)
