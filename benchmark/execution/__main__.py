"""`python -m benchmark.execution STORE RUN TASK`: any task, anywhere.

With `--serve` in place of TASK it takes keys from standard input, a line each, until that ends,
and answers a JSON line each: what a pool, a fleet or a pilot keeps alive.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import get_args

from benchmark.errors import BenchmarkError
from benchmark.execution.machine.cores import bind, bindable_cores, claimed
from benchmark.execution.runner import Runner
from benchmark.execution.sandbox.sandbox import Means
from benchmark.records.results import Record
from benchmark.records.tasks import Run
from benchmark.store import open_store

_TICK_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m benchmark.execution", description=__doc__)
    parser.add_argument("store")
    parser.add_argument("run")
    parser.add_argument("task", nargs="?")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--cores", help="core numbers, such as 0,1; by default all it may use")
    parser.add_argument("--sandbox", choices=get_args(Means))
    options = parser.parse_args(arguments)
    if bool(options.task) == options.serve:
        parser.error("give either a TASK or --serve")
    try:
        run = Run.open(open_store(options.store), options.run)
        with _cores(options, run) as cores, Runner(run, cores, options.sandbox) as runner:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, lambda *_: runner.interrupt())
            if options.serve:
                return _serve(runner)
            record = runner.execute(run.task(options.task))
            sys.stdout.write(record.to_bytes().decode() + "\n")
            return 0 if record.is_result else 1
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        return 2


@contextlib.contextmanager
def _cores(options: argparse.Namespace, run: Run) -> Iterator[list[int] | None]:
    """The cores of this process: those that it is given, or some of a host that others share."""
    available = bindable_cores()
    with contextlib.ExitStack() as held:
        cores = None
        if options.cores:
            cores = [int(core) for core in options.cores.split(",")]
        elif options.task and "AWS_BATCH_JOB_ID" in os.environ:
            number = run.task(options.task).resources.cores
            cores = held.enter_context(claimed(number, available, drawn=True))
        if cores:
            bind(cores)
        yield cores


def _serve(runner: Runner) -> int:
    """Answers go to the real standard output; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    keys: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_read_keys, args=(keys, runner), daemon=True).start()
    while (key := _next(keys, runner)) is not None and not runner.interrupted:
        try:
            answer = _answer(runner.execute(runner.run.task(key)))
        except BenchmarkError as error:
            answer = {"task": key, "error": str(error)}
        try:
            answers.write(json.dumps(answer) + "\n")
        except BrokenPipeError:
            break
    return 0


def _next(keys: queue.SimpleQueue[str | None], runner: Runner) -> str | None:
    """The next key; None when there are no more, or at a signal to end."""
    while not runner.interrupted:
        # Not in one wait: a signal that comes just before it is handled after it.
        with contextlib.suppress(queue.Empty):
            return keys.get(timeout=_TICK_S)
    return None


def _read_keys(keys: queue.SimpleQueue[str | None], runner: Runner) -> None:
    for line in sys.stdin:
        keys.put(line.rstrip("\n"))
    keys.put(None)
    runner.interrupt()


def _answer(record: Record) -> dict[str, object]:
    return {"task": record.task, "record": json.loads(record.to_bytes())}


if __name__ == "__main__":
    sys.exit(main())
