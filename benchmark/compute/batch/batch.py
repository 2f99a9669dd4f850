"""The method batch: tasks as array jobs of AWS Batch.

AWS Batch is asked about what left no record in the store.
"""

from __future__ import annotations

import collections
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.compute import methods, submissions
from benchmark.compute.aws.clients import Aws, RefusedError, batches
from benchmark.compute.batch import adoption, definition, jobs
from benchmark.compute.batch.jobs import Ended, Watch, cause_of
from benchmark.compute.batch.queue import CAPACITY, check_queue, note_prices, rate_of_queue, stuck
from benchmark.compute.cluster import Element
from benchmark.compute.dispatcher import Rate
from benchmark.compute.faults import PassingError, patiently
from benchmark.compute.images import full_name
from benchmark.compute.submissions import Submission
from benchmark.compute.submitting import SubmittingDispatcher
from benchmark.config.loading import Config
from benchmark.errors import BenchmarkError, ConfigError, as_config_errors
from benchmark.records import results
from benchmark.records.results import Record
from benchmark.records.tasks import Run, Task

METHOD = "batch"
_log = logging.getLogger("benchmark.compute")
MOST_LOGS = 100
_LOG_GROUP, _MOST_EVENTS = "/aws/batch/job", 5000


class BatchDispatcher(SubmittingDispatcher):
    """Submits tasks by framework and waits for their outcomes."""

    scales = True

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._unsent: collections.deque[Submission] = collections.deque()
        self._aside: dict[str, int] = {}
        self._aws: Aws | None = None
        self._watch: Watch | None = None
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
    def brings_environments(cls, config: Config) -> bool:  # noqa: ARG003  always
        return True

    @classmethod
    def rate(cls, config: Config) -> Rate | None:
        """What a task costs in the queue.

        Raises:
            ConfigError: the prices are needed for 'max_cost' and cannot be had.
        """
        return rate_of_queue(config)

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks: those that a job of an earlier driver has are waited for, the others sent."""
        queue = self.config.job_queue_id
        if not queue:
            raise ConfigError("'job_queue_id' is unset; set it to a job queue's name or ARN.")
        aws = self._aws = self._aws or Aws()
        patience_s = self.pace.patience_s
        patiently(lambda: check_queue(aws, queue), patience_s)
        if not self._tasks:
            patiently(lambda: note_prices(aws, self.run, self.config, queue), patience_s)
        index = results.attempt_index(self.run)
        self._aside |= index.aside
        self._tasks |= {task.key: task for task in tasks}
        self._finish(self._outcomes())
        waiting = [task.key for task in tasks if task.key in self._tasks]
        found = patiently(lambda: adoption.adopt(aws, self.run, METHOD, waiting), patience_s)
        self._live |= {one.name: one for one in found.live}
        self._unsent += found.unsent
        self._retried |= jobs.tried_again(found.known, index.last)
        since = dict(index.last)
        starts = patiently(lambda: jobs.starts(aws, found.ended), patience_s)
        for ended in found.ended:
            record = self._concluded(ended, starts.get(ended.key, 1))
            if record is None:
                continue
            since[record.task] = record.attempt
            self._known_ends.add(record.task)
            if record.is_result:
                self._finish([record])
        if found.known:  # What ended meanwhile has a record, and no job carries it.
            self._finish(self._outcomes())
        under_way = {*self._live, *(one.name for one in self._unsent)}
        self._forget_spent([one for one in found.over if one.name not in under_way])
        taken = found.keys
        new = [self._tasks[key] for key in waiting if key in self._tasks and key not in taken]
        patiently(lambda: self._plan(new, queue, since), patience_s)
        self._engine_at, self._still_since = 0.0, time.monotonic()
        self._step()

    def close(self) -> None:
        """Cancel the jobs that are waited for, unless `detached`; of those that others share, only
        the children that are.

        Raises:
            BenchmarkError: jobs that could not be cancelled, by their ids.
        """
        self._end_lost()
        perhaps = [*self._live.values(), *self._unsent]
        self._live.clear()
        self._unsent.clear()
        self._tasks.clear()
        if self.detached or self._aws is None:
            return
        self._waits.note([])
        left = []
        shared = self._shared(perhaps)
        for one in [*self._cancelled(one for one in perhaps if one not in shared), *shared]:
            try:
                job = one.job or self._find(one)
                parts = [""] if one.cancelled else [f":{n}" for n in one.indices.values()]
                jobs.end(self._aws, self.run, [f"{job}{part}" for part in parts] if job else [])
            except BenchmarkError as error:
                left.append(f"{one.job or one.name} ({error})")
            else:
                if one.cancelled:
                    self._forget(one)
        if left:
            raise BenchmarkError(f"Jobs of AWS Batch may still run: {'; '.join(left)}")

    def _ask_engine(self) -> None:
        if self._aws is not None and (self._live or self._unsent):
            self._send(self._aws)
            self._look(self._aws)
            self._end_lost()

    def _finish(self, records: Sequence[Record]) -> None:
        """Before a job is forgotten its children are noted that AWS has tried again."""
        last = {record.task: record.attempt for record in records}
        self._retried |= jobs.tried_again(self._live.values(), last)
        super()._finish(records)

    def _end_lost(self) -> None:
        """End the attempts that were lost with their machines; what they cost is spent."""
        if self._aws is None or not self._retried:
            return
        try:
            jobs.end_lost(self._aws, self.run, self._retried)
        except BenchmarkError as error:
            _log.warning("What lost attempts have cost is not known: %s", error)
        self._retried = {}

    def _send(self, aws: Aws) -> None:
        """Submit what is to be; what AWS may have taken already is looked for by its name first."""
        for _ in range(len(self._unsent)):
            one = self._unsent[0]
            if one.asked is not None:
                found = self._found(one)
                if found is None:
                    self._unsent.rotate(-1)
                    continue
                one = found
            if one.job is None and self._tasks.keys().isdisjoint(one.indices):
                # Its tasks have ended since this driver looked for it.
                self._forget_spent([self._unsent.popleft()])
                continue
            if one.job is None:
                try:
                    job = jobs.submit(aws, self.run, one, self._variables(aws))
                except PassingError as fault:
                    if fault.perhaps_done:
                        self._unsent[0] = replace(one, asked=time.time())
                    raise
                one = self._with_id(one, job)
            self._unsent.popleft()
            self._live[one.name] = one

    def _find(self, one: Submission) -> str | None:
        return jobs.find(self._aws, one) if self._aws else None

    def _look(self, aws: Aws) -> None:
        """Account for the tasks whose jobs have ended and that left no record."""
        watch = self._watch = self._watch or Watch(aws)
        ended = [one for one in watch.ended(list(self._live.values())) if one.key in self._tasks]
        try:
            starts = jobs.starts(aws, ended)
        except PassingError:
            self._watch = None  # A new one lists them again.
            raise
        again: dict[str, dict[str, int]] = {}
        for one in ended:
            record = self._concluded(one, starts.get(one.key, 1))
            if record is None:
                again.setdefault(one.submission.options["queue"], {})[one.key] = one.since
            else:
                self._finish([record])
        for queue, since in again.items():
            self._plan([self._tasks[key] for key in since], queue, since)
        now = time.monotonic()
        if ended or watch.moving or not self._live:
            self._still_since = now
            self._waits.note([])
        elif now - self._still_since > self.pace.stuck_s:
            self._still_since = now
            self._look_into(aws)

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
                self._move(aws, some, other)
        for sentence in set(found) - self._waits.sentences:
            _log.warning("%s The run waits.", sentence)
        self._waits.note(found)

    def _move(self, aws: Aws, some: Sequence[Submission], queue: str) -> None:
        """To another queue: jobs of which nothing runs are ended, and their tasks sent there.

        Those stay that other tasks share.
        """
        shared = self._shared(some)
        some = [one for one in some if one not in shared]
        _log.warning("%d jobs move to the queue %s.", len(some), queue)
        keys = [key for one in some for key in one.indices if key in self._tasks]
        for one in self._cancelled(some):
            jobs.end(aws, self.run, [str(one.job)])
            self._forget(one)
            del self._live[one.name]
        since = results.attempt_index(self.run).last
        self._plan([self._tasks[key] for key in keys], queue, since)
        self._engine_at = 0.0

    def _concluded(self, ended: Ended, starts: int) -> Record | None:
        """What became of a task by AWS's word; None where another job is to carry it."""
        task = self._tasks[ended.key]
        cause, message = cause_of(ended.job)
        state = Element(ended.job.get("status", ""), unstarted=not starts)
        if self._is_relaunched(ended.submission, ended.key, cause, state):
            return None
        facts = {"took_s": jobs.took_s(ended.job), "starts": max(1, starts)}
        record = self._accounted(ended.key, ended.since, cause, message, **facts)
        self._keep_log(task, record, ended)
        return record

    def _keep_log(self, task: Task, record: Record, ended: Ended) -> None:
        """Of a container whose runner left no log; the first ones say what the others would."""
        if record.log is not None or self._aws is None or self._logs >= MOST_LOGS:
            return
        self._logs += 1
        path = self.run.log_path(task, passed=False, attempt=record.attempt)
        if self.run.store.get(path) is None:
            self.run.store.put(path, _printed(self._aws, ended.job))

    def _outcomes(self) -> list[Record]:
        return results.current_records(self.run, self._tasks, self._aside)

    def _plan(self, tasks: Sequence[Task], queue: str, since: Mapping[str, int]) -> None:
        """Write down jobs for the tasks, an array for each framework, cut where AWS cuts."""
        groups: dict[str, list[Task]] = {}
        for task in tasks:
            groups.setdefault(str(task.labels.get("framework", "tasks")), []).append(task)
        arns = {label: self._definition(label, group[0]) for label, group in groups.items()}
        prefix = self.config.job_name or definition.PREFIX
        for label, group in groups.items():
            options = {"queue": queue, "definition": arns[label]}
            for keys in batches([task.key for task in group], jobs.LARGEST_ARRAY):
                before = {key: since.get(key, 0) for key in keys}
                self._unsent.append(
                    submissions.begin(self.run, METHOD, prefix, before, label, options)
                )

    def _definition(self, label: str, task: Task) -> str:
        aws = self._aws = self._aws or Aws()
        name = full_name(self.run.manifest, label)
        return definition.ensure(aws, self.config, label, name, task.resources)

    def _variables(self, aws: Aws) -> dict[str, str]:
        """The variables of a container: the region, and an S3 that is not AWS's."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        variables = {"AWS_REGION": aws.region}
        return variables | ({"AWS_ENDPOINT_URL_S3": endpoint} if endpoint else {})


def _printed(aws: Aws, job: Mapping[str, Any]) -> bytes:
    """The log of a job, its end where it is long; what AWS says of it where it never started."""
    found = (
        aws.call("batch", "describe_jobs", jobs=[job["jobId"]])["jobs"] if "jobId" in job else []
    )
    container: Mapping[str, Any] = (found[0] if found else job).get("container") or {}
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
