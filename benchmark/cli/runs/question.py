"""What a run's question has come to, in lines (`--until`)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from benchmark.cli.progress import counted
from benchmark.records.tasks import Manifest

if TYPE_CHECKING:
    from benchmark.analysis.early_stop.standing import Standing
    from benchmark.runs.early_stop.tracking import Answer

_WIDTH = 80
_NAME_WIDTH = 28
_PAIRS_SHOWN = 10


def lines(manifest: Manifest, answers: Sequence[Answer]) -> Iterator[str]:
    """The claims, what is open and what was saved."""
    until = manifest.until or {}
    if answers:
        yield (
            f"Until {until['question']}, wrong with probability {until['alpha']:g} at most, "
            f"margin {until['margin']:g}"
        )
        before = [str(one["question"]) for one in until.get("earlier", ()) if "looked" in one]
        if before:
            asked = f"asked before, with a probability of their own: {', '.join(before)}"
            yield from wrapped("  ", asked)
    for one in answers:
        yield from _lines(one)


def _lines(one: Answer) -> Iterator[str]:
    state = "answered" if one.answered else "open"
    yield f"{one.type}: {state}, {one.ran:,} of {counted(one.tasks, 'task')} with result"
    share = one.retired / one.tasks
    money = f", about {one.saved:.2f} USD saved" if one.saved is not None else ""
    if one.retired:
        yield f"  {one.retired:,} not run, as the question does not need them ({share:.0%}){money}"
    if not one.answered:
        saved = 1 - one.expected / one.tasks
        yield f"  about {one.expected:,} tasks in the end ({saved:.0%} saved)"
    yield from claims(one.units, ((name, *row) for name, row in one.frameworks.items()))
    if one.pairs:
        yield f"  open pairs: share of all {one.units} that the first wins"
    for first, second, low, high in one.pairs[:_PAIRS_SHOWN]:
        yield f"    {low:.0%} to {high:.0%}  {_short(first)} against {_short(second)}"
    if len(one.pairs) > _PAIRS_SHOWN:
        yield f"    and {counted(len(one.pairs) - _PAIRS_SHOWN, 'pair')} more"


def claim_lines(standing: Standing) -> Iterator[str]:
    """The claims that results hold."""
    design = standing.design
    yield (
        f"Until {design.question}, wrong with probability {design.alpha:g} at most, margin "
        f"{design.margin:g}"
    )
    rows = zip(design.frameworks, standing.ran, standing.sentences(), strict=True)
    yield from claims(design.units, rows)


def claims(units: str, rows: Iterable[tuple[str, int, str]]) -> Iterator[str]:
    """The table of frameworks with their number of `units` and their claim, most units first."""
    yield f"  {'framework':<{_NAME_WIDTH}}{units:>10}  claim for the full grid"
    for name, number, sentence in sorted(rows, key=lambda row: -row[1]):
        yield from wrapped(f"  {_short(name):<{_NAME_WIDTH}}{number:>10}  ", sentence)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else f"{name[: _NAME_WIDTH - 1]}…"


def wrapped(head: str, text: str) -> list[str]:
    """A text after a head, in lines of 80 columns."""
    after = " " * len(head)
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=after, break_on_hyphens=False
    )
