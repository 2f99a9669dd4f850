"""A simulated account of AWS: what machines cost never exceeds the forecast's maximum or max_cost.

A queue starts machines of the types that are configured, in any zone, puts jobs on them while they
fit, loses machines, and tries their jobs again. The account bills each machine from its first job
to its last. The program's own code forecasts, hands tasks out, and counts what was spent.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from benchmark.compute import discovery
from benchmark.compute.aws.prices import SPOT, Offer, Packing, batch_packing, rate_of
from benchmark.compute.dispatcher import Rate
from benchmark.config.loading import Config
from benchmark.execution.machine import billing
from benchmark.records.record import Cause, Record
from benchmark.records.tasks import Cell, Resources, Task
from benchmark.runs.costs.estimate import estimate
from benchmark.runs.costs.spending import OVERHEAD_S, Purse, Share

# Cores, MB, and USD an hour on demand in us-east-1; spot prices are a part of these.
TYPES = {
    "c5.large": (2, 4096, 0.085),
    "c5.xlarge": (4, 8192, 0.17),
    "c5.4xlarge": (16, 32768, 0.68),
    "c6i.2xlarge": (8, 16384, 0.34),
    "c6i.24xlarge": (96, 196608, 4.08),
    "m5.large": (2, 8192, 0.096),
    "m6i.4xlarge": (16, 65536, 0.768),
    "m6i.16xlarge": (64, 262144, 3.072),
    "r5.xlarge": (4, 32768, 0.252),
    "r6i.8xlarge": (32, 262144, 2.016),
    "r6i.metal": (128, 1048576, 8.064),
}


@dataclass
class Machine:
    offer: Offer
    zone: str
    slots: int
    name: str
    jobs: dict[int, Job] = field(default_factory=dict)
    started: float = 0.0

    @property
    def price(self) -> float:
        return self.offer.zones[self.zone]


@dataclass
class Job:
    task: Task
    attempt: int = 0
    begun: float = 0.0


class Account:
    """Batch, its machines and the bill; `share` hands out what the program would."""

    def __init__(self, random: random.Random, config: Config, offers: list[Offer], rate: Rate):
        self.random, self.config, self.rate = random, config, rate
        self.resources = Resources(config.cores, config.memory, config.runtime, config.hard_limit)
        # What ECS offers to jobs of a machine's memory; the program counts on the least.
        self.usable = random.uniform(0.92, 0.98)
        self.offers = [one for one in offers if self.slots(one)]
        self.loss = random.choice((0.0, 0.0, 0.2, 0.6))
        self.unknown = random.choice((0.0, 0.0, 0.1, 1.0))
        self.longest = random.random()
        self.bill, self.now = 0.0, 0.0
        self.waiting: list[Job] = []
        self.machines: list[Machine] = []
        self.events: list[tuple[float, int, Machine, int | None]] = []
        self.number = itertools.count()

    def slots(self, one: Offer) -> int:
        memory = one.memory_mb * self.usable // (self.config.memory + 1024)
        return int(min(one.vcpus // self.config.cores, memory))

    def run(self, share: Share) -> None:
        self.waiting += [Job(task) for task in share.first()]
        while True:
            self.schedule()
            if not self.events:
                return
            self.now, _, machine, number = heapq.heappop(self.events)
            if machine not in self.machines or (number is not None and number not in machine.jobs):
                continue  # It was lost meanwhile.
            if number is None:
                for one in list(machine.jobs):
                    self.end(share, machine, one, lost=True)
            else:
                self.end(share, machine, number)
            if not machine.jobs:
                self.machines.remove(machine)
                self.bill += machine.price * (self.now - machine.started) / 3600
            self.waiting += [Job(task) for task in share.more()]

    def schedule(self) -> None:
        while self.waiting:
            free = [one for one in self.machines if len(one.jobs) < one.slots]
            running = sum(len(one.jobs) for one in self.machines)
            if not free and running >= self.config.cluster_size:
                return
            machine = self.random.choice(free) if free else self.start()
            self.begin(machine, self.waiting.pop(0))

    def start(self) -> Machine:
        offer = self.random.choice(self.offers)
        zone = self.random.choice(sorted(offer.zones))
        name = f"i-{next(self.number)}"
        machine = Machine(offer, zone, self.slots(offer), name, started=self.now)
        self.machines.append(machine)
        if self.random.random() < self.loss:
            at = self.now + self.random.uniform(0, 2) * self.config.hard_limit
            heapq.heappush(self.events, (at, next(self.number), machine, None))
        return machine

    def begin(self, machine: Machine, job: Job) -> None:
        job.attempt, job.begun = job.attempt + 1, self.now
        most = self.config.hard_limit + OVERHEAD_S
        part = 1.0 if self.random.random() < self.longest else self.random.random()
        number = next(self.number)
        machine.jobs[number] = job
        heapq.heappush(self.events, (self.now + part * most, number, machine, number))

    def end(self, share: Share, machine: Machine, number: int, *, lost: bool = False) -> None:
        job = machine.jobs.pop(number)
        if lost and job.attempt < self.rate.tries:
            self.waiting.append(job)
            return
        took = self.now - job.begun
        shape = batch_packing(1024).shape(machine.offer)
        host = shape | {"instance": machine.name, "price_per_hour": machine.price}
        known = self.random.random() >= self.unknown
        record = Record(
            job.task.key,
            "failure" if lost else "success",
            cause=Cause.INTERRUPTED if lost else None,
            host=host,
            attempt=job.attempt,
            ended=datetime.fromtimestamp(self.now, UTC).isoformat(),
            total_s=took,
            cost=billing.cost(host, self.resources, took) if known else None,
        )
        share.heard(record)


def offers_of(random: random.Random) -> list[Offer]:
    found = []
    for name in random.sample(sorted(TYPES), random.randint(1, 4)):
        cores, memory_mb, price = TYPES[name]
        zones = {zone: price * random.uniform(0.2, 1.0) for zone in "abc"[: random.randint(1, 3)]}
        found.append(
            Offer(name, cores, memory_mb, spot=min(zones.values()), on_demand=price, zones=zones)
        )
    return found


def tasks_of(config: Config, number: int) -> list[Task]:
    resources = Resources(config.cores, config.memory, config.runtime, config.hard_limit)
    return [Task(f"constant/d/{n}", "x:y", None, {}, resources, {}) for n in range(number)]


@pytest.mark.parametrize(
    ("seed", "number_of_configurations"),
    [(0, 20), pytest.param(1, 1000, marks=pytest.mark.integration)],
)
def test_what_machines_cost_is_within_the_forecast_and_the_limit(
    seed: int,
    number_of_configurations: int,
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("ERROR", "benchmark.runs")
    chance = random.Random(seed)
    tried = 0
    while tried < number_of_configurations:
        hard_limit = chance.randint(60, 7200)
        config = make_config(
            cores=chance.choice((1, 2, 3, 4, 8)),
            memory=chance.choice((500, 1500, 3500, 8000, 16000)),
            runtime=hard_limit / 2,
            hard_limit=hard_limit,
            max_attempts=chance.randint(1, 3),
            cluster_size=chance.choice((1, 5, 100)),
        )
        offers = offers_of(chance)
        rate = rate_of(offers, config, SPOT, batch_packing(1024))
        if rate is None:
            continue
        rate = replace(rate, tries=config.max_attempts)
        account = Account(chance, config, offers, rate)
        if not account.offers:
            continue
        tried += 1
        number = chance.randint(1, 40)
        tasks = tasks_of(config, number)

        method = SimpleNamespace(rate=lambda config, rate=rate: rate)
        monkeypatch.setattr(discovery, "load_method", lambda name, method=method: method)
        cells = [Cell("constant", "d", n) for n in range(number)]
        chosen = {"constant": "batch"}
        free = estimate(config, cells, chosen, None).cost
        assert free is not None
        limit = chance.choice((None, chance.uniform(0.1, 1.5) * free.high))
        config = config.model_copy(update={"max_cost": limit})
        forecast = estimate(config, cells, chosen, None).cost
        assert forecast is not None
        purse = Purse(limit, 0.0)
        share = Share(purse, "batch", rate, tasks)
        account.run(share)
        what = (seed, tried, config.cores, config.memory, number, limit)
        assert account.bill <= forecast.high * (1 + 1e-9), what
        assert account.bill <= purse.total * (1 + 1e-9), what
        if limit is None:
            assert not share.held_back
        else:
            assert purse.total <= limit * (1 + 1e-9), what


def test_the_defaults_take_a_whole_machine(make_config: Callable[..., Config]) -> None:
    """One job of 3500 + 1024 MB is all that a c5.xlarge holds, not a half of it."""
    offer = Offer("c5.xlarge", 4, 8192, spot=0.07, zones={"a": 0.07, "b": 0.09})
    config = make_config(cores=2, memory=3500)
    whole = rate_of([offer], config, SPOT, batch_packing(1024))
    half = rate_of([offer], config, SPOT, Packing())
    assert whole is not None
    assert half is not None
    assert (whole.low, whole.high, half.high) == (0.07, 0.09, 0.045)
