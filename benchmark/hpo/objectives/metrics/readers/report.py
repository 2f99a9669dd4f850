"""What the readers of reports share: their result, their error, and the parts they look for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.hpo.space.units import Quantity, quantity

Report = dict[str, Quantity]
DECIMAL = r"([0-9]+(?:\.[0-9]+)?)"
PERCENTILES = (50, 90, 95, 99)


class ReportError(BenchmarkError):
    """A text is no report of the tool that it should be of, or the tool measured nothing."""


def only(pattern: str, text: str, tool: str, part: str) -> re.Match[str]:
    """The one place of a part that the tool prints once.

    Raises:
        ReportError: it is not there, or several times.
    """
    found = list(re.finditer(pattern, text, re.MULTILINE))
    if not found:
        raise ReportError(f"This is not a report of {tool}: it has no '{part}'{_end(text)}.")
    if len(found) > 1:
        raise ReportError(
            f"There are {len(found)} reports of {tool}, each with '{part}'; print one, or run "
            "the tool once and set 'repeats'."
        )
    return found[0]


def found(pattern: str, text: str) -> re.Match[str] | None:
    """A part that the tool does not always print."""
    return re.search(pattern, text, re.MULTILINE)


def seconds(number: str | float, unit: str) -> Quantity:
    """A time as the tool prints it, with its unit."""
    text = number if isinstance(number, str) else repr(float(number))
    exact = quantity(f"{text}{unit}", "s")
    if exact is None:
        raise ReportError(f"'{text} {unit}' is not a time.")
    return exact


def plain(number: str | float) -> Quantity:
    return Quantity(float(number))


def percentile_name(text: str) -> str:
    """`99.90` as p99_9, `99.000` as p99."""
    number = float(text)
    return f"p{number:g}".replace(".", "_")


def member(values: Any, path: Sequence[str], tool: str) -> Any:
    """A value of a document that the tool always writes.

    Raises:
        ReportError: it is not there.
    """
    for place, key in enumerate(path):
        if not isinstance(values, dict) or key not in values:
            name = ".".join(path[: place + 1])
            raise ReportError(f"This is not a report of {tool}: it has no '{name}'.")
        values = values[key]
    return values


def number(values: Any, path: Sequence[str], tool: str) -> float:
    """The same where it is a finite number."""
    value = member(values, path, tool)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise ReportError(f"The report of {tool} has {value!r} as '{'.'.join(path)}'.")
    return float(value)


def joined(groups: Mapping[str, Report]) -> Report:
    """Of one group its metrics, of several each with the group's name before it.

    Raises:
        ReportError: two groups have one name.
    """
    if len(groups) == 1:
        return dict(next(iter(groups.values())))
    whole: Report = {}
    for name, report in groups.items():
        for metric, value in report.items():
            full = f"{identifier(name)}_{metric}"
            if full in whole:
                raise ReportError(f"The report has '{full}' twice; name its parts apart.")
            whole[full] = value
    return whole


def identifier(text: str) -> str:
    """A name that expressions can use."""
    return re.sub(r"\W+", "_", text).strip("_")


def of_samples(samples: Iterable[float], unit: str) -> Report:
    """Mean, percentiles and maximum of raw latencies."""
    import numpy as np

    values = np.fromiter(samples, dtype=float)
    ranks = np.percentile(values, PERCENTILES)
    shown = {"mean": values.mean(), "max": values.max()}
    shown |= {f"p{rank}": value for rank, value in zip(PERCENTILES, ranks, strict=True)}
    return {f"latency_{name}": seconds(float(value), unit) for name, value in shown.items()}


def _end(text: str) -> str:
    lines = text.strip().splitlines()
    return f"; it ends with '{lines[-1].strip()[:100]}'" if lines else "; it is empty"
