"""replay: what a question would have cost with an early stop, on stored results."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from benchmark.cli.output import notice, report
from benchmark.cli.progress import counted
from benchmark.cli.runs.question import claims, wrapped
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.analysis.early_stop.replay import Replay

MOST_ORDERS = 10_000


def replay(options: argparse.Namespace) -> int:
    from benchmark.analysis.early_stop import replay as replaying
    from benchmark.analysis.early_stop.question import DATASET, Question, check_ranges
    from benchmark.analysis.results.table import TYPES, read_results

    question = Question.parse(options.until)
    check_ranges(options.alpha, options.margin)
    _check(options)
    frame = read_results(options.results)
    found = []
    for type in TYPES:
        if (frame["TYPE"] == type).any():
            grid = replaying.Grid.of(frame, type, options.unit or DATASET)
            for note in grid.notes:
                notice(f"note: {note}")
            found.append(
                replaying.replay(
                    grid,
                    question,
                    alpha=options.alpha,
                    margin=options.margin,
                    orders=options.orders,
                    seed=options.seed,
                )
            )
    lines = [line for one in found for line in (*_lines(one), "")][:-1]
    report(options, {one.grid.type: one.facts() for one in found}, lines)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raises:
    BenchmarkError: a number is out of range.
    """
    for name, good, range_ in (
        ("orders", 0 < options.orders <= MOST_ORDERS, f"from 1 to {MOST_ORDERS:,}"),
        ("seed", options.seed >= 0, "at least 0"),
    ):
        if not good:
            raise BenchmarkError(f"--{name} is {getattr(options, name)}; it must be {range_}.")


def _lines(found: Replay) -> Iterator[str]:
    from benchmark.analysis.early_stop.question import UNITS
    from benchmark.analysis.report.answer import duration

    facts, orders = found.facts(), len(found.orders)
    example, total = facts["example"], facts["tasks"]
    yield (
        f"{facts['type']}: {facts['frameworks']} frameworks, "
        f"{counted(facts['datasets'], 'data set')}, {total:,} tasks"
    )
    yield ""
    head = "1 random order" if orders == 1 else f"{orders:,} random orders"
    units = UNITS[found.grid.unit]
    yield f"{f'In {head} of the {units}':<42}{'quartile':>12}{'median':>12}{'quartile':>12}"
    for word, key in (("tasks", "saved_quartiles"), ("time", "saved_time_quartiles")):
        if key in facts:
            yield f"{f'  {word} saved':<42}" + "".join(f"{share:>12.0%}" for share in facts[key])
    low, high = facts["false_interval"]
    yield (
        f"  orders with a false claim: {facts['false']:,} of {orders:,} "
        f"(95 % interval {low:.1%} to {high:.1%})"
    )
    yield ""
    cost = f"{example['tasks']:,} of {total:,} tasks"
    if "seconds" in facts:
        cost += f", {duration(example['seconds'])} of {duration(facts['seconds'])}"
    yield f"The first of these orders (seed {found.seed}): {cost}"
    counts = example[f"{found.grid.unit}s"].items()
    yield from claims(units, ((name, count, example["statements"][name]) for name, count in counts))
    if found.question.kind == "best" and not found.played.inside[0].any():
        yield "No framework is claimed to be the best."
    yield f"The full grid {'agrees with every' if example['agrees'] else 'contradicts a'} claim."
    yield from wrapped("", f"First by mean rank on the full grid: {', '.join(facts['leaders'])}.")
