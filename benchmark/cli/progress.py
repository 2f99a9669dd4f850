"""Progress of a run: a bar on a terminal, a line per task in a log."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Self

from benchmark.cli.output import notice, width
from benchmark.files.safe_text import for_terminal
from benchmark.records.record import Cause, Record


class Bar:
    """A bar on a terminal with the time left and a subclass's `_state`; nothing elsewhere."""

    def __init__(self, total: int, done: int = 0) -> None:
        self._total = total
        self._done = done
        self._bar = _bar() if done < total and sys.stderr.isatty() else None

    def _state(self) -> str:
        raise NotImplementedError

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(
                "tasks", total=self._total, completed=self._done, state=self._state()
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the bar while the block runs, such as for a question; safe in a signal handler."""
        # A signal during a write finds its buffer locked: then the bar stays.
        with contextlib.suppress(RuntimeError):
            if self._bar:
                self._bar.stop()
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):
                if self._bar:
                    self._bar.start()

    def _advance(self, text: str | None, style: str | None = None) -> None:
        """One more is done; a text is printed above the bar."""
        self._done += 1
        if self._bar is None:
            if text is not None:
                notice(text)
            return
        if text is not None:
            self._bar.console.print(text, style=style, markup=False, highlight=False)
        self._bar.update(self._task, advance=1, state=self._state())

    @property
    def left(self) -> int:
        """How many have not ended."""
        return self._total - self._done

    def leave_out(self, count: int) -> None:
        """So many will not run: the bar is full once the others have ended."""
        self._total -= count
        if self._bar:
            self._bar.update(self._task, total=self._total, state=self._state())


class Progress(Bar):
    """Shows each record as it comes. `parallel` tasks run at once; None where no one knows."""

    def __init__(self, total: int, parallel: int | None) -> None:
        super().__init__(total)
        self._parallel = parallel
        self._counts: Counter[str] = Counter()
        self._latest = ""

    def add(self, record: Record) -> None:
        self._latest = latest(record) or self._latest
        self._counts[str(record.cause or record.status)] += 1
        if self._bar is None:
            self._advance(f"[{self._done + 1}/{self._total}] {line(record)}")
        else:
            self._advance(line(record) if record.cause else None, "yellow")

    def _state(self) -> str:
        left = self._total - self._counts.total()
        failed = [f"{n} {cause}" for cause, n in self._counts.items() if cause != "success"]
        running = (
            f"{left} left" if self._parallel is None else f"{min(left, self._parallel)} running"
        )
        parts = [running, *failed]
        state = ", ".join(parts)
        room = (width(sys.stderr) or 0) - len(state) - _OTHER_COLUMNS
        if len(self._latest) > room >= _LEAST:
            return f"{state}, {self._latest[: room - 1]}…"
        return f"{state}, {self._latest}" if self._latest and room >= _LEAST else state


# What the bar itself, its numbers and times need, and the shortest useful part of a result.
_OTHER_COLUMNS, _LEAST = 45, 20
NOT_NEEDED = "not needed"


def counted(number: int, noun: str) -> str:
    """'1 task', '2 tasks'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def outcomes(success: int, causes: Mapping[str, int]) -> str:
    """'4 successes, 2 failed (1 memory, 1 timeout), 3 not run (3 setup), 1 interrupted'.

    What a run's question does not need has no cause that could be removed: '14 not needed'.
    """
    words = ("failed", "not run", "interrupted", NOT_NEEDED)
    groups: dict[str, list[tuple[str, int]]] = {word: [] for word in words}
    for cause, number in causes.items():
        if cause == Cause.RETIRED:
            groups[NOT_NEEDED].append((NOT_NEEDED, number))
        else:
            groups[_word(Cause(cause))].append((cause, number))
    found = [successes(success)]
    for word, parts in groups.items():
        total = sum(number for _, number in parts)
        named = ", ".join(f"{number} {cause}" for cause, number in parts if cause != word)
        found += [f"{total} {word}" + (f" ({named})" if named else "")] if total else []
    return ", ".join(found)


def successes(number: int) -> str:
    return f"{number} success{'' if number == 1 else 'es'}"


def _word(cause: Cause) -> str:
    return "failed" if cause.is_result else cause.outcome


def line(record: Record) -> str:
    """A record in one line, without control characters."""
    from benchmark.records.layout import shown

    seconds = f" ({record.total_s:.1f} s)" if record.total_s is not None else ""
    if record.status == "success":
        names = dict.fromkeys([record.metric, "f1_weighted", "r2"])
        values = {name: record.metrics.get(str(name)) for name in names}
        shown_metrics = [f"{name} {v:.4g}" for name, v in values.items() if v is not None]
        return for_terminal(f"{shown(record.task)}: {', '.join(shown_metrics)}{seconds}")
    word = _word(record.cause) if record.cause else "failed"
    cause = f", {record.cause}" if str(record.cause) != word else ""
    message = " ".join(record.message.split())
    return for_terminal(f"{shown(record.task)}: {word}{cause}: {message}{seconds}")


def latest(record: Record) -> str:
    """The score of a success, which may be cut at its end: `auc 0.871 flaml/titanic/75`; or ''."""
    from benchmark.records.layout import shown

    value = record.metrics.get(str(record.metric))
    if record.status != "success" or value is None:
        return ""
    return for_terminal(f"{record.metric} {value:.3g} {shown(record.task)}")


def _bar() -> Any:
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.BarColumn(bar_width=None),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[state]}"),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        speed_estimate_period=7 * 86400,  # tasks take up to hours; rich forgets after 30 s
    )
