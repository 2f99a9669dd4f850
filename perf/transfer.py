"""What `warm_start` saves on related pasts, and costs on shuffled ones.

    .venv/bin/python perf/transfer.py                        # four functions, minutes
    .venv/bin/python perf/transfer.py --coco                 # bbob of COCO, the extra perf
    .venv/bin/python perf/transfer.py --tables               # real learners, hours
    .venv/bin/python perf/transfer.py --tables FOLDER --seeds 2 --only neighbours vectors

Functions: two past studies have an optimum elsewhere by up to a tenth of the range, a wider range
of one tunable, and lack another one. COCO: two with the same instance of a function of bbob, moved
by up to a tenth of the range; or two other instances ("instances"), which share neither the place
of the optimum nor the rotation. Tables (learner_tables.py): two, of the learner on other rows of
the same data, and on a third of the present ones; or seven, of the learner on the other data sets
("others").

Each past study has 40 trials. Shuffled: the related pasts' points, their values in random order. A
target is the median of the best values of plain studies after 10, 20 and 40 trials; counted are the
trials until a study reaches it, 60 at most. Intervals: 95 %, by bootstrap over the functions or
tables. How related a past is: Spearman's rank correlation of its values with the present ones, over
the same random points. Values are reported without the sandbox.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import unittest.mock
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
# One thread each, so that as many as there are cores can run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import optuna  # noqa: E402
from figures import figure  # noqa: E402
from learner_tables import (  # noqa: E402
    DATASETS,
    EARLIER,
    SAMPLE,
    SPACES,
    Table,
    drawn,
    make_all,
)

from benchmark.hpo.spec.study_file import define  # noqa: E402
from benchmark.hpo.study.study import Study  # noqa: E402
from benchmark.records import results  # noqa: E402
from benchmark.records.results import Record  # noqa: E402
from benchmark.store import Store, open_store  # noqa: E402

PAST, MOST = 40, 60
TARGETS = (10, 20, 40)
EDGES = (-1.0, 0.5, 0.7, 0.8, 0.9)
LOOKS = (5, 10, 15, 20, 30, 40, 60)
Point = dict[str, Any]
Value = Callable[[Point], float]
Trials = list[tuple[Point, float]]


@dataclass(frozen=True)
class System:
    """What is tuned: a function or table by its name; `past` is "" for the present one."""

    kind: str
    name: str
    past: str = ""

    @property
    def space(self) -> list[Point]:
        if self.kind == "functions":
            return tunables(wider=self.past == "0", without="d" if self.past == "1" else "")
        if self.kind == "coco":
            number = {"value_type": "double", "lower_bound": -5, "upper_bound": 5}
            return [{"name": f"x{place}", **number} for place in range(5)]
        return SPACES[self.name.split()[0]]

    def value(self, seed: int, folder: Path | None) -> Value:
        generator = random.Random(f"{self.name} {seed}")
        near = random.Random(f"{self.name} {seed} {self.past}")
        if self.kind == "functions":
            at = [generator.uniform(0.15, 0.7) for _ in range(4)]
            at = [place + near.uniform(-0.1, 0.1) for place in at] if self.past else at
            return functools.partial(FUNCTIONS[self.name], at=at)
        if self.kind == "coco":
            is_moved = self.past in ("0", "1")
            moved = [near.uniform(-1, 1) if is_moved else 0.0 for _ in range(5)]
            instance = seed + 1 + (0 if is_moved or not self.past else 1000 * int(self.past[-1]))
            problem = coco(self.name, instance)
            return lambda point: problem([point[f"x{n}"] + moved[n] for n in range(5)])
        return table(folder, self.name, self.past)

    def pasts(self, seed: int, of: str) -> list[tuple[System, int]]:
        """The earlier systems and their seeds."""
        if self.kind == "tables" and of != "others":
            return [(System("tables", self.name, one), seed + 1) for one in (EARLIER, SAMPLE)]
        if self.kind == "tables":
            learner, dataset = self.name.split()
            others = [one for one in DATASETS if one != dataset]
            return [(System("tables", f"{learner} {one}"), seed + 1) for one in others]
        names = ("instance-1", "instance-2") if of == "instances" else ("0", "1")
        return [(System(self.kind, self.name, one), seed) for one in names]


def tunables(wider: bool = False, without: str = "") -> list[Point]:
    number = {"value_type": "double", "lower_bound": 0, "upper_bound": 1, "default": 0.9}
    found: list[Point] = [{"name": name, **number} for name in "abcd"]
    found.append(
        {"name": "c1", "value_type": "categorical", "choices": list("pqr"), "default": "r"}
    )
    found[0] |= {"upper_bound": 1.3} if wider else {}
    return [one for one in found if one["name"] != without]


def _shifted(point: Point, at: list[float]) -> tuple[list[float], float]:
    """The point from the optimum, and what its choice costs."""
    x = [point.get(name, 0.9) - place for name, place in zip("abcd", at, strict=True)]
    return x, "pqr".index(point["c1"]) / 10


def sphere(point: Point, at: list[float]) -> float:
    x, cost = _shifted(point, at)
    return sum(v**2 for v in x) + cost


def valley(point: Point, at: list[float]) -> float:
    x, cost = _shifted(point, at)
    return sum(20 * (b - a**2) ** 2 + a**2 for a, b in itertools.pairwise(x)) + cost


def waves(point: Point, at: list[float]) -> float:
    x, cost = _shifted(point, at)
    return sum(v**2 + 0.05 * (1 - math.cos(9 * math.pi * v)) for v in x) + cost


def steep(point: Point, at: list[float]) -> float:
    x, cost = _shifted(point, at)
    return sum(10**n * v**2 for n, v in enumerate(x)) + cost


FUNCTIONS = {one.__name__: one for one in (sphere, valley, waves, steep)}
BBOB = ("1", "3", "6", "8", "10", "15", "20", "21")


@functools.cache
def coco(function: str, instance: int) -> Any:
    import cocoex

    suite = cocoex.Suite(
        "bbob", f"instances: {instance}", f"dimensions:5 function_indices:{function}"
    )
    _suites.append(suite)  # its problems end with it
    return suite.get_problem(0)


_suites: list[Any] = []


@functools.cache
def table(folder: Path, name: str, version: str) -> Table:
    return Table(folder, *name.split(), version)


def study_of(store: Store, name: str, seed: int, space: list[Point], **more: Any) -> Study:
    values = {"name": name, "direction": "minimize", "trials": MOST, "seed": seed}
    values |= {"tunables": space, "objective": {"command": ["true"]}}
    return Study.begin(store, define(values | more, Path()))


def tell(study: Study, task: Any, value: float) -> None:
    labels = {**task.labels, "values": [value], "constraints": []}
    record = Record(task.key, "success", metrics={"value": value}, labels=labels)
    study.tell(results.settle(study.run, results.begin(study.run, task), record))


def run(study: Study, value_of: Value, most: int, target: float) -> Trials:
    """At most so many trials of a study, until one reaches the target."""
    trials: Trials = []
    for _ in range(most):
        (task,) = study.ask(1)
        point = task.payload["params"]
        trials.append((point, float(value_of(point))))
        tell(study, task, trials[-1][1])
        if trials[-1][1] <= target:
            break
    return trials


@dataclass(frozen=True)
class Job:
    """A study to run; without pasts a plain one of all its trials."""

    system: System
    seed: int
    folder: Path | None
    of: str = "plain"
    past: tuple[tuple[System, Trials], ...] = ()
    target: float = -math.inf


def done(job: Job) -> tuple[Job, Trials]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    value_of = job.system.value(job.seed, job.folder)
    with (
        tempfile.TemporaryDirectory(prefix="transfer-") as folder,
        unittest.mock.patch("os.fsync", lambda _: None),
        unittest.mock.patch("benchmark.hpo.report.trial_line.show", lambda *_: None),
    ):
        store = open_store(folder)
        for number, (system, trials) in enumerate(job.past):
            study = study_of(store, f"past-{number}", job.seed, system.space)
            values = [value for _, value in trials]
            if job.of == "shuffled":
                random.Random(f"{job.seed} {system.name} {number}").shuffle(values)
            for (point, _), value in zip(trials, values, strict=True):
                tell(study, study.adopt(dict(point), "0"), value)
        names = [f"past-{number}" for number in range(len(job.past))]
        more = {"warm_start": names} if names else {}
        study = study_of(store, "new", job.seed, job.system.space, **more)
        most = PAST if job.system.past else MOST
        return job, run(study, value_of, most, job.target)


def needed(trials: Trials, target: float) -> int:
    """The trials until the target is reached; those of the study if it is not."""
    return next((n for n, (_, value) in enumerate(trials, 1) if value <= target), MOST)


def best(trials: Trials, after: int) -> float:
    return min(value for _, value in trials[:after])


def saved(by_system: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The share of trials saved, and its interval, from the sums of each system."""

    def share(chosen: Sequence[tuple[float, float]]) -> float:
        return 1 - sum(warm for _, warm in chosen) / sum(plain for plain, _ in chosen)

    generator = random.Random(0)
    drawn = sorted(share(generator.choices(by_system, k=len(by_system))) for _ in range(2000))
    return share(by_system), drawn[50], drawn[1949]


Runs = dict[tuple[System, int], Trials]
Targets = dict[System, list[float]]


def sums(runs: Runs, targets: Targets, place: int) -> list[int]:
    """The trials until the target of each system, over its seeds."""
    return [
        sum(needed(trials, aims[place]) for (one, _), trials in runs.items() if one == system)
        for system, aims in targets.items()
    ]


def correlation(system: System, seed: int, of: str, folder: Path | None) -> float:
    """Of the past with the present, over the same random points; the mean of several pasts."""
    from scipy.stats import spearmanr

    points = [drawn(system.space, random.Random(f"{system.name} {n}")) for n in range(200)]

    def values(one: System, seed: int) -> list[float]:
        value_of = one.value(seed, folder)
        if isinstance(value_of, Table):
            return value_of.errors
        return [float(value_of(point)) for point in points]

    present = values(system, seed)
    found = [spearmanr(present, values(*one)).statistic for one in system.pasts(seed, of)]
    return statistics.mean(map(float, found))


def by_correlation(kind: str, runs: dict[str, Runs], targets: Targets, folder: Path | None) -> None:
    """What pasts save by their rank correlation with the present: median [least, most]."""
    groups: dict[float, list[tuple[float, float]]] = {edge: [] for edge in EDGES}
    seeds = range(1 + max(seed for _, seed in runs["plain"]))
    plain = sums(runs["plain"], targets, -1)
    for of in [one for one in runs if one not in ("plain", "shuffled")]:
        means = [
            statistics.mean(correlation(one, seed, of, folder) for seed in seeds) for one in targets
        ]
        middle = statistics.median(means)
        print(f"{of:>10}: rank correlation {middle:.2f} [{min(means):.2f}, {max(means):.2f}]")
        figure(f"rank correlation, {kind}, {of} pasts", middle, "")
        pairs = zip(plain, sums(runs[of], targets, -1), strict=True)
        for mean, pair in zip(means, pairs, strict=True):
            groups[max((edge for edge in EDGES if mean >= edge), default=EDGES[0])].append(pair)
    for edge, group in groups.items():
        if group:
            share, low, high = saved(group)
            print(
                f"correlation from {edge:.1f} on: {share:4.0%} of the trials saved "
                f"[{low:.0%}, {high:.0%}], {len(group)} pairs"
            )


def report(kind: str, runs: dict[str, Runs], targets: Targets) -> None:
    for of in [one for one in runs if one != "plain"]:
        for place, after in enumerate(TARGETS):
            plain, warm = (sums(runs[one], targets, place) for one in ("plain", of))
            share, low, high = saved(list(zip(plain, warm, strict=True)))
            print(
                f"{of:>10}: {share:4.0%} of the trials saved [{low:.0%}, {high:.0%}] until the "
                f"best of plain studies after {after}"
            )
        studies = f"{kind}, {len(runs[of])} studies"
        if of == "related":
            figure(f"trials saved, {studies}", 100 * share, "%", aim=30, at_least=True)
        elif of == "shuffled":
            figure(f"trials that shuffled pasts cost, {studies}", -100 * share, "%", aim=5)
        else:
            figure(f"trials saved by {of}, {studies}", 100 * share, "%")
    print("share of the studies as good as plain ones after 40 trials, by their trials")
    print(f"{'':>10}  " + "".join(f"{look:6}" for look in LOOKS))
    for of, found in runs.items():
        counts = [
            next((n for n, (_, value) in enumerate(trials, 1) if value <= aim), math.inf)
            for trials, aim in ((t, targets[s][-1]) for (s, _), t in found.items())
        ]
        shares = [statistics.mean(n <= look for n in counts) for look in LOOKS]
        print(f"{of:>10}  " + "".join(f"{share:6.0%}" for share in shares))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="of each system (default: 20)")
    parser.add_argument("--coco", action="store_true", help="functions of COCO's bbob")
    parser.add_argument(
        "--tables",
        type=Path,
        nargs="?",
        const=Path(tempfile.gettempdir()) / "learner-tables",
        help="real learners; the folder in which their tables are kept",
    )
    parser.add_argument("--only", nargs="+", default=[""], help="names that begin with these")
    options = parser.parse_args()
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, Optuna {optuna.__version__}")
    kinds = ["plain", "related", "shuffled"]
    kind, names = "functions", list(FUNCTIONS)
    if options.coco:
        kind, names, kinds = "coco", list(BBOB), [*kinds, "instances"]
    elif options.tables:
        kind, names = "tables", [f"{one} {dataset}" for one in SPACES for dataset in DATASETS]
        kinds = [*kinds, "others"]
        make_all(options.tables, tuple(options.only))
    systems = [System(kind, name) for name in names if name.startswith(tuple(options.only))]
    wanted = [(system, seed) for seed in range(options.seeds) for system in systems]
    earlier = {p for s, seed in wanted for of in kinds[1:] for p in s.pasts(seed, of)}
    runs: dict[str, Runs] = {of: {} for of in kinds}
    with multiprocessing.get_context("spawn").Pool(len(os.sched_getaffinity(0))) as pool:
        jobs = [Job(*one, options.tables) for one in dict.fromkeys([*wanted, *earlier])]
        plain = {(job.system, job.seed): trials for job, trials in pool.imap_unordered(done, jobs)}
        runs["plain"] = {one: plain[one] for one in wanted}
        targets = {
            system: [
                statistics.median(best(plain[system, seed], n) for seed in range(options.seeds))
                for n in TARGETS
            ]
            for system in systems
        }
        jobs = [
            Job(
                *(system, seed, options.tables, of),
                tuple((s, plain[s, n][:PAST]) for s, n in system.pasts(seed, of)),
                targets[system][-1],
            )
            for system, seed in wanted
            for of in kinds[1:]
        ]
        for job, trials in pool.imap_unordered(done, jobs):
            runs[job.of][job.system, job.seed] = trials
    report(kind, runs, targets)
    by_correlation(kind, runs, targets, options.tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
