"""A worker of a study: `python -m benchmark.hpo.driver.worker STORE STUDY`, one or more a machine.

Workers share the study's store and no one leads them. Each takes a trial that a dead worker left,
or asks for a new one, runs it and tells it. A trial is known by its worker's name, and whether that
one lives by a lock that goes with the process; in all there are never more trials than the study's.
A request to the study (control.py) holds for every worker, and none withdraws it: a paused one
waits, a stopped one ends when its trial has, and so does one that starts later.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from benchmark.compute.driving import Attempts, stoppable
from benchmark.errors import BenchmarkError
from benchmark.execution.machine.cores import bind
from benchmark.execution.runner import Runner
from benchmark.hpo.driver import control, loop
from benchmark.hpo.spec.study_file import StudyError, check_resumable
from benchmark.hpo.study.store import run_name
from benchmark.hpo.study.study import Study
from benchmark.hpo.trials.name_lease import NameLease
from benchmark.records.results import Record
from benchmark.records.tasks import Task
from benchmark.store import FolderStore, Store, open_store

_ASK_S = 0.02
_TICK_S = 0.2


@contextlib.contextmanager
def working(store: Store, name: str) -> Iterator[Study]:
    """The study as one of its workers.

    Raises:
        StudyError: there is none, one driver has it, or its workers could not see each other.
    """
    run = run_name(name)
    if store.is_locked(f"driver-{run}"):
        raise StudyError(f"The study '{name}' has a driver; workers can join when that has ended.")
    worker = f"{name}-{secrets.token_hex(6)}"
    with store.lock(f"worker-{worker}"):
        study = Study.open(store, name, worker=worker)
        check_resumable(study.definition)
        if not isinstance(store, FolderStore) and not study.definition.storage:
            raise StudyError(
                f"The study '{name}' keeps its journal on one machine; name a 'storage' that all "
                "workers reach, such as postgresql://…"
            )
        path = f"{run}/workers/{worker.rpartition('-')[2]}.json"
        store.put(path, json.dumps({"worker": worker}).encode())
        try:
            yield study
        finally:
            store.delete([path])


def living(store: Store, run: str) -> list[str]:
    """The workers of a study that are at work."""
    paths = store.list(f"{run}/workers")
    found = (json.loads(data)["worker"] for _, data in store.get_many(paths) if data)
    return [worker for worker in found if store.is_locked(f"worker-{worker}")]


def work(
    study: Study,
    runner: Runner,
    stop: threading.Event,
    *,
    most: int | None = None,
    max_attempts: int = 3,
    on_record: Callable[[Record], None] | None = None,
) -> list[Record]:
    """Run trials until there are none, or `most` were run; returns those left without a result.

    While the study is paused it waits; when it is asked to stop it ends.
    """
    requests = control.Requests(study.run)
    left: list[Record] = []
    attempts = Attempts(study.run, max_attempts)
    done = 0
    while not stop.is_set() and not left and (most is None or done < most):
        wanted = requests.latest()
        if wanted == "stop":
            break
        if wanted == "pause":
            stop.wait(_TICK_S)
            continue
        task = _leased(study)
        if task is None:
            break
        record = attempts.final(runner.execute(task))
        if record is None:
            continue
        if study.tell(record):
            done += 1
            if on_record:
                on_record(record)
        else:
            left.append(record)
    return left


def _leased(study: Study) -> Task | None:
    """A trial that is this worker's from now on; one after the other, so that none is two's."""
    with NameLease(study.run.store, [f"ask-{study.run.name}"], _ASK_S):
        waiting = study.unfinished()
        if waiting:
            return waiting[0]
        return None if study.why_stop else next(iter(study.ask(1)), None)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmark.hpo.driver.worker", description=__doc__)
    parser.add_argument("store")
    parser.add_argument("study")
    parser.add_argument("--trials-per-task", type=int, metavar="N", help="end after N trials")
    parser.add_argument("--cores", help="core numbers, such as 0,1; by default all it may use")
    parser.add_argument("--max-attempts", type=int, default=3)
    parser.add_argument("--lifeline", action="store_true", help="end when standard input does")
    options = parser.parse_args(arguments)
    cores = [int(core) for core in options.cores.split(",")] if options.cores else None
    if cores:
        bind(cores)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    stop = threading.Event()
    try:
        with (
            working(open_store(options.store), options.study) as study,
            Runner(study.run, cores) as runner,
        ):
            loop.prepare(study)
            with stoppable(stop, runner.interrupt):
                if options.lifeline:
                    threading.Thread(target=_watch, args=(stop, runner), daemon=True).start()
                most = options.trials_per_task or study.definition.trials_per_task
                attempts = options.max_attempts
                left = work(study, runner, stop, most=most, max_attempts=attempts, on_record=_say)
            if control.requested(study.run.store, study.run.name) == "stop":
                name = options.study
                again = f"studies resume {name} lets workers go on"
                sys.stderr.write(f"The study '{name}' was asked to stop; {again}.\n")
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for record in left:
        _say(record)
    return 1 if left else 0


def _say(record: Record) -> None:
    sys.stdout.write(record.to_bytes().decode() + "\n")
    sys.stdout.flush()


def _watch(stop: threading.Event, runner: Runner) -> None:
    """The process that started this worker is gone."""
    sys.stdin.read()
    stop.set()
    runner.interrupt()


if __name__ == "__main__":
    sys.exit(main())
