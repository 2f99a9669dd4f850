"""The method batch: tasks as array jobs of AWS Batch.

AWS Batch is asked about what left no record in the store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from benchmark.compute import methods
from benchmark.compute.arrays import ImageDispatcher
from benchmark.compute.aws.clients import Aws, RefusedError
from benchmark.compute.batch import definition, jobs
from benchmark.compute.batch.jobs import Batch
from benchmark.compute.batch.queue import CAPACITY, check_queue, note_prices, rate_of_queue, stuck
from benchmark.compute.cluster import Element, Pace, Request
from benchmark.compute.dispatcher import Rate
from benchmark.compute.faults import patiently
from benchmark.compute.images import full_name
from benchmark.compute.submissions import Submission
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError, as_config_errors
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Resources, Run, Task

METHOD = "batch"
_log = logging.getLogger("benchmark.compute")
MOST_LOGS = 100
_LOG_GROUP, _MOST_EVENTS = "/aws/batch/job", 5000


class BatchDispatcher(ImageDispatcher):
    """Array jobs of AWS Batch, in the queues of the configuration."""

    pace: ClassVar[Pace] = Pace(store_s=5.0, patience_s=900.0, settle_s=1.0)
    scales = True
    _cluster: Batch

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._queues: dict[str, str] = {}  # of tasks that go to another than the configured one
        self._definitions: dict[tuple[str, Resources], str] = {}
        self._still_since = 0.0
        self._logs = 0
        self._retried: dict[str, str] = {}

    @classmethod
    def places(cls, config: Config) -> int:
        """The most that the compute environment holds."""
        return config.cluster_size

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse, with one sentence and without making anything, what AWS would refuse."""
        queue = config.job_queue_id
        if not queue:
            raise ConfigError(
                "'job_queue_id' is unset, and the method batch needs a job queue of AWS Batch; set "
                "it to the queue's name or ARN."
            )
        if not config.store_url.startswith("s3://"):
            raise ConfigError(
                f"The results would go to {config.store_url}, which the jobs of AWS Batch cannot "
                "reach; name a bucket in 's3_bucket_root'."
            )
        if not (config.ecr_repo or config.job_definition_id):
            raise ConfigError(
                "Neither 'ecr_repo' nor 'job_definition_id' is set, so AWS Batch has no image to "
                "run; set one of them."
            )
        with as_config_errors():
            aws = Aws()
            check_queue(aws, queue)
            if config.aws.on_demand_queue:
                check_queue(aws, config.aws.on_demand_queue, "on_demand_queue")
            definition.template_of(aws, config)
            names = set(methods.frameworks_of(config, METHOD).values())
            definition.check_images(aws, config, sorted(names))

    @classmethod
    def rate(cls, config: Config) -> Rate | None:
        """What a task costs in the queue.

        Raises:
            ConfigError: the prices are needed for 'max_cost' and cannot be had.
        """
        return rate_of_queue(config)

    def cluster(self) -> Batch:
        return Batch(self.run, self.config.job_queue_id or "")

    @property
    def method(self) -> str:
        return METHOD

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks: those that a job of an earlier driver has are waited for, the others sent."""
        queue = self.config.job_queue_id
        if not queue:
            raise ConfigError("'job_queue_id' is unset; set it to a job queue's name or ARN.")
        patience_s, aws = self.pace.patience_s, self._cluster.aws
        patiently(lambda: check_queue(aws, queue), patience_s)
        if not self._tasks:
            patiently(lambda: note_prices(aws, self.run, self.config, queue), patience_s)
        for task in tasks:
            self._queues.pop(task.key, None)
        super().submit(tasks)
        self._still_since = time.monotonic()
        self._step()

    def close(self) -> None:
        self._end_lost()
        super().close()

    def _known(self, method: str) -> list[Submission]:
        known = super()._known(method)
        if known:
            last = results.attempt_index(self.run).last
            self._retried |= jobs.tried_again((one for one in known if one.job), last)
        return known

    def _ask_engine(self) -> None:
        super()._ask_engine()
        self._end_lost()

    def _finish(self, records: Sequence[Record]) -> None:
        """Before a job is forgotten its children are noted that AWS has tried again."""
        last = {record.task: record.attempt for record in records}
        self._retried |= jobs.tried_again(self._live.values(), last)
        super()._finish(records)

    def _end_lost(self) -> None:
        """End the attempts that were lost with their machines; what they cost is spent."""
        if not self._retried:
            return
        try:
            jobs.end_lost(self._cluster.aws, self.run, self._retried)
        except BenchmarkError as error:
            _log.warning("What lost attempts have cost is not known: %s", error)
        self._retried = {}

    def _find(self, one: Submission) -> str | None:
        return self._cluster.find(one.name, one.options["queue"])

    def _send_again(self, one: Submission, key: str) -> None:
        if one.name not in self._old:  # That was sent by another command's configuration.
            self._queues[key] = one.options["queue"]
        super()._send_again(one, key)

    def _kind(self, task: Task) -> object:
        return super()._kind(task), self._queues.get(task.key)

    def _named(self, task: Task) -> tuple[str, dict[str, str]]:
        """The framework in the job's name; its queue and its definition, asked for once."""
        label = str(task.labels.get("framework", "tasks"))
        kind = label, task.resources
        if kind not in self._definitions:
            name = full_name(self.run.manifest, label)
            self._definitions[kind] = definition.ensure(
                self._cluster.aws, self.config, label, name, task.resources
            )
        queue = self._queues.get(task.key) or str(self.config.job_queue_id)
        return label, {"queue": queue, "definition": self._definitions[kind]}

    def _request(self, one: Submission, task: Task) -> Request:
        its = task.resources
        size, options = len(one.keys), one.options
        return Request(one.name, size, its.cores, its.memory_mb, its.hard_limit_s, options=options)

    def _note_waits(self, elements: Sequence[Element | None]) -> None:
        """Where none moves for a time, AWS is asked why."""
        now = time.monotonic()
        if None in elements or not self._live:
            self._still_since = now
            self._waits.note([])
        elif now - self._still_since > self.pace.stuck_s:
            self._still_since = now
            self._look_into(self._cluster.aws)

    def _look_into(self, aws: Aws) -> None:
        """Jobs that do not move: report why, and move them or end the run as configured.

        Raises:
            BenchmarkError: they never start, or 'stuck' ends the run.
        """
        queues: dict[str, list[Submission]] = {}
        for one in self._live.values():
            queues.setdefault(one.options["queue"], []).append(one)
        found = []
        for queue, some in queues.items():
            single = [str(one.job) for one in some if len(one.keys) == 1]
            arrays = [str(one.job) for one in some if len(one.keys) > 1]
            why = stuck(aws, queue, single, arrays)
            if why is None:
                continue
            if why.is_for_good or self.config.aws.stuck == "stop":
                raise BenchmarkError(why.sentence)
            found.append(why.sentence)
            other = self.config.aws.on_demand_queue
            if why.reason == CAPACITY and other and queue != other:
                self._move(some, other)
        for sentence in set(found) - self._waits.sentences:
            _log.warning("%s The run waits.", sentence)
        self._waits.note(found)

    def _move(self, some: Sequence[Submission], queue: str) -> None:
        """To another queue: jobs of which nothing runs are ended, and their tasks sent there.

        Those stay that other tasks share.
        """
        shared = self._shared(some)
        some = [one for one in some if one not in shared]
        _log.warning("%d jobs move to the queue %s.", len(some), queue)
        for one in self._cancelled(some):
            self._cluster.cancel([str(one.job)])
            self._forget(one)
            del self._live[one.name]
            keys = [key for key in one.indices if key in self._tasks]
            self._queues |= dict.fromkeys(keys, queue)
            self._new += [self._tasks[key] for key in keys]
        self._engine_at = 0.0

    def _concluded(
        self, one: Submission, key: str, cause: Cause, message: str, element: Element | None
    ) -> Record:
        """The first containers whose runner left no log say what the others would."""
        task = self._tasks[key]
        record = super()._concluded(one, key, cause, message, element)
        if record.log is None and element is not None and self._logs < MOST_LOGS:
            self._logs += 1
            path = self.run.log_path(task, passed=False, attempt=record.attempt)
            if self.run.store.get(path) is None:
                self.run.store.put(path, _printed(self._cluster.aws, element.facts))
        return record


def _printed(aws: Aws, job: Mapping[str, Any]) -> bytes:
    """The log of a job, its end where it is long; what AWS says of it where it never started."""
    container: Mapping[str, Any] = job.get("container") or {}
    stream = container.get("logStreamName")
    reasons = [str(job.get("statusReason", "")), str(container.get("reason", ""))]
    closing = "\n".join(dict.fromkeys(text for text in reasons if text))
    if not stream:
        return f"The container never started.\n{closing}\n".encode()
    options = container.get("logConfiguration", {}).get("options", {})
    try:
        page = aws.call(
            "logs",
            "get_log_events",
            logGroupName=options.get("awslogs-group", _LOG_GROUP),
            logStreamName=stream,
            limit=_MOST_EVENTS,
            startFromHead=False,
        )
    except RefusedError as error:
        return f"The log {stream} cannot be read: {error}\n{closing}\n".encode()
    lines = [str(event["message"]) for event in page["events"]]
    return "\n".join([*lines, closing, ""]).encode()
