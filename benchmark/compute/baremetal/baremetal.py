"""The method baremetal: tasks in a queue, and a fleet of EC2 machines that empties it.

Records are found in the store. Machines are started while there are more tasks than they hold,
and end themselves when the queue is dry; `close` ends all that is left and removes queue and
template version. A driver that was killed finds its fleet again by the token in the store.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from benchmark.compute import images
from benchmark.compute.aws import prices
from benchmark.compute.aws.clients import Aws, bucket_variables
from benchmark.compute.aws.prices import Offer
from benchmark.compute.baremetal import checks, template
from benchmark.compute.baremetal.fleet import Boots, Fleet, Ledger, Machine
from benchmark.compute.baremetal.messages import TaskQueue, remove
from benchmark.compute.baremetal.state import State, in_queue
from benchmark.compute.dispatcher import Rate, account
from benchmark.compute.faults import patiently
from benchmark.compute.waiting import EnginePace, WaitingDispatcher
from benchmark.config.loading import Config
from benchmark.errors import ConfigError, as_config_errors
from benchmark.records import results
from benchmark.records.results import Cause, Record
from benchmark.records.tasks import Run, Task

_log = logging.getLogger("benchmark.compute")
_LONGEST_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Pace(EnginePace):
    """Seconds, beside those of every engine: of a message's hold, of idleness before a machine
    ends, of a look for messages, between looks for the notice, until capacity is asked for again,
    for ending machines, and between looks at whether they have ended."""

    engine_s: float = 15.0
    visibility_s: int = 180
    idle_s: float = 120.0
    wait_s: int = 10
    notice_s: float = 5.0
    capacity_s: float = 60.0
    ending_s: float = 300.0
    ending_look_s: float = 3.0


class BaremetalDispatcher(WaitingDispatcher):
    """Sends tasks to the queue, keeps the fleet as large as they need, waits for records."""

    scales = True
    pace: ClassVar[Pace] = Pace()

    def __init__(self, run: Run, config: Config) -> None:
        super().__init__(run, config)
        self._since: dict[str, int] = {}
        self._aside: dict[str, int] = {}
        self._foreign: set[str] = set()  # Dead letters of tasks that this driver was not given.
        self._aws: Aws | None = None
        self._state: State | None = None
        self._queue: TaskQueue | None = None
        self._fleet: Fleet | None = None
        self._ledger: Ledger | None = None
        self._boots = Boots(run)
        self._start_at = 0.0
        self._pause_s = self.pace.capacity_s

    @classmethod
    def places(cls, config: Config) -> int:
        """`parallel` on each machine; where it is not set, at least one."""
        return config.cluster_size * (config.parallel or 1)

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuse, with one sentence and without making anything, what EC2 would refuse."""
        checks.check(config)

    @classmethod
    def brings_environments(cls, config: Config) -> bool:  # noqa: ARG003  always
        return True

    @classmethod
    def rate(cls, config: Config) -> Rate | None:
        """What a task costs on the configured types.

        Raises:
            ConfigError: the prices cannot be had.
        """
        with as_config_errors():
            found = checks.usable(Aws(), config)
        # With 'on_demand' a task may come to run on a machine on demand.
        lifecycles = (prices.SPOT, *((prices.ON_DEMAND,) if config.on_demand else ()))
        packing = checks.packing(config)
        rate = prices.dearest(prices.rate_of(found, config, one, packing) for one in lifecycles)
        if rate is None and config.max_cost is not None:
            raise ConfigError(
                f"'max_cost' is {config.max_cost:g}, and the prices of "
                f"{', '.join(one.instance_type for one in found)} are not known; name other "
                "'instance_types', or unset 'max_cost'."
            )
        if rate is None or rate.machines is None:
            return rate
        most = config.cluster_size * max(checks.slots(config, one) for one in found)
        return replace(rate, machines=replace(rate.machines, most=most))

    @classmethod
    def settle(cls, run: Run, config: Config, others: Collection[str] = frozenset()) -> None:
        state = State.of(run)
        if state is None or state.open(run, others):
            return
        _log.warning(
            "The fleet %s of an earlier driver is left; ending its machines and removing its "
            "queues.",
            state.token,
        )
        dispatcher = cls(run, config)
        dispatcher._aws, dispatcher._state = Aws(state.region or None), state
        dispatcher._ledger = Ledger(run, prices.read_prices(run))
        dispatcher.close()

    def paid(self) -> float:
        return self._ledger.paid if self._ledger else 0.0

    def submit(self, tasks: Sequence[Task]) -> None:
        """Take tasks: those in the queue of an earlier driver stay there, the others are sent."""
        self._aws = aws = self._aws or Aws()
        index = results.attempt_index(self.run)
        self._aside |= index.aside
        self._tasks |= {task.key: task for task in tasks}
        patience_s = self.pace.patience_s
        queue, state = patiently(lambda: self._made(aws), patience_s)
        sent = {key: n for key, n in state.sent(self.run).items() if key in self._tasks}
        ends = results.last_attempts(self.run, sent)
        there = in_queue(sent, index, ends)
        new = {task.key: index.last.get(task.key, 0) for task in tasks if task.key not in there}
        self._since |= new | {key: sent[key] for key in there}
        if new:
            patiently(lambda: queue.send(aws, new), patience_s)
            state.note_sent(self.run, new)
        self._engine_at = self._start_at = 0.0

    def close(self) -> None:
        """End the fleet and remove what was made for it, unless `detached`, or others are on it.

        Raises:
            BenchmarkError: machines may still run, by their ids.
        """
        left, self._tasks = self._tasks, {}
        aws, state = self._aws, self._state
        if self.detached or aws is None or state is None:
            return
        if others := state.open(self.run, self.others):
            self.detached = bool(left)
            _log.warning(
                "The fleet %s goes on: %d tasks that were not selected are on it; `resume-compute` "
                "without a selection waits for them and ends it.",
                *(state.token, len(others)),
            )
            return
        template_name = state.template or str(self.config.ec2_template)
        fleet = self._fleet or Fleet(state.token, template_name, "", (), _started(state))
        patience_s = self.pace.ending_s
        patiently(lambda: fleet.end(aws, patience_s, self.pace.ending_look_s), patience_s)
        if self._ledger:
            ledger = self._ledger
            patiently(lambda: ledger.note(fleet.machines(aws)), patience_s)
        self._interrupted(left)
        patiently(lambda: template.remove_version(aws, template_name, state.token), patience_s)
        patiently(lambda: remove(aws, state.token, state.queues), patience_s)
        state.remove(self.run)
        self._state = self._queue = self._fleet = None

    def _made(self, aws: Aws) -> tuple[TaskQueue, State]:
        """Queue, bundle, prices and template version: found again, or made."""
        if self._queue and self._state:
            return self._queue, self._state
        state = self._state or State.of(self.run)
        if state is not None and state.region not in ("", aws.region):
            if others := state.open(self.run, self.others):
                raise ConfigError(
                    f"The region is {aws.region}, and {len(others)} tasks that were not selected "
                    f"are on a fleet in {state.region}; set AWS_REGION={state.region}, or resume "
                    "all tasks."
                )
            self.settle(self.run, self.config)  # The fleet of another region does not serve here.
            state = None
        offers = checks.usable(aws, self.config)
        if state is None:
            path, _ = images.publish_code(self.run.store, self.config)
            made = State.new(str(self.config.ec2_template), aws.region)
            state = replace(made, bundle=path)
            state.save(self.run)
        self._state = state
        prices.write_prices(self.run, offers, checks.packing(self.config))
        tries = self.config.max_attempts
        queue = TaskQueue.make(aws, state.token, self.pace.visibility_s, tries, self._note_queue)
        state = self._state or state
        name = str(self.config.ec2_template)
        if state.version is None:
            data = template.check(aws, name)
            lifetime_s = self._lifetime_s(min(checks.slots(self.config, one) for one in offers))
            boot = template.user_data(self._job(aws, queue, state, offers, lifetime_s), lifetime_s)
            version = template.make_version(aws, self.config, data, boot, state.token, offers)
            state = replace(state, version=version)
            state.save(self.run)
        self._state, self._queue = state, queue
        self._fleet = Fleet(state.token, name, str(state.version), tuple(offers), _started(state))
        self._ledger = Ledger(self.run, offers)
        return queue, state

    def _note_queue(self, url: str) -> None:
        """Into the state as soon as it is there, so that it goes with it whatever fails next."""
        state = self._state
        if state is not None and url not in state.queues:
            self._state = replace(state, queues=[*state.queues, url])
            self._state.save(self.run)

    def _start(self, aws: Aws, number: int, lifecycle: str) -> tuple[int, str | None]:
        """Start machines, and note those that came."""
        fleet, state = self._fleet, self._state
        if fleet is None or state is None:
            return 0, None
        came, why = fleet.start(aws, number, lifecycle)
        if came:
            known = {
                one.id: (one.type, one.lifecycle, one.started) for one in fleet.started.values()
            }
            self._state = replace(state, machines=known)
            self._state.save(self.run)
        return came, why

    def _job(
        self, aws: Aws, queue: TaskQueue, state: State, offers: Sequence[Offer], lifetime_s: float
    ) -> dict[str, Any]:
        """What a machine gets. No key and no secret is in it: it has a role."""
        variables = bucket_variables(aws.region)
        if os.environ.get("AWS_ENDPOINT_URL_SQS"):
            variables["AWS_ENDPOINT_URL_SQS"] = os.environ["AWS_ENDPOINT_URL_SQS"]
        return {
            "store": self.run.store.url,
            "run": self.run.name,
            "bundle": state.bundle,
            "queue": queue.url,
            "dead": queue.dead_url,
            "domain": "amazonaws.com.cn" if aws.partition == "aws-cn" else "amazonaws.com",
            "variables": variables,
            "packages": checks.packages(self.config, amazon_linux=False),
            "slots": {one.instance_type: checks.slots(self.config, one) for one in offers},
            "lifetime_s": lifetime_s,
            "visibility_s": self.pace.visibility_s,
            "idle_s": self.pace.idle_s,
            "wait_s": self.pace.wait_s,
            "notice_s": self.pace.notice_s,
        }

    def _lifetime_s(self, slots: int) -> float:
        """Twice what the worst share of the tasks takes on a full fleet, an hour to boot, a week
        at most; a machine whose driver is lost lives no longer."""
        machines = min(self.config.cluster_size, math.ceil(len(self._tasks) / slots))
        each = math.ceil(len(self._tasks) / (machines * slots)) if machines else 1
        return min(_LONGEST_S, 2 * each * self.config.hard_limit + 3600)

    def _ask_engine(self) -> None:
        if self._aws is not None and self._tasks:
            self._finish(self._dead(self._aws))
            self._keep_up(self._aws)

    def _outcomes(self) -> list[Record]:
        """Results, and the ends of attempts that no machine will make again."""
        found = results.current_records(self.run, self._tasks, self._aside)
        done = {one.task for one in found}
        open_keys = [key for key in self._tasks if key not in done]
        for key, end in results.last_attempts(self.run, open_keys).items():
            if end is None or end.is_result or end.attempt <= self._since.get(key, 0):
                continue
            tries = end.attempt - self._since.get(key, 0)
            if not (end.cause and end.cause.is_retried) or tries >= self.config.max_attempts:
                found.append(end)
        return found

    def _dead(self, aws: Aws) -> list[Record]:
        """Account for the tasks that machines were given again and again and none ended."""
        queue = self._queue
        if queue is None:
            return []
        found = []
        for message in queue.dead(aws):
            if message.key in self.others:
                self._foreign.add(message.id)
                continue  # It is accounted for by the driver that is given it.
            task = self._tasks.get(message.key)
            if task is not None:
                why = (
                    f"Machines were given it {self.config.max_attempts} times, and each was lost "
                    "before it ended."
                )
                since = self._since.get(task.key, 0)
                starts = self.config.max_attempts
                cause = Cause.INFRASTRUCTURE
                found.append(account(self.run, task, cause, why, since, starts=starts))
            queue.done(aws, message, dead=True)
        return found

    def _keep_up(self, aws: Aws) -> None:
        """As many machines as the tasks need, `cluster_size` at most.

        Raises:
            BenchmarkError: the last ones did not come to work, and none is left.
        """
        fleet, ledger = self._fleet, self._ledger
        if fleet is None or ledger is None:
            return
        machines = fleet.machines(aws)
        ledger.note(machines)
        live = [one for one in machines if one.live]
        self._boots.look([one for one in machines if not one.live], self._since)
        if self._boots.hopeless:
            # What others have started is let finish.
            if not live:
                raise self._boots.error()
            return
        if machines and not live:
            self._send_lost(aws)
        smallest = min(checks.slots(self.config, one) for one in fleet.offers)
        needed = min(self.config.cluster_size, math.ceil(len(self._tasks) / smallest))
        missing = needed - len(live)
        if missing < 1 or time.monotonic() < self._start_at:
            return
        came, why = self._start(aws, missing, prices.SPOT)
        if why and self.config.on_demand:
            more, why = self._start(aws, missing - came, prices.ON_DEMAND)
            came += more
        if why is None:
            self._pause_s = self.pace.capacity_s
            return
        self._start_at = time.monotonic() + self._pause_s
        _log.warning(
            "EC2 has no capacity for %d of %d machines (%s); %s asking again in %.0f s%s.",
            missing - came,
            needed,
            why,
            f"{len(live) + came} run;" if live or came else "none runs yet;",
            self._pause_s,
            "" if self.config.on_demand else " ('on_demand' would take others, at their price)",
        )
        self._pause_s = min(2 * self._pause_s, 10 * self.pace.capacity_s)

    def _send_lost(self, aws: Aws) -> None:
        """Send again the tasks that neither the queue nor a machine has."""
        queue = self._queue
        if queue is None or not queue.is_empty(aws, len(self._foreign)):
            return
        self._finish(self._outcomes())
        if self._tasks:
            _log.warning("%d tasks are not in the queue; sending them again.", len(self._tasks))
            queue.send(aws, self._tasks)

    def _interrupted(self, left: Mapping[str, Task]) -> None:
        """End the attempts that the machines had under way when they were ended."""
        ends = results.last_attempts(self.run, left)
        for key, end in ends.items():
            if end is None:
                since = self._since.get(key, 0)
                account(self.run, left[key], Cause.INTERRUPTED, "The fleet was ended.", since)


def _started(state: State) -> dict[str, Machine]:
    """What EC2 has said that it started for the fleet, for earlier drivers as well."""
    return {
        name: Machine(name, kind, lifecycle, "pending", started)
        for name, (kind, lifecycle, started) in state.machines.items()
    }
