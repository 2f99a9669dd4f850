"""Rows of overhead, statistics, money and the first result."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pandas as pd

from benchmark.analysis.statistics import hypotheses, ranking
from benchmark.config.cache import CACHE_VARIABLE, cache_folder
from prove.limits import records_of
from prove.program import ROOT, configure, run_main
from prove.rows import BrokenError, NotShownError, Stage, check, row

# Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7, 2006, table 6:
# AUC of C4.5 and its three variants on 14 data sets. Where three digits tie, on voting, the paper's
# ranks do not (2 and 3, of what was not rounded): a fourth digit says so.
DEMSAR = """
0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967  0.628 0.661 0.654 0.657
0.882 0.888 0.886 0.898  0.936 0.931 0.916 0.931  0.661 0.668 0.609 0.685  0.583 0.583 0.563 0.625
0.775 0.838 0.866 0.875  1.000 1.000 1.000 1.000  0.940 0.962 0.965 0.962  0.619 0.666 0.614 0.669
0.972 0.981 0.9751 0.975  0.957 0.978 0.946 0.970
"""
DEMSAR_RANKS = [3.143, 2.000, 2.893, 1.964]
DEMSAR_STATISTIC = 9.28
# The paper does not correct for ties: one of four, three of two (78 in the sum of t³ - t).
DEMSAR_TIES = 1 - 78 / (14 * (4**3 - 4))
# Gijsbers et al., AMLB: an AutoML Benchmark, JMLR 25, 2024: frameworks, data sets, difference.
AMLB_DIFFERENCES = [(12, 104, 1.634), (14, 41, 3.099), (14, 30, 3.622), (14, 33, 3.454)]
MOST_OVERHEAD_S = 1.0


@row(4, "A run of tasks that take next to no time themselves, limits on")
def overhead(stage: Stage) -> str:
    folder = configure(stage.folder / "run", frameworks=["constant"], seeds=2)
    with watched_slowness() as samples:
        done = run_main(folder, "execute-compute")
    check(done.returncode == 0, f"the run ended with {done.returncode}: {done.stderr[-300:]}")
    records = list(records_of(folder).values())
    untold = [record.task for record in records if record.overhead_s is None]
    check(not untold, f"{len(untold)} records do not tell their overhead")
    for one in records:
        parts = (one.setup_s, one.fit_s, one.predict_s, one.inference_s, one.overhead_s)
        total = sum(part or 0.0 for part in parts)
        check(abs(total - (one.total_s or 0.0)) < 0.01, f"{one.task}: the parts are not the total")
    own = sorted((one.overhead_s or 0.0) + (one.setup_s or 0.0) for one in records)
    median, p95 = statistics.median(own), own[int(0.95 * (len(own) - 1))]
    slower = max(samples[0], samples[-1], statistics.median(samples))
    check(
        median < MOST_OVERHEAD_S * slower,
        f"the median is {median:.2f} s on a machine that was {slower:.1f} times slower than idle",
    )
    return (
        f"{len(own)} tasks: median {median:.3f} s, 95th percentile {p95:.3f} s, in every record; "
        f"bound: {MOST_OVERHEAD_S:g} s on an idle machine, this one was {slower:.1f} times slower"
    )


@contextlib.contextmanager
def watched_slowness() -> Iterator[list[float]]:
    """How slow the machine is before a block, again and again in it, and after it."""
    samples, over = [slowness()], threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            samples.append(slowness(0.03))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()
        samples.append(slowness())


def slowness(computed_s: float = 0.3) -> float:
    """How many times longer than its processor time a computation takes now."""
    begun, spent = time.perf_counter(), time.thread_time()
    while time.thread_time() - spent < computed_s:
        pass
    return max(1.0, (time.perf_counter() - begun) / (time.thread_time() - spent))


@row(5, "Published tables recomputed: Demšar 2006, AMLB's critical differences, AMLB 2019")
def published_tables(stage: Stage) -> str:
    values = [float(text) for text in DEMSAR.split()]
    frame = pd.DataFrame([values[at : at + 4] for at in range(0, len(values), 4)])
    ranks = ranking.ranks(frame)
    means = ranks.mean().round(3).to_list()
    check(means == DEMSAR_RANKS, f"the mean ranks are {means}, published {DEMSAR_RANKS}")
    found = hypotheses.friedman(ranks)
    check(found is not None, "there is no statistic")
    plain = found.statistic * DEMSAR_TIES
    check(round(plain, 2) == DEMSAR_STATISTIC, f"Friedman's statistic is {plain:.2f}")
    for frameworks, datasets, published in AMLB_DIFFERENCES:
        own = round(hypotheses.critical_difference(frameworks, datasets), 3)
        check(own == published, f"the critical difference is {own}, published {published}")
    told = f"4 mean ranks and Friedman's statistic of Demšar, {len(AMLB_DIFFERENCES)} differences"
    tables = os.environ.get("PUBLISHED_TABLES")
    if not tables:
        return f"{told}: equal; AMLB 2019 not here (PUBLISHED_TABLES)"
    number = passed("tests/analysis/statistics/test_published_tables.py")
    return f"{told}: equal; AMLB 2019: {number} comparisons of whole tables equal"


def passed(*tests: str) -> int:
    """Run tests; how many there were.

    Raises:
        BrokenError: one failed.
        NotShownError: none ran.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--color=no", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"(\d+) passed", done.stdout)
    if done.returncode:
        raise BrokenError(done.stdout[-300:])
    if found is None:
        raise NotShownError(done.stdout[-200:])
    return int(found[1])


@row(
    6,
    "A fleet (moto, machines as processes) whose driver is gone; a limit too small for the run",
)
def money(stage: Stage) -> str:
    fleet = "tests/compute/baremetal/test_fleet.py::"
    ended = passed(
        f"{fleet}test_a_run_over_a_fleet",
        f"{fleet}test_machines_without_a_driver_finish_and_end_themselves",
        f"{fleet}test_the_estimate_is_of_the_prices_of_now",
    )
    limits = passed("tests/runs/costs/test_spending.py")
    return (
        f"{ended} runs over the double: no machine, queue or template left; {limits} of forecasts "
        "and 'max_cost': nothing started beyond it. No real account was asked"
    )


@row(6, "Queues made before a start that fails; machines that EC2 does not describe; both by moto")
def leftovers(stage: Stage) -> str:
    fleet = "tests/compute/baremetal/test_fleet.py::"
    ended = passed(
        f"{fleet}test_queues_made_before_a_failure_are_removed",
        f"{fleet}test_machines_that_ec2_does_not_describe_yet_count_and_are_ended",
    )
    return f"{ended} starts: each queue in the state and removed, each machine counted and ended"


@row(7, "No network at all (a network namespace), an empty home, no configuration")
def newcomer(stage: Stage) -> str:
    alone = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
    reachable = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    if shutil.which("unshare") is None or not reachable:
        raise NotShownError("no network namespace can be made here")
    home = stage.folder / "home"
    work = stage.folder / "work"
    home.mkdir()
    work.mkdir()
    # "Once installed, no network": the environments are what is installed.
    own = {"HOME": str(home), CACHE_VARIABLE: str(cache_folder())}
    grid = [
        *("--framework", "constant", "--framework", "random-forest"),
        *("--dataset", "penguins"),
    ]
    grid += ["--dataset", "titanic", "--dataset", "cpu", "--dataset", "concrete"]
    begun = time.monotonic()
    said = ""
    for command in (
        ["resume-compute", "--run", "quickstart", *grid],
        ["run-analysis", "--run", "quickstart"],
    ):
        done = run_main(work, *command, before=alone, **own)
        said += done.stdout
        check(
            done.returncode == 0, f"{command[0]} ended with {done.returncode}: {done.stderr[-300:]}"
        )
    took = time.monotonic() - begun
    check("random-forest" in said, "there is no leaderboard")
    report = (work / "report.html").read_text(encoding="utf-8")
    outside = re.findall(r"(?:src|href)=\"(https?://[^\"]+)", report)
    check(not [one for one in outside if "src" in one], f"the report loads {outside[:1]}")
    figures = len(list((work / "figures").glob("*")))
    return f"8 tasks, leaderboard, {figures} figures and report.html within {took:.0f} s"
