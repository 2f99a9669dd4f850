"""Readers of the reports of load generators and benchmarks, one table for all.

    read("wrk", text)      # {"throughput": Quantity(84.6), "latency_p99": Quantity(0.06759, "s")}

A reader takes the whole output of its tool and nothing else: where a part is missing that the tool
always prints, or the tool reports that it measured nothing, it raises a `ReportError`. Times are in
seconds, rates per second, sizes in bytes. The common names are `throughput`, `latency_mean`,
`latency_p99` and the other percentiles, `latency_max`, and `errors`.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable

from benchmark.hpo.objectives.metrics.readers import json_reports, table_reports, text_reports
from benchmark.hpo.objectives.metrics.readers.report import Report, ReportError

__all__ = ["READERS", "Report", "ReportError", "has_same_names", "read", "tool_of"]

READERS: dict[str, Callable[[str], Report]] = {
    "ab": text_reports.ab,
    "fio": json_reports.fio,
    "hey": text_reports.hey,
    "hyperfine": json_reports.hyperfine,
    "iperf3": json_reports.iperf3,
    "jmeter": table_reports.jmeter,
    "jmh": json_reports.jmh,
    "k6": json_reports.k6,
    "pgbench": text_reports.pgbench,
    "redis-benchmark": table_reports.redis_benchmark,
    "sysbench": text_reports.sysbench,
    "techempower": json_reports.techempower,
    "wrk": text_reports.wrk,
}

_SAME_NAMES = ("ab", "hey", "hyperfine", "jmeter", "pgbench", "sysbench", "wrk")

# What readers run into where a text has the outline of a report, and something else within.
_OTHER_FORM = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, csv.Error)


def read(name: str, text: str) -> Report:
    """What a tool reported, by metric.

    Raises:
        ReportError: the text is no report of this tool, or it measured nothing.
    """
    try:
        return READERS[name](text)
    except _OTHER_FORM as error:
        raise ReportError(
            f"This is not a report of {name}: a part of it has another form ({error})."
        ) from None


def has_same_names(tool: str | None, name: str) -> bool:
    """Whether all reports of a tool have a metric, or none has.

    Others have what the run did: fio no `write_iops` after reads alone, hey no percentile of a few
    requests.
    """
    return tool in _SAME_NAMES and not name.startswith("latency_")


def tool_of(text: str) -> str | None:
    """The tool whose whole report a text is, if there is one."""
    for name in READERS:
        with contextlib.suppress(ReportError):
            read(name, text)
            return name
    return None
