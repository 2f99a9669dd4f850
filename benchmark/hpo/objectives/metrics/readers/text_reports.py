"""Reports that are text for people: pgbench, sysbench, wrk, ab, hey."""

from __future__ import annotations

import re

from benchmark.hpo.objectives.metrics.readers.report import (
    DECIMAL,
    Report,
    ReportError,
    found,
    only,
    percentile_name,
    plain,
    seconds,
)
from benchmark.hpo.space.units import Quantity, quantity


def pgbench(text: str) -> Report:
    """PostgreSQL's pgbench 9.6 and later; `throughput` is tps without the connections' start."""
    tps = only(
        rf"^tps = {DECIMAL} \((?:without initial connection time|excluding connections .*)\)",
        text,
        "pgbench",
        "tps = … (without initial connection time)",
    )
    done = only(
        r"^number of transactions actually processed: (\d+)",
        text,
        "pgbench",
        "number of transactions actually processed",
    )
    if int(done[1]) == 0:
        raise ReportError("pgbench processed no transaction.")
    report = {"throughput": plain(tps[1]), "transactions": plain(done[1])}
    for name, pattern in (
        ("latency_mean", "latency average"),
        ("latency_stddev", "latency stddev"),
        ("connection_time", "initial connection time"),
    ):
        if line := found(rf"^{pattern} = {DECIMAL} ms", text):
            report[name] = seconds(line[1], "ms")
    for name, pattern in (
        ("errors", "number of failed transactions"),
        ("skipped", "number of transactions skipped"),
        ("late", r"number of transactions above the .* latency limit"),
    ):
        if line := found(rf"^{pattern}: (\d+)", text):
            report[name] = plain(line[1])
    return report


def sysbench(text: str) -> Report:
    """sysbench 1.0: cpu, memory, fileio, threads, mutex and the OLTP scripts."""
    time = only(rf"^\s+total time:\s+{DECIMAL}s", text, "sysbench 1.0", "total time:")
    events = only(
        r"^\s+total number of events:\s+(\d+)", text, "sysbench 1.0", "total number of events:"
    )
    latency = only(r"^Latency \(ms\):$", text, "sysbench 1.0", "Latency (ms):")
    if int(events[1]) == 0:
        raise ReportError("sysbench counted no event.")
    if float(time[1]) == 0:
        raise ReportError("sysbench ran for 0 s; measure for longer.")
    report = {
        "throughput": plain(float(events[1]) / float(time[1])),
        "events": plain(events[1]),
        "time": seconds(time[1], "s"),
    }
    printed = (
        rf"^\s+events per second:\s+{DECIMAL}",
        rf"^Total operations: \d+ \({DECIMAL} per second\)",
        rf"^\s+transactions:\s+\d+\s+\({DECIMAL} per sec\.\)",
    )
    for pattern in printed:
        if line := found(pattern, text):
            report["throughput"] = plain(line[1])
    for name, pattern in (
        ("queries", rf"^\s+queries:\s+\d+\s+\({DECIMAL} per sec\.\)"),
        ("errors", r"^\s+ignored errors:\s+(\d+)"),
        ("reads", rf"^\s+reads/s:\s+{DECIMAL}"),
        ("writes", rf"^\s+writes/s:\s+{DECIMAL}"),
        ("fsyncs", rf"^\s+fsyncs/s:\s+{DECIMAL}"),
    ):
        if line := found(pattern, text):
            report[name] = plain(line[1])
    if line := found(rf"transferred \({DECIMAL} MiB/sec\)", text):
        report["transfer"] = plain(float(line[1]) * 2**20)
    block = text[latency.end() :]
    for name, pattern in (("min", "min"), ("mean", "avg"), ("max", "max")):
        if line := found(rf"^\s+{pattern}:\s+{DECIMAL}", block):
            report[f"latency_{name}"] = seconds(line[1], "ms")
    if line := found(rf"^\s+(\d+)th percentile:\s+{DECIMAL}", block):
        report[f"latency_p{line[1]}"] = seconds(line[2], "ms")
    return report


_WRK_SIZES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50}


def wrk(text: str) -> Report:
    """wrk and wrk2; percentiles need `--latency`."""
    rate = only(r"^Requests/sec:\s+(\S+)", text, "wrk", "Requests/sec:")
    done = only(r"^\s+(\d+) requests in \S+, .* read", text, "wrk", "requests in")
    latency = only(r"^\s+Latency\s+(\S+)\s+(\S+)\s+(\S+)\s+\S+%$", text, "wrk", "Latency")
    if int(done[1]) == 0:
        raise ReportError("wrk completed no request.")
    report = {"throughput": _count(rate[1]), "requests": plain(done[1])}
    for name, time in zip(("mean", "stddev", "max"), latency.groups(), strict=True):
        report[f"latency_{name}"] = _wrk_time(time)
    for rank, time in re.findall(rf"^\s+{DECIMAL}%\s+([0-9.]+[a-z]+)\s*$", text, re.MULTILINE):
        report[f"latency_{percentile_name(rank)}"] = _wrk_time(time)
    if line := found(rf"^Transfer/sec:\s+{DECIMAL}([KMGTP]?)B", text):
        report["transfer"] = plain(float(line[1]) * _WRK_SIZES[line[2]])
    failed = found(
        r"^\s+Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text
    )
    refused = found(r"^\s+Non-2xx or 3xx responses: (\d+)", text)
    report["errors"] = plain(
        sum(map(int, failed.groups() if failed else ())) + int(refused[1] if refused else 0)
    )
    return report


def _wrk_time(text: str) -> Quantity:
    """In us, ms, s, m for minutes, or h."""
    time = quantity(text, "s")
    if time is None or time.base != "s":
        raise ReportError(f"The report of wrk has '{text}' where a latency should be.")
    return time


def _count(text: str) -> Quantity:
    """A number, or thousands and millions as wrk prints them: 12.3k."""
    count = re.fullmatch(rf"{DECIMAL}([kMG]?)", text)
    if count is None:
        raise ReportError(f"The report of wrk has '{text}' where a rate should be.")
    return plain(float(count[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[count[2]])


def ab(text: str) -> Report:
    """ApacheBench; a latency is the mean of one request as its client sees it."""
    rate = only(
        rf"^Requests per second:\s+{DECIMAL} \[#/sec\] \(mean\)", text, "ab", "Requests per second:"
    )
    done = only(r"^Complete requests:\s+(\d+)", text, "ab", "Complete requests:")
    failed = only(r"^Failed requests:\s+(\d+)", text, "ab", "Failed requests:")
    mean = only(
        rf"^Time per request:\s+{DECIMAL} \[ms\] \(mean\)$", text, "ab", "Time per request:"
    )
    if int(done[1]) == 0:
        raise ReportError("ab completed no request.")
    refused = found(r"^Non-2xx responses:\s+(\d+)", text)
    report = {
        "throughput": plain(rate[1]),
        "requests": plain(done[1]),
        "errors": plain(int(failed[1]) + int(refused[1] if refused else 0)),
        "latency_mean": seconds(mean[1], "ms"),
    }
    ranks = r"^\s+(\d+)%\s+(\d+)(?: \(longest request\))?$"
    for rank, time in re.findall(ranks, text, re.MULTILINE):
        report[f"latency_{'max' if rank == '100' else 'p' + rank}"] = seconds(time, "ms")
    if line := found(rf"^Transfer rate:\s+{DECIMAL} \[Kbytes/sec\]", text):
        report["transfer"] = plain(float(line[1]) * 1024)
    return report


def hey(text: str) -> Report:
    """hey; its rate counts every request, also those without a response."""
    rate = only(rf"^\s+Requests/sec:\s+{DECIMAL}", text, "hey", "Requests/sec:")
    mean = only(r"^\s+Average:\s+(\S+) secs", text, "hey", "Average:")
    only(r"^Status code distribution:", text, "hey", "Status code distribution:")
    statuses = [
        (int(status), int(count))
        for status, count in re.findall(r"^\s+\[(\d{3})\]\s+(\d+) responses", text, re.MULTILINE)
    ]
    if not statuses:
        raise ReportError("hey received no response.")
    _, _, lost = text.partition("Error distribution:")
    errors = sum(int(count) for count in re.findall(r"^\s+\[(\d+)\]\s", lost, re.MULTILINE))
    refused = sum(count for status, count in statuses if status >= 400)
    report = {
        "throughput": plain(rate[1]),
        "requests": plain(sum(count for _, count in statuses) + errors),
        "errors": plain(errors + refused),
        "latency_mean": seconds(mean[1], "s"),
    }
    if line := found(rf"^\s+Slowest:\s+{DECIMAL} secs", text):
        report["latency_max"] = seconds(line[1], "s")
    for rank, time in re.findall(rf"^\s+(\d+)%+ in {DECIMAL} secs", text, re.MULTILINE):
        report[f"latency_p{rank}"] = seconds(time, "s")
    return report
