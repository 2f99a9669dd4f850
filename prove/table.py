"""The table of verdicts: on a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from prove.rows import BROKEN, HOLDS, PROMISES, Verdict

HEADINGS = ("promise", "what was done to break it", "figure", "verdict")


def cells(verdict: Verdict) -> tuple[str, str, str, str]:
    promise = verdict.row.promise
    return (
        f"{promise}. {PROMISES[promise]}",
        verdict.row.fault,
        verdict.figure,
        verdict.verdict,
    )


def show(verdicts: Sequence[Verdict], console: Console) -> None:
    table = Table(*HEADINGS, show_lines=True)
    colours = {HOLDS: "green", BROKEN: "bold red"}
    for verdict in verdicts:
        *texts, word = cells(verdict)
        table.add_row(
            *(text.replace("[", r"\[") for text in texts),
            f"[{colours.get(word, 'yellow')}]{word}[/]",
        )
    console.print(table)


def markdown(verdicts: Sequence[Verdict], head: str) -> str:
    """The same as Markdown, below a line on how it was made."""
    lines = [head, "", _line(HEADINGS), _line("---" for _ in HEADINGS)]
    lines += [_line(cells(verdict)) for verdict in verdicts]
    return "\n".join(lines) + "\n"


def _line(texts: Iterable[str]) -> str:
    shown = (text.replace("|", r"\|").replace("\n", " ") for text in texts)
    return f"| {' | '.join(shown)} |"
