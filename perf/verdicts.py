"""How often the verdict of `--confirm` is wrong, and how many pairs it takes, by kind of noise.

    .venv/bin/python perf/verdicts.py               # 5,000 plants a cell, some minutes
    .venv/bin/python perf/verdicts.py --plants 500

A plant is a series of runs with one kind of noise, half of them of the best and half of the
default, in the order in which `tune --confirm` runs them. False "keep": best and default are the
same, and the test says "keep" at any of the looks after each of 50 pairs; the aim is at most
2.5 %. Beside it what a test for one look says when it is looked at as often, in the fixed order
(default and best, best and default), and what it says of ten pairs in that order.

Then true gains: how often and after how many pairs `until-decided` keeps, beside a design whose
number of pairs is fixed beforehand (signed ranks, one look): the pairs that it needs for as
much power if the gain and the noise are known. How much the gain is overstated where it is kept,
as measured and shrunk.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from figures import figure, heading
from scipy import signal, stats

from benchmark.hpo.report.paired_test import THRESHOLD, detectable, estimate, evidence

PAIRS = 50
AIM = 2.5
LOOKS = (6, 8, 10, 12, 15, 20, 30, 40, 50)
# Gains in standard deviations of one run, and how many plants are estimated.
GAINS = (0.5, 1.0, 1.5, 2.0, 4.0)
ESTIMATED = 1000

Dice = np.random.Generator


def autocorrelated(dice: Dice, shape: tuple[int, int]) -> Any:
    noise = dice.normal(size=shape) * np.sqrt(1 - 0.9**2)
    noise[:, 0] = dice.normal(size=shape[0])
    return signal.lfilter([1], [1, -0.9], noise, axis=1)


def drift(dice: Dice, shape: tuple[int, int]) -> Any:
    slope = dice.choice([-1, 1], (shape[0], 1)) * dice.uniform(0.02, 0.5, (shape[0], 1))
    return dice.normal(size=shape) + slope * np.arange(shape[1])


def steps(dice: Dice, shape: tuple[int, int]) -> Any:
    jumps = (dice.random(shape) < 0.1) * dice.normal(scale=5, size=shape)
    return dice.normal(size=shape) + jumps.cumsum(axis=1)


def periodic(period: int | None) -> Callable[[Dice, tuple[int, int]], Any]:
    """Every so many runs one is slower, from a random start; None for any period."""

    def draw(dice: Dice, shape: tuple[int, int]) -> Any:
        periods = dice.integers(2, 13, (shape[0], 1)) if period is None else period
        start = dice.integers(0, periods, (shape[0], 1))
        slow = (np.arange(shape[1]) + start) % periods == 0
        return dice.normal(size=shape) + 5 * slow

    return draw


def cold(dice: Dice, shape: tuple[int, int]) -> Any:
    start = dice.uniform(2, 10, (shape[0], 1)) * np.exp(-np.arange(shape[1]) / 4)
    return dice.normal(size=shape) + start


NOISES: dict[str, Callable[[Dice, tuple[int, int]], Any]] = {
    "normal": lambda dice, shape: dice.normal(size=shape),
    "heavy tails (t, 1.5 df)": lambda dice, shape: dice.standard_t(1.5, size=shape),
    "outliers (10 % slow)": lambda dice, shape: (
        dice.normal(size=shape) + 10 * (dice.random(shape) < 0.1)
    ),
    "autocorrelated (0.9)": autocorrelated,
    "drift": drift,
    "steps": steps,
    "periodic, any period": periodic(None),
    "whole units (sd 1)": lambda dice, shape: np.round(dice.normal(size=shape)),
    "cold start": cold,
}
MORE: dict[str, Callable[[Dice, tuple[int, int]], Any]] = {
    **{f"periodic, every {period}": periodic(period) for period in range(2, 13)},
    "whole units (sd 0.4)": lambda dice, shape: np.round(dice.normal(scale=0.4, size=shape)),
    "10 % of runs fail": lambda dice, shape: np.where(
        dice.random(shape) < 0.1, np.inf, dice.normal(size=shape)
    ),
}


def gains(runs: Any, gain: float, best_first: Any) -> Any:
    """How much less the best takes in each pair: (plants, pairs) from (plants, 2 pairs) runs."""
    first, second = runs[:, ::2], runs[:, 1::2]
    with np.errstate(invalid="ignore"):
        found = np.where(best_first, second - first, first - second) + gain
    return np.nan_to_num(found, nan=0.0, posinf=np.inf, neginf=-np.inf)


def one_look(differences: Any) -> Any:
    """Whether signed ranks have p < 0.025 one-sided, with the variance that ties leave."""
    largest = np.where(np.isinf(differences), 1e9, np.abs(differences)).max()
    finite = np.clip(differences, -largest, largest)
    ranks = np.sign(finite) * stats.rankdata(np.abs(finite), axis=1)
    counts = (finite != 0).sum(axis=1)
    total, spread = ranks.sum(axis=1), np.sqrt((ranks**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        # With fewer than 6 differences no exact p is below 0.025.
        return (counts > 5) & (total / spread > stats.norm.isf(0.025))


def share(flags: Any) -> tuple[float, str]:
    """Per cent, and the same with its 95 % binomial interval."""
    count, size = int(flags.sum()), len(flags)
    ends = stats.binomtest(count, size).proportion_ci()
    return (
        100 * count / size,
        f"{100 * count / size:5.2f} ({100 * ends.low:.2f}-{100 * ends.high:.2f})",
    )


def false_keeps(plants: int) -> None:
    print(f'\nfalse "keep" in % (95 % interval), {plants:,} plants of {PAIRS} pairs a row')
    print(f"{'':>24} {'any look':>18} {'fixed order,':>18} {'fixed order, looks':>20}")
    print(f"{'':>24} {'(--confirm)':>18} {'10 pairs, one look':>18} {'at 6, 8 ... 50':>20}")
    fixed_order = np.arange(PAIRS) % 2 == 1
    for name, draw in (NOISES | MORE).items():
        dice = np.random.default_rng((1, len(name), *name.encode()))
        runs = draw(dice, (plants, 2 * PAIRS))
        drawn = gains(runs, 0, dice.random((plants, PAIRS)) < 0.5)
        found, text = share(keeps(drawn).any(axis=1))
        before = gains(runs, 0, fixed_order)
        looks = np.array([one_look(before[:, :look]) for look in LOOKS])
        print(
            f"{name:>24} {text:>18} {share(looks[LOOKS.index(10)])[1]:>18} "
            f"{share(looks.any(axis=0))[1]:>20}",
            flush=True,
        )
        figure(f'false "keep", any look, {name}', found, "%", aim=AIM)


def keeps(differences: Any) -> Any:
    return evidence(differences) >= THRESHOLD


def true_keeps(plants: int) -> None:
    print(f"\ntrue gains, in standard deviations of a run: keeps within {PAIRS} pairs (%), mean of")
    print(
        "pairs; a fixed design: pairs for as much power, and its power with the mean of pairs (%)"
    )
    print(f"{'':>24} " + " ".join(f"{gain:>22g}" for gain in GAINS))
    for name, draw in NOISES.items():
        dice = np.random.default_rng((2, len(name), *name.encode()))
        unit = spread(draw(np.random.default_rng(3), (2000, 2 * PAIRS)))
        cells = []
        for gain in GAINS:
            runs = draw(dice, (plants, 2 * PAIRS))
            drawn = gains(runs, gain * unit, dice.random((plants, PAIRS)) < 0.5)
            kept = keeps(drawn)
            power = kept.any(axis=1).mean()
            took = np.where(kept.any(axis=1), kept.argmax(axis=1) + 1, PAIRS).mean()
            needed, beside = fixed(drawn, power, round(took))
            cells.append(
                f"{100 * power:4.0f} {took:5.1f}; {needed:>3} {100 * beside:4.0f}".rjust(22)
            )
            if gain == 1:
                figure(f"pairs for a gain of 1 sd, {name}", took, "pairs")
        print(f"{name:>24} " + " ".join(cells), flush=True)


def spread(runs: Any) -> float:
    """Standard deviation of the difference of neighbouring runs over sqrt(2), without outliers."""
    return float(
        stats.median_abs_deviation(np.diff(runs, axis=1), axis=None, scale="normal") / 2**0.5
    )


def fixed(drawn: Any, power: float, pairs: int) -> tuple[str, float]:
    beside = float(one_look(drawn[:, : max(6, pairs)]).mean())
    for look in range(6, PAIRS + 1):
        if one_look(drawn[:, :look]).mean() >= min(power, 0.995):
            return str(look), beside
    return f">{PAIRS}", beside


def estimates() -> None:
    print("\nthe gain where it is kept, as a share of the true one: measured, shrunk; normal noise")
    dice = np.random.default_rng(4)
    for gain in GAINS:
        drawn = dice.normal(size=(ESTIMATED, PAIRS)) * 2**0.5 + gain
        kept = keeps(drawn)
        rows = []
        for row in np.flatnonzero(kept.any(axis=1)):
            rows.append(estimate(drawn[row, : kept[row].argmax() + 1]))
        measured, shrunk = np.mean(rows, axis=0) / gain
        print(f"{gain:>8g} sd: {measured:.2f}, {shrunk:.2f} ({len(rows)} kept)")
        figure(f"shrunk gain of {gain:g} sd over the true one", shrunk, "")


def detected(plants: int) -> None:
    print("\npower (%) at the gain that --confirm announces before it starts; aim about 80")
    for pairs in (7, 8, 10, 15, 20, 40, 80):
        dice = np.random.default_rng(5)
        gain = detectable(pairs, 1.0) or 0.0
        drawn = dice.normal(size=(min(plants, 2000), pairs)) * 2**0.5 + gain
        power = 100 * keeps(drawn).any(axis=1).mean()
        print(f"{pairs:>8} pairs, {gain:.2f} sd: {power:.0f}")
        figure(f"power at the announced gain, {pairs} pairs", power, "%")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plants", type=int, default=5000, help="a cell (default: %(default)s)")
    options = parser.parse_args()
    started = time.monotonic()
    print(heading("numpy", "scipy"))
    false_keeps(options.plants)
    true_keeps(options.plants)
    estimates()
    detected(options.plants)
    print(f"\n{time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
