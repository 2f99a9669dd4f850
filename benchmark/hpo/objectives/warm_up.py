"""`warm_up` of an objective: load before the measurement, for a time or until values are steady.

warm_up: {time: 30s}                                  # the measured command, again and again
warm_up: {until: steady, pattern: "tps = ([0-9.]+)"}  # what the measured command prints
warm_up: {until: steady, command: [./load.sh, 5s]}    # its last line is a number
warm_up: {until: steady, command: [./load.sh], window: 10, within: 2%, timeout: 5min}

Steady: the standard deviation of the last `window` values is at most `within` of their mean. This
is the test of Georges, Buytaert and Eeckhout, Statistically Rigorous Java Performance Evaluation
(OOPSLA 2007, section 4.2), with their window of 10 and their larger limit of 2 %.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmark.files.spelling import check_keys
from benchmark.hpo.objectives.metrics.measured_values import cell_number, finite_number
from benchmark.hpo.objectives.patterns import checked
from benchmark.hpo.space.units import read_seconds

KEYS = ("time", "until", "command", "pattern", "window", "within", "timeout")
STEADY = "steady"
# A label of trials: of each warm-up its runs, and whether they became steady.
WARM_UPS = "warm_ups"
WINDOW, WITHIN, TIMEOUT_S = 10, 0.02, 300.0


@dataclass(frozen=True)
class WarmUp:
    """Runs of `command` (empty: the measured one), for `time_s` at most.

    With `within` they end sooner, once the last `window` values are steady: the last number that
    `pattern` finds on standard output, or without it the last line.
    """

    command: tuple[str, ...]
    time_s: float
    window: int = WINDOW
    within: float | None = None
    pattern: str | None = None

    def request(self, params: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """The settings for the worker in the sandbox, without the command."""
        return {
            "time_s": self.time_s,
            "window": self.window,
            "within": self.within,
            "pattern": self.pattern,
        }


def read_warm_up(
    entry: Any, argv: Callable[[Mapping[str, Any], str], tuple[str, ...]], faults: list[str]
) -> WarmUp | None:
    """The key of an objective; `argv` reads a command."""
    if entry is None:
        return None
    if not isinstance(entry, dict) or ("time" in entry) == ("until" in entry):
        faults.append(
            f"'warm_up' is {entry!r}; write {{time: 30s}}, or {{until: steady, command: [./load.sh]"
            "}, whose last line is a number, or {until: steady, pattern: 'tps = ([0-9.]+)'}."
        )
        return None
    check_keys(entry, KEYS, "'warm_up'", faults)
    command = argv(entry, "command")
    if "time" in entry:
        for key in ("pattern", "window", "within", "timeout"):
            if key in entry:
                faults.append(f"'warm_up' has '{key}', which belongs to 'until'; leave it out.")
        return WarmUp(command, read_seconds(entry, "time", TIMEOUT_S, faults, place="'warm_up'"))
    if entry["until"] != STEADY or not entry.keys() & {"command", "pattern"}:
        faults.append(
            f"'warm_up' has {entry['until']!r} as 'until' and {entry.get('command')!r} as 'command'"
            "; write {until: steady, command: [./load.sh]}, whose last line is a number, or "
            "{until: steady, pattern: 'tps = ([0-9.]+)'}."
        )
    pattern = entry.get("pattern")
    if pattern is not None:
        pattern = checked(str(pattern), "'warm_up'", faults)
    window, within = entry.get("window", WINDOW), share(entry.get("within", WITHIN))
    if type(window) is not int or not 3 <= window <= 1000:
        faults.append(f"'warm_up' has the window {window!r}; write a whole number from 3 to 1000.")
        window = WINDOW
    if within is None:
        faults.append(f"'warm_up' has {entry['within']!r} as 'within'; write a share such as 2%.")
    timeout_s = read_seconds(entry, "timeout", TIMEOUT_S, faults, place="'warm_up'")
    return WarmUp(command, timeout_s, window, within, pattern)


def share(value: Any) -> float | None:
    """`5%` or 0.05 as a number between 0 and 1; None for anything else."""
    if isinstance(value, str) and value.endswith("%"):
        found = (cell_number(value[:-1]) or 0.0) / 100
    else:
        found = finite_number(value) or 0.0
    return found if 0 < found < 1 else None
