"""Findings of the doctor: subject, state and fix, and checks that have a deadline to find them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "fault"]
DEADLINE_S = 15.0


@dataclass(frozen=True)
class Finding:
    """One line. `mend` is the fix; `is_configuration`: it is in the configuration."""

    level: Level
    subject: str
    message: str
    mend: str = ""
    is_configuration: bool = False


def ok(subject: str, message: str) -> Finding:
    return Finding("ok", subject, message)


def warning(subject: str, message: str, mend: str = "") -> Finding:
    return Finding("warning", subject, message, mend)


def fault(subject: str, message: str, mend: str = "") -> Finding:
    return Finding("fault", subject, message, mend)


def misconfigured(subject: str, message: str, mend: str = "") -> Finding:
    return Finding("fault", subject, message, mend, is_configuration=True)


class Asked:
    """A check that starts at once. Its thread does not keep the program from ending."""

    def __init__(self, subject: str, check: Callable[[], Iterable[Finding]]) -> None:
        self._subject = subject
        self._check = check
        self._findings: list[Finding] = []
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=subject, daemon=True)
        self._thread.start()

    def findings(self, deadline_s: float = DEADLINE_S) -> Sequence[Finding]:
        """The findings, or a fault if there is no answer within the deadline from the start."""
        self._thread.join(max(0.0, self._begun + deadline_s - time.monotonic()))
        if self._thread.is_alive():
            silent = fault(
                self._subject,
                f"no answer within {deadline_s:g} s",
                "check that the server runs and that no firewall or proxy blocks it",
            )
            return [*self._findings, silent]
        return list(self._findings)

    def _run(self) -> None:
        try:
            self._findings.extend(self._check())
        except Exception as error:
            broken = f"the check itself failed: {type(error).__name__}: {error}"
            self._findings.append(fault(self._subject, broken))
