"""What Ctrl-C asks on a terminal: leave what runs elsewhere to itself, or cancel it.

execute(run, config, tasks, ask=question(progress.hidden))
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Sequence


def question(
    hidden: Callable[[], contextlib.AbstractContextManager[None]],
) -> Callable[[Sequence[str]], bool] | None:
    """What asks, with whatever else is on the screen `hidden` meanwhile; None without a terminal.

    It is given the names of the methods, and returns whether what they run is to be left.
    """
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(methods: Sequence[str]) -> bool:
        with hidden():
            return _answer(", ".join(methods))

    return ask


def _answer(methods: str) -> bool:
    """Whether the user says "leave"; the end of the input is no consent to further costs.

    Raises:
        KeyboardInterrupt: Ctrl-C again.
    """
    if os.getpgrp() != os.tcgetpgrp(sys.stdin.fileno()):
        return False  # In the background: whoever would ask there is halted.
    _say(f"\nWhat {methods} runs can go on without this command.\n")
    while True:
        _say("[l]eave it or [c]ancel it? (Ctrl-C cancels) ")
        line = sys.stdin.readline()
        word = line.strip().lower()
        if word in ("l", "leave"):
            return True
        if word in ("c", "cancel") or not line:
            return False


def _say(text: str) -> None:
    """From a signal handler: straight to the descriptor."""
    os.write(2, text.encode())
