"""What stopping early saves, and how often a claim is wrong, in 1,000 random orders per question.

    python perf/sequential.py               # simulated grids, and AMLB's of 2019 where it is
    python perf/sequential.py --orders 100

Beside it fixed designs on as many data sets as the tasks that were run would pay for: Nemenyi, and
Wilcoxon with Holm. At first how many data sets one pair takes with other martingales. After `order`
the mean saving, without a correction for the number of pairs, and of tests that know the shares.

AMLB's results are read from the folder that PUBLISHED_TABLES names, as the tests do.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import os
import sys
import time
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import pandas as pd
from figures import figure
from scipy.special import gammaln, logsumexp

from benchmark.analysis.early_stop import schedule
from benchmark.analysis.early_stop.question import ALPHA, DATASET, MARGIN, SPLIT, UNITS, Question
from benchmark.analysis.early_stop.replay import Grid, Replay, interval, replay
from benchmark.analysis.early_stop.sequential import (
    capital,
    null_total,
    paired_ranks,
    paired_scores,
)
from benchmark.analysis.results.table import read_results
from benchmark.analysis.statistics import hypotheses, ranking

ROOT = Path(__file__).parents[2] / "shared" / "oracles"
TABLE = Path(os.environ.get("PUBLISHED_TABLES", ROOT)) / "amlb2019/tables/1h/all_results.csv"
# With the margin: 0.1 calls 40 to 60 % of wins practically equal.
QUESTIONS = (
    ("best", MARGIN),
    ("top:3", MARGIN),
    ("order", MARGIN),
    ("order", 0.1),
    ("against:f0", MARGIN),
)
FIXED_ORDERS = 100
MOST_SETS = 104  # Of the limits of `order`, whose tests are computed for each number of data sets.
LEADING = 0.95  # The leader's lead in standard deviations of the noise: it wins 3 of 4.
# By name: data sets, skills, and the aims for `best` and `order`.
SIMULATED = {
    "10 x 30, clear leader": (30, [1.5 + LEADING, *np.linspace(1.5, 0, 8)], 0.5),
    "12 x 104, clear leader": (104, [1.5 + LEADING, *np.linspace(1.5, 0, 10)], 0.75),
    "12 x 104, close race": (104, [1.7, *np.linspace(1.5, 0, 10)], None),
    "12 x 104, far apart": (104, list(np.linspace(6, 0, 11)), 0.75),
    "12 x 104, all equal": (104, [0.0] * 12, None),
    "12 x 101, one set decides": (101, [0.0] * 12, None),
}


def simulated(name: str, seed: int) -> Grid:
    """Skill and normal noise, rounded so that some tie; the last one is a constant predictor.

    Where all are equal there is none. Where one data set decides, the first framework wins against
    all others together on 51 of 101 data sets and loses against all on 50: the hardest case.
    """
    datasets, skills, _ = SIMULATED[name]
    random = np.random.default_rng(seed)
    means = np.round(np.asarray(skills) + random.normal(size=(datasets, len(skills))), 1)
    names = [f"f{number}" for number in range(len(skills))]
    if any(skills):
        means = np.column_stack([means, means.min(axis=1) - 1])
        names.append("constant")
    if "one set" in name:
        means[:, 0] = np.where(np.arange(datasets) <= datasets // 2, 9, -9)
    nothing = np.zeros(means.shape, dtype=bool)
    tasks = np.ones(datasets, dtype=np.int64)
    return Grid("classification", tuple(names), means, tasks, None, nothing, None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1000, help="default: %(default)s")
    options = parser.parse_args()
    designs()
    for name in SIMULATED:
        # Ten grids, so that no grid's luck decides.
        parts = min(10, options.orders)
        played(name, [simulated(name, seed) for seed in range(parts)], options.orders // parts)
    if TABLE.exists():
        frame = read_results(TABLE)
        played("AMLB 2019, 7 x 35", [Grid.of(frame, "classification")], options.orders)
        splits = Grid.of(frame, "classification", SPLIT)
        played("AMLB 2019, 7 x 350 splits", [splits], options.orders)
    else:
        print(f"\nnot measured: {TABLE} is absent")
    return 0


def played(name: str, grids: list[Grid], orders: int) -> None:
    """Print and hand over the figures of all questions on a kind of grid."""
    print(f"\n{name}, {len(grids)} x {orders} orders")
    print(f"{'':>20}{'tasks saved':>22}{'false claims':>26}{'constant':>10}")
    for text, margin in QUESTIONS:
        begun = time.process_time()
        question = Question.parse(text)
        if question.name and question.name not in grids[0].frameworks:
            question = Question("against", name="autosklearn")
        found = [
            replay(g, question, orders=orders, margin=margin, seed=1000 + n)
            for n, g in enumerate(grids)
        ]
        saved = np.concatenate([one.saved for one in found])
        wrong = np.concatenate([one.wrong for one in found])
        low, middle, high = np.percentile(saved, [25, 50, 75])
        ends = interval(int(wrong.sum()), len(wrong))
        last = [g for g in grids[0].frameworks if "constant" in g]
        retired = 0
        if last:
            place = grids[0].frameworks.index(last[0])
            retired = max(int(one.played.ran[:, place].max()) for one in found)
        shown = str(question) if margin == MARGIN else f"{question} ±{margin:g}"
        print(
            f"{shown:>20}{middle:8.0%} ({low:.0%} to {high:.0%})"
            f"{wrong.mean():9.1%} ({ends[0]:.1%} to {ends[1]:.1%}){retired or '-':>9}"
            f"{time.process_time() - begun:8.1f} s"
        )
        aim = SIMULATED[name][2] if name in SIMULATED else 0.5
        aims = {"best": aim, "order": 0.3 if last else None}
        label = f"{name}, {question.kind}" + ("" if margin == MARGIN else f" within {margin:g}")
        figure(f"{label}: tasks saved", middle, "", aim=aims.get(text), at_least=True)
        figure(f"{label}: orders with a false claim", float(wrong.mean()), "", aim=0.05)
        if (text, margin) == ("order", MARGIN) and last and len(found[0].grid.means) <= MOST_SETS:
            limits(label, found)
        if text == "best":
            if retired:
                units = UNITS[grids[0].unit]
                aim = 10 if grids[0].unit == DATASET else None
                figure(f"{label}: constant predictor retired after", retired, units, aim=aim)
            beside(label, found)
            differences(label, found)


def differences(label: str, found: list[Replay]) -> None:
    """By other differences than wins: the median saving, and when the constant is retired.

    As if the ranks and scaled scores of retired frameworks were known.
    """
    parts = []
    for word, paired in (("ranks", paired_ranks), ("scaled scores", paired_scores)):
        saved, retired = [], [0]
        for one in found:
            orders = one.orders[: max(1, FIXED_ORDERS // len(found))]
            played = schedule.play(paired(one.grid.means), orders, one.question)
            saved += list(1 - played.ran.mean(axis=1) / len(one.grid.means))
            last = [k for k, name in enumerate(one.grid.frameworks) if "constant" in name]
            retired.append(int(played.ran[:, last].max(initial=0)))
        parts.append(f"{word} {np.median(saved):.0%} (constant {max(retired) or '-'})")
        figure(f"{label}: tasks saved by {word}", float(np.median(saved)), "")
    print(f"{'':>12}by other differences: {'; '.join(parts)}")


def limits(label: str, found: list[Replay]) -> None:
    """The mean saving under `order`, and limits of it.

    Without a correction a pair needs the capital 1 / alpha. A test that knows a pair's share of
    wins and looks once has the power of Neyman and Pearson's test at alpha / pairs; no sequential
    test at this level decides by then with a larger probability. A framework waits for its slowest
    pair. An order has K - 1 pairs of neighbours, and any of them can be the wrong way round: fewer
    cannot be corrected for. Differences of ranks and scaled scores are tested as if those of
    retired frameworks were known, without a correction, too.
    """
    count = len(found[0].grid.frameworks)
    saved, uncorrected, known, few = [], [], [], []
    with patch.object(schedule, "needed_capital", lambda *asked: 1 / asked[-1]):
        for one in found:
            again = replay(one.grid, one.question, orders=FIXED_ORDERS, seed=one.seed)
            uncorrected.append(again.saved.mean())
    for one in found:
        saved.append(one.saved.mean())
        wins, size = one.grid.wins, len(one.grid.means)
        for shares, alpha in ((known, ALPHA / math.comb(count, 2)), (few, ALPHA / (count - 1))):
            least = np.zeros((count, count))
            for a, b in itertools.combinations(range(count), 2):
                least[a, b] = least[b, a] = fewest(wins[:, a, b], alpha)
            shares.append(1 - least.max(axis=1).mean() / size)
    words = {"mean saving": saved, "no correction": uncorrected, "known shares": known}
    words["K - 1 pairs"] = few
    for word, paired in (("ranks", paired_ranks), ("scaled scores", paired_scores)):
        words[word] = [by_difference(paired(one.grid.means), one.orders) for one in found]
    print(f"{'':>12}" + "; ".join(f"{word} {np.mean(v):.0%}" for word, v in words.items()))
    for word, values in words.items():
        figure(f"{label}: {word}", float(np.mean(values)), "")
    slowest(label, found)


def by_difference(values: np.ndarray, orders: np.ndarray) -> float:
    """The mean saving under `order` by other differences than wins (see `limits`)."""
    size = len(values)
    evidence = capital(values[orders[:FIXED_ORDERS].T], size, size / 2 - 1e-6)
    reached = (evidence >= 1 / ALPHA) | (evidence.swapaxes(2, 3) >= 1 / ALPHA)
    reached[-1] = True
    times = reached.argmax(axis=0)
    times[:, np.arange(times.shape[1]), np.arange(times.shape[1])] = 0
    return float(1 - times.max(axis=2).mean() / size)


def slowest(label: str, found: list[Replay]) -> None:
    """When at least the constant predictor's slowest pair is decided in half of the orders.

    By a test that knows the pair's share of wins, and looks once (see `limits`).
    """
    least = []
    for one in found:
        names = one.grid.frameworks
        place = next(k for k, name in enumerate(names) if "constant" in name)
        alpha = ALPHA / math.comb(len(names), 2)
        pairs = [pair_of(one.grid.wins[:, k, place]) for k in range(len(names)) if k != place]
        least.append(
            max(
                next(n for n in range(size + 1) if power(size, won, null, n, alpha) >= 0.5)
                for size, won, null in pairs
            )
        )
    print(f"{'':>12}the constant predictor's slowest pair takes {max(least)} at least")
    figure(f"{label}: least for the constant predictor", max(least), "data sets")


def fewest(wins: np.ndarray, alpha: float) -> float:
    """The mean number of data sets until one pair is decided, at least (see `limits`).

    Ties are left out: where they are does not depend on the hypotheses. The null is the nearest:
    as many wins are losses as make a majority of losses.
    """
    decided, won, null = pair_of(wins)
    if not decided or null < 0:
        return 0.0
    late = [1 - power(decided, won, null, count, alpha) for count in range(decided)]
    return sum(late) * (len(wins) + 1) / (decided + 1)


def pair_of(wins: np.ndarray) -> tuple[int, int, int]:
    """How many data sets decide a pair, are won by the better one, and would be under the null."""
    total = max(wins.sum(), len(wins) - wins.sum())
    won = int(max((wins == 1).sum(), (wins == 0).sum()))
    null = won - math.ceil(total - null_total(len(wins)) - 1e-9)
    return int((wins != 0.5).sum()), won, null


@functools.cache
def power(size: int, won: int, null: int, count: int, alpha: float) -> float:
    """Of the best test of `null` against `won` wins of `size`, on `count` of them, randomised."""
    values = np.arange(count, -1, -1)
    ways = [
        log_choose(total, values) + log_choose(size - total, count - values)
        for total in (null, won)
    ]
    under, real = (np.exp(one - log_choose(size, np.array(count))) for one in ways)
    sums = under.cumsum()
    place = int(np.searchsorted(sums, alpha + 1e-12))
    found = real[:place].sum()
    if place <= count and under[place] > 0:
        found += (alpha - (sums[place - 1] if place else 0)) / under[place] * real[place]
    return min(1.0, float(found))


def beside(label: str, found: list[Replay]) -> None:
    """In how many orders a fixed design finds the best with as many tasks; and how many are wrong.

    The right one is the first by mean rank of the full grid.
    """
    ours = np.mean([one.played.inside.any(axis=1).mean() for one in found])
    answers: dict[str, list[str]] = {"Nemenyi": [], "Wilcoxon-Holm": []}
    truth = []
    each = max(1, FIXED_ORDERS // len(found))
    for one in found:
        means = pd.DataFrame(one.grid.means, columns=list(one.grid.frameworks))
        size = round(float(np.median(one.tasks)) / one.grid.tasks.mean() / means.shape[1])
        difference = hypotheses.critical_difference(means.shape[1], max(2, size))
        for order in one.orders[:each]:
            part = means.iloc[order[: max(2, size)]]
            ranks = ranking.ranks(part).mean().sort_values()
            first = str(ranks.index[0])
            clear = ranks.iloc[1] - ranks.iloc[0] > difference
            answers["Nemenyi"].append(first if clear else "")
            table = hypotheses.wilcoxon_holm(part)
            clear = table is not None and bool((table[first].drop(first) < 0.05).all())
            answers["Wilcoxon-Holm"].append(first if clear else "")
            truth.append(one.leaders())
    print(f"{'':>12}the best is named in {ours:.0%} of the orders", end="")
    for design, names in answers.items():
        share = np.mean([bool(name) for name in names])
        false = np.mean(
            [bool(name) and name not in t for name, t in zip(names, truth, strict=True)]
        )
        print(f"; {design} {share:.0%} ({false:.0%} false)", end="")
        figure(f"{label}: named by {design}, as many tasks", float(share), "")
    figure(f"{label}: named", float(ours), "")
    print()


def designs(size: int = 104, needed: float = 240, runs: int = 400) -> None:
    """Median number of data sets until one pair is decided, by the share of wins."""
    print(f"One pair, {size} data sets, capital {needed:g}: data sets until it is decided")
    random = np.random.default_rng(5)
    for share in (1.0, 0.9, 0.8, 0.7, 0.6):
        wins = np.zeros(size)
        wins[: round(share * size)] = 1
        values = np.stack([random.permutation(wins) for _ in range(runs)], axis=1)
        row = {
            "betting": capital(values, size, null_total(size)),
            "hypergeometric": hypergeometric(values),
            "empirical Bernstein": bernstein(values, needed),
        }
        cells = []
        for word, evidence in row.items():
            reached = evidence >= needed
            first = np.where(reached.any(axis=0), reached.argmax(axis=0), size)
            cells.append(f"{word} {np.median(first):.0f}")
        print(f"  {share:4.0%} won: {', '.join(cells)}")


def hypergeometric(values: np.ndarray) -> np.ndarray:
    """The likelihood ratio of a uniform mixture of totals to the null's (Bayes' best bets)."""
    size = len(values)
    won = np.vstack([np.zeros(values.shape[1]), values.cumsum(axis=0)])
    left = size - np.arange(size + 1)[:, None]

    def likelihood(total: float) -> np.ndarray:
        return log_choose(left, total - won) - log_choose(size, np.array(total))

    null = np.floor(null_total(size))
    others = [likelihood(total) for total in np.arange(null + 1, size + 1)]
    with np.errstate(invalid="ignore"):
        ratio = logsumexp(others, axis=0) - np.log(len(others)) - likelihood(null)
    return np.exp(np.minimum(np.nan_to_num(ratio, nan=0.0), 200))


def log_choose(of: np.ndarray | int, take: np.ndarray) -> np.ndarray:
    """The logarithm of the number of ways; -inf where there is none."""
    possible = (take >= 0) & (take <= of)
    take = np.where(possible, take, 0)
    value = gammaln(of + 1) - gammaln(take + 1) - gammaln(of - take + 1)
    return np.where(possible, value, -np.inf)


def bernstein(values: np.ndarray, needed: float) -> np.ndarray:
    """The predictable plug-in (Waudby-Smith & Ramdas 2023, theorem 2), without replacement."""
    size, steps = len(values), np.arange(1, len(values) + 1)[:, None]
    before = np.vstack([np.zeros(values.shape[1]), values.cumsum(axis=0)[:-1]])
    mean = (0.5 + values.cumsum(axis=0)) / (steps + 1)
    spread = (0.25 + ((values - mean) ** 2).cumsum(axis=0)) / (steps + 1)
    mean = np.vstack([np.full(values.shape[1], 0.5), mean[:-1]])
    spread = np.vstack([np.full(values.shape[1], 0.25), spread[:-1]])
    bets = np.minimum(np.sqrt(2 * np.log(needed) / (spread * steps * np.log(1 + steps))), 0.5)
    left = (null_total(size) - before) / (size - steps + 1)
    gains = bets * (values - left) + (values - mean) ** 2 * (np.log(1 - bets) + bets)
    return np.vstack([np.ones(values.shape[1]), np.exp(np.minimum(gains.cumsum(axis=0), 200))])


if __name__ == "__main__":
    raise SystemExit(main())
