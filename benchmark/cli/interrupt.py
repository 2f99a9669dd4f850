"""Ctrl-C on a terminal: what it does, and whether remote tasks are left running or cancelled.

execute(run, config, tasks, on_stop=stopping("resume-compute"), ask=question(progress.hidden))
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable, Sequence

from benchmark.cli.output import wrapped

_LOOK_S = 0.2


def question(
    hidden: Callable[[], contextlib.AbstractContextManager[None]],
) -> Callable[[Sequence[str]], bool] | None:
    """A function that asks while the progress bar is `hidden`; None without a terminal.

    It takes the names of the methods and returns whether their tasks are left running.
    """
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(methods: Sequence[str]) -> bool:
        with hidden():
            return _answer(", ".join(methods))

    return ask


def stopping(command: str = "") -> Callable[[], None]:
    """A function that reports Ctrl-C, and which command resumes what it stops.

    It shows the cursor, which a bar hides, since a second Ctrl-C ends the process at once.
    """
    cursor = "\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""
    text = f"Stopping; Ctrl-C again leaves at once{f'; `{command}` resumes' if command else ''}."
    text = wrapped(text, sys.stderr) if sys.stderr is not None else text
    return lambda: _write(f"{cursor}\n{text}\n")


def _answer(methods: str) -> bool:
    """Whether the user answers "leave"; the end of the input is not consent to further costs.

    Raises:
        KeyboardInterrupt: Ctrl-C again.
    """
    if os.getpgrp() != os.tcgetpgrp(sys.stdin.fileno()):
        return False  # A background process that reads the terminal is halted.
    _write(f"\nTasks on {methods} can continue without this command.\n")
    while True:
        _write("[l]eave them running or [c]ancel them? (Ctrl-C cancels) ")
        # A signal just before a read that blocks would be seen after it: at the next key.
        while not select.select([sys.stdin], [], [], _LOOK_S)[0]:
            pass
        line = sys.stdin.readline()
        word = line.strip().lower()
        if word in ("l", "leave"):
            return True
        if word in ("c", "cancel") or not line:
            return False


def _write(text: str) -> None:
    """Write straight to the descriptor; safe in a signal handler."""
    os.write(2, text.encode())
