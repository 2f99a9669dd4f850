"""status --watch: live progress on a terminal; plain lines where there is no terminal."""

from __future__ import annotations

import contextlib
import signal
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmark.cli.output import show
from benchmark.cli.progress import counted, line, outcomes
from benchmark.compute.driving import handled
from benchmark.files.safe_text import for_terminal
from benchmark.records import results
from benchmark.runs.plan import Plan
from benchmark.runs.status import RUNNING, WAITING
from benchmark.runs.watch import RECENT_S, SUCCESS, Standing, Watch, looks

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.text import Text


LOG_EVERY_S = 10.0
FAILURES_KEPT = 200
FAILURES_SHOWN = 8
_SHARES = "▁▂▃▄▅▆▇█"


def watch(plan: Plan) -> None:
    """Show the run until it ends or Ctrl-C is pressed; restores the terminal."""
    from rich.console import Console

    console = Console()
    if console.is_terminal:
        _on_terminal(plan, console)
    else:
        _as_lines(plan)


def _as_lines(plan: Plan) -> None:
    """Print a line on each change, and one for each failure since the start."""
    previous = ""
    for standing in looks(Watch(plan.run, plan.tasks), LOG_EVERY_S):
        for record in standing.failures if previous else ():
            show(line(record))
        text = "; ".join(filter(None, (summary(standing), standing.question)))
        if text != previous:
            show(text)
            previous = text


def _on_terminal(plan: Plan, console: Console) -> None:
    from rich.live import Live

    screen = Screen()
    with (
        contextlib.suppress(KeyboardInterrupt),
        handled((signal.SIGTERM, signal.SIGHUP), _end),
        Live(screen, console=console, screen=True, auto_refresh=False) as live,
    ):
        for standing in looks(Watch(plan.run, plan.tasks)):
            screen.show(standing)
            live.refresh()
    console.print(screen)


def _end(number: int, _: object) -> None:
    """Turn a signal that ends the program into an exception, so that the terminal is restored."""
    raise SystemExit(128 + number)


def summary(standing: Standing) -> str:
    """The run's progress in one line."""
    words = ", ".join(f"{number} {word}" for word, number in standing.words.items())
    parts = [f"{standing.results}/{standing.tasks} with result: {words}", *pace(standing)]
    return "; ".join(parts)


def pace(standing: Standing) -> list[str]:
    """The rate, the remaining time and the cost, as far as known."""
    parts = []
    if standing.running_now and standing.recent:
        parts.append(f"{counted(standing.recent, 'result')} in the last {RECENT_S // 60} minutes")
    if standing.left_s is not None and standing.without_result:
        parts.append(f"about {duration(standing.left_s)} left")
    if standing.spent is not None:
        ahead = f", about {standing.forecast:.2f} in all" if standing.forecast else ""
        parts.append(f"{standing.spent:.2f} USD{ahead}")
    if not standing.running_now:
        parts.append("not running" if standing.without_result else "done")
    return parts


def duration(seconds: float) -> str:
    """A rough duration: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


class Screen:
    """Renders the latest progress, fitted to the terminal each time it is drawn."""

    def __init__(self) -> None:
        self._standing: Standing | None = None
        self._failures: deque[Any] = deque(maxlen=FAILURES_KEPT)

    def show(self, standing: Standing) -> None:
        self._standing = standing
        self._failures.extend(standing.failures)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        standing = self._standing
        if standing is None:
            return
        state = "running" if standing.running_now else "not running"
        run = for_terminal(f"Run '{standing.run}' in {standing.store} ({state})")
        yield Text(run, style="bold")
        bar = Table.grid(expand=True)
        bar.add_row(
            ProgressBar(total=standing.tasks, completed=standing.results + standing.retired)
        )
        yield bar
        yield Text(summary(standing))
        if standing.question:
            yield Text(standing.question, no_wrap=True, overflow="ellipsis")
        yield Text()
        height = options.height or 10_000
        recent = list(self._failures)[-FAILURES_SHOWN:]
        rows = max(1, height - 8 - bool(standing.question) - len(recent) - (2 if recent else 0))
        yield _grid(standing, options.max_width, rows)
        if recent:
            yield Text()
            yield Text(f"The last of {_without_success(standing)}:", style="bold")
            for record in recent:
                style = "yellow" if record.is_result else "red"
                yield Text(line(record), style=style, no_wrap=True, overflow="ellipsis")


def _without_success(standing: Standing) -> str:
    """'2 failed, 1 not run'."""
    words = standing.words.items()
    causes = {word: n for word, n in words if word not in (SUCCESS, RUNNING, WAITING)}
    return outcomes(0, causes).partition(", ")[2]


def _grid(standing: Standing, width: int, rows: int) -> RenderableType:
    """A table of frameworks by data sets: named columns if they fit, else a mark per data set."""
    from rich.table import Table
    from rich.text import Text

    frameworks = sorted({framework for framework, _ in standing.cells})
    datasets = sorted({dataset for _, dataset in standing.cells})
    head = max(map(len, frameworks)) + 16
    named = head + sum(max(len(name), 7) + 2 for name in datasets) <= width
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("framework", no_wrap=True)
    table.add_column("results", justify="right", no_wrap=True)
    fit = datasets if named else datasets[: max(1, width - head - 2)]
    if named:
        for name in datasets:
            table.add_column(Text(for_terminal(name)), justify="right", no_wrap=True)
    else:
        more = f", the first {len(fit)}" if len(fit) < len(datasets) else ""
        table.add_column(f"{counted(len(datasets), 'data set')}{more}", no_wrap=True)
    shown = frameworks if len(frameworks) <= rows else frameworks[: rows - 1]
    for name in shown:
        cells = [standing.cells.get((name, dataset), Counter()) for dataset in datasets]
        total = sum(cells, Counter())
        drawn = [_cell(cell) for cell in cells] if named else [_marks(cells[: len(fit)])]
        table.add_row(Text(for_terminal(name)), f"{_done(total)}/{total.total()}", *drawn)
    if len(shown) < len(frameworks):
        table.add_row(Text(f"and {len(frameworks) - len(shown)} more", style="dim"))
    return table


def _done(cell: Counter[str]) -> int:
    return sum(number for word, number in cell.items() if word == SUCCESS or _is_result(word))


def _is_result(word: str) -> bool:
    return word in set(results.Cause) and results.Cause(word).is_result


def _style(cell: Counter[str]) -> str:
    """Red: tasks must be run again. Yellow: a framework failed. Cyan: tasks are running."""
    failed = set(cell) - {SUCCESS, RUNNING, WAITING}
    if any(not _is_result(word) for word in failed):
        return "red"
    if failed:
        return "yellow"
    return "cyan" if cell[RUNNING] else "green" if cell[SUCCESS] else "dim"


def _cell(cell: Counter[str]) -> Text:
    """Such as `7/10 !2`: seven of ten have a result, two failed or were not run."""
    from rich.text import Text

    failed = sum(n for word, n in cell.items() if word not in (SUCCESS, RUNNING, WAITING))
    text = f"{_done(cell)}/{cell.total()}" if cell else ""
    return Text(text + (f" !{failed}" if failed else ""), style=_style(cell))


def _marks(cells: list[Counter[str]]) -> Text:
    """A mark for each data set: a dot if not started, a growing bar, `!` for red."""
    from rich.text import Text

    text = Text()
    for cell in cells:
        style = _style(cell)
        share = _done(cell) / cell.total() if cell else 0.0
        idle = not cell or cell[WAITING] == cell.total()
        mark = "·" if idle else "!" if style == "red" else _SHARES[round(share * 7)]
        text.append(mark if cell else " ", style=style)
    return text
