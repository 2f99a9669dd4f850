"""The runner: takes a task, runs it in the sandbox, and leaves one ended attempt.

with Runner(run) as runner:
    record = runner.execute(task)
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.errors import BenchmarkError, DataError, SetupError, StoreError
from benchmark.execution.machine import billing
from benchmark.execution.sandbox.sandbox import Means, Sandbox
from benchmark.execution.work import UNUSABLE, Evaluation, load_evaluation
from benchmark.records import results
from benchmark.records.results import Cause, Record

if TYPE_CHECKING:
    from benchmark.records.tasks import Run, Task


class Runner:
    """Runs the tasks of one run, one after the other, on its cores."""

    def __init__(
        self, run: Run, cores: Sequence[int] | None = None, means: Means | None = None
    ) -> None:
        self.run = run
        self.sandbox = Sandbox(cores, means)
        self.interrupted = False
        self._evaluations: dict[str, Evaluation] = {}
        self._broken: dict[str, str] = {}
        self._host = results.host_facts() | billing.machine_facts(run)

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, task: Task) -> Record:
        """Run a task to its end and settle it; one that has a record is not run again.

        Returns:
            The task's record where it has one now, else how this attempt ended.

        Raises:
            StoreError: the store takes nothing; the attempt is left open for the driver to account.
        """
        started = time.monotonic()
        present = results.current_record(self.run, task.key)
        if present is not None:
            return present
        attempt = results.begin(self.run, task, self._host)
        log = b""
        try:
            record, log = self._attempt(task, attempt.number)
        except StoreError:
            raise
        except DataError as error:
            record = results.failure(task, Cause.DATA, str(error))
        except SetupError as error:
            if self.interrupted:  # An interpreter that was starting has been ended, too.
                record = _interrupted(task)
            else:
                self._broken[task.environment] = str(error)
                record = results.failure(task, Cause.SETUP, str(error))
        except Exception as error:
            log = traceback.format_exc().encode()
            record = results.failure(
                task,
                Cause.INFRASTRUCTURE,
                f"The harness failed: {type(error).__name__}: {error}",
            )
        finally:
            self.sandbox.discard_work()
        path = self.run.log_path(task, passed=record.status == "success", attempt=attempt.number)
        closing = f"\n[{record.cause}] {record.message}\n".encode() if record.cause else b""
        # Of thousands of trials an empty log is only another file; each task of a grid has one.
        is_kept = bool(log or closing or self.run.manifest.cells)
        if is_kept:
            self.run.store.put(path, log + closing)
        total = time.monotonic() - started
        parts = (record.setup_s, record.fit_s, record.predict_s, record.inference_s)
        overhead = (
            total - sum(part or 0.0 for part in parts) if record.status == "success" else None
        )
        record = replace(
            record,
            total_s=total,
            overhead_s=overhead,
            host=self._host,
            cost=billing.cost(self._host, task.resources, total),
            log=path if is_kept else None,
        )
        return results.settle(self.run, attempt, record)

    def interrupt(self) -> None:
        """End the task that runs as `interrupted` and take no more; from any thread."""
        self.interrupted = True
        self.sandbox.interrupt()

    def close(self) -> None:
        for evaluation in self._evaluations.values():
            if hasattr(evaluation, "close"):
                evaluation.close()
        self.sandbox.close()

    def _attempt(self, task: Task, number: int) -> tuple[Record, bytes]:
        if self.interrupted:
            return _interrupted(task), b""
        if task.environment in self._broken:
            raise SetupError(self._broken[task.environment])
        evaluation = self._evaluations.get(task.evaluation)
        if evaluation is None:
            evaluation = self._evaluations[task.evaluation] = load_evaluation(task.evaluation)
        outcome = self.sandbox.run(evaluation.prepare(task, self.run))
        outcome = replace(outcome, attempt=number)
        try:
            return evaluation.finish(task, self.run, outcome), outcome.log
        except (BenchmarkError, OSError):
            raise
        except Exception as error:
            message = f"{UNUSABLE}: {type(error).__name__}: {error}"
            record = results.failure(task, Cause.INFRASTRUCTURE, message, sandbox=outcome.sandbox)
            return record, outcome.log + traceback.format_exc().encode()


def _interrupted(task: Task) -> Record:
    return results.failure(task, Cause.INTERRUPTED, "The task was interrupted.")


def execute(run: Run, task: Task) -> Record:
    """Run one task on this machine, in a runner of its own."""
    with Runner(run) as runner:
        return runner.execute(task)
