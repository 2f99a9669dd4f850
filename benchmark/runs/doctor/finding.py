"""A finding of the doctor: what was looked at, how it is, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True)
class Finding:
    """One line. `is_configuration`: the mend is in the configuration, not on the machine."""

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
