"""Run checks that may hang in threads of their own, and wait no longer than a deadline."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from benchmark.runs.doctor.finding import Finding, fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Check = Callable[[], Iterable[Finding]]

DEADLINE_S = 15.0


class Asked:
    """A check that starts at once. Its thread does not keep the program from ending."""

    def __init__(self, subject: str, check: Check) -> None:
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
