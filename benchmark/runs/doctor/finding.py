"""A finding of the doctor: the subject, its state, and how to fix it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "fault"]


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
