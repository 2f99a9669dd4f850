"""Reports that are JSON: fio, hyperfine, iperf3, jmh, k6, TechEmpower."""

from __future__ import annotations

import re
from typing import Any

from benchmark.files import json_text
from benchmark.hpo.objectives.metrics.readers.report import (
    Report,
    ReportError,
    identifier,
    joined,
    member,
    number,
    percentile_name,
    plain,
    seconds,
)
from benchmark.hpo.space.units import Quantity, quantity


def fio(text: str) -> Report:
    """`fio --output-format=json`: rates of all jobs together; latencies of each job that does I/O.

    `clat` is the completion latency, of which fio prints percentiles.
    """
    jobs = member(_document(text, "fio"), ("jobs",), "fio")
    if not isinstance(jobs, list) or not jobs:
        raise ReportError("The report of fio has no job.")
    sums: dict[str, float] = {}
    latencies: dict[str, Report] = {}
    for job in jobs:
        name = str(member(job, ("jobname",), "fio"))
        if number(job, ("error",), "fio") != 0:
            raise ReportError(f"The job '{name}' of fio ended with the error {job['error']}.")
        for way in ("read", "write", "trim"):
            if number(job, (way, "total_ios"), "fio") == 0:
                continue
            for metric, key in (("iops", "iops"), ("bandwidth", "bw_bytes")):
                rate = number(job, (way, key), "fio")
                sums[f"{way}_{metric}"] = sums.get(f"{way}_{metric}", 0.0) + rate
            if name in latencies and f"{way}_latency_mean" in latencies[name]:
                raise ReportError(
                    f"Two jobs of fio are named '{name}'; add group_reporting, or name them apart."
                )
            latencies.setdefault(name, {}).update(_fio_latency(job, way))
    if not sums:
        raise ReportError("fio did no input or output.")
    total = sum(value for metric, value in sums.items() if metric.endswith("_iops"))
    whole = {"throughput": total} | sums
    return {name: plain(value) for name, value in whole.items()} | joined(latencies)


def _fio_latency(job: Any, way: str) -> Report:
    report = {}
    for name in ("mean", "max"):
        latency = number(job, (way, "lat_ns", name), "fio")
        report[f"{way}_latency_{name}"] = seconds(latency, "ns")
    for rank, latency in (job[way].get("clat_ns") or {}).get("percentile", {}).items():
        report[f"{way}_clat_{percentile_name(rank)}"] = seconds(float(latency), "ns")
    return report


def hyperfine(text: str) -> Report:
    """`hyperfine --export-json`: of one command, or each with `command_0_` and so on before it."""
    results = member(_document(text, "hyperfine"), ("results",), "hyperfine")
    if not isinstance(results, list) or not results:
        raise ReportError("The report of hyperfine has no result.")
    groups: dict[str, Report] = {}
    for place, result in enumerate(results):
        if any(result.get("exit_codes") or ()):
            raise ReportError(f"'{result.get('command')}' failed in a run of hyperfine.")
        group = {
            name: seconds(number(result, (key,), "hyperfine"), "s")
            for name, key in (("mean", "mean"), ("median", "median"), ("min", "min"))
        }
        group["max"] = seconds(number(result, ("max",), "hyperfine"), "s")
        for key in ("stddev", "user", "system"):
            if result.get(key) is not None:
                group[key] = seconds(number(result, (key,), "hyperfine"), "s")
        groups[f"command_{place}"] = group
    return joined(groups)


def iperf3(text: str) -> Report:
    """`iperf3 -J`: `throughput` in bits per second, as the receiver counted it."""
    document = _document(text, "iperf3")
    if isinstance(document, dict) and document.get("error"):
        raise ReportError(f"iperf3 reports: {str(document['error'])[:200]}.")
    end = member(document, ("end",), "iperf3")
    report = {
        "throughput": plain(number(end, ("sum_received", "bits_per_second"), "iperf3")),
        "sent": plain(number(end, ("sum_sent", "bits_per_second"), "iperf3")),
    }
    received, sent = end["sum_received"], end["sum_sent"]
    if "retransmits" in sent:
        report["retransmits"] = plain(number(sent, ("retransmits",), "iperf3"))
    if "lost_percent" in received:
        report["lost_percent"] = plain(number(received, ("lost_percent",), "iperf3"))
        report["jitter"] = seconds(number(received, ("jitter_ms",), "iperf3"), "ms")
    if "cpu_utilization_percent" in end:
        usage = ("cpu_utilization_percent", "host_total")
        report["cpu_percent"] = plain(number(end, usage, "iperf3"))
    return report


_JMH_RATE = re.compile(r"ops/(ns|us|ms|s|min|hr|day)")
_JMH_TIME = re.compile(r"(ns|us|ms|s|min|hr|day)/op")


def jmh(text: str) -> Report:
    """`-rf json`: `score` in operations per second, or in seconds per operation, by the mode.

    Of several benchmarks each has its class, method and parameters before it.
    """
    results = _document(text, "jmh")
    if not isinstance(results, list) or not results:
        raise ReportError("This is not a report of jmh: it is not a list of benchmarks.")
    groups: dict[str, Report] = {}
    for result in results:
        method = ".".join(str(member(result, ("benchmark",), "jmh")).split(".")[-2:])
        values = (result.get("params") or {}).values()
        name = "_".join([method, str(member(result, ("mode",), "jmh")), *map(str, values)])
        group = {}
        unit = str(member(result, ("primaryMetric", "scoreUnit"), "jmh"))
        for metric, key in (("score", "score"), ("error", "scoreError")):
            value = member(result, ("primaryMetric", key), "jmh")
            if metric == "error" and not isinstance(value, (int, float)):
                continue  # "NaN" where a benchmark ran once
            group[metric] = _jmh_score(number(result, ("primaryMetric", key), "jmh"), unit)
        if name in groups:
            raise ReportError(f"The report of jmh has the benchmark '{name}' twice.")
        groups[name] = group
    return joined(groups)


def _jmh_score(score: float, unit: str) -> Quantity:
    if rate := _JMH_RATE.fullmatch(unit):
        return plain(score / seconds(1.0, rate[1]).number)
    if time := _JMH_TIME.fullmatch(unit):
        return seconds(score, time[1])
    raise ReportError(f"The report of jmh has the unit '{unit}'; ops/s and s/op are known.")


def k6(text: str) -> Report:
    """`k6 run --summary-export=FILE`, or the data of `handleSummary` as JSON.

    All metrics by their names, such as `http_req_duration_p95`, and the common names.
    """
    metrics = member(_document(text, "k6"), ("metrics",), "k6")
    report: Report = {}
    trends: dict[str, Report] = {}
    for name in metrics if isinstance(metrics, dict) else ():
        entry = member(metrics, (name,), "k6")
        values = entry.get("values", entry) if isinstance(entry, dict) else {}
        is_trend = {"avg", "med", "max"} <= values.keys()
        is_time = entry.get("contains") == "time" if "contains" in entry else _k6_time(name)
        for key, statistic in values.items():
            if isinstance(statistic, bool) or not isinstance(statistic, (int, float)):
                continue
            metric = identifier(
                re.sub(r"p\(([0-9.]+)\)", lambda rank: percentile_name(rank[1]), key)
            )
            time = is_trend and is_time
            value = seconds(float(statistic), "ms") if time else plain(statistic)
            report[f"{identifier(name)}_{metric}"] = value
            if is_trend:
                trends.setdefault(name, {})[metric] = value
    for metric, source in (("throughput", "http_reqs_rate"), ("requests", "http_reqs_count")):
        if source in report:
            report[metric] = report[source]
    if "http_req_duration" in trends:
        common = {"avg": "mean", "med": "p50"}
        for metric, value in trends["http_req_duration"].items():
            report[f"latency_{common.get(metric, metric)}"] = value
    for source in ("http_req_failed_rate", "http_req_failed_value"):
        if source in report:
            report["error_rate"] = report[source]
    if not {"iterations_count", "throughput"} & report.keys():
        raise ReportError("The report of k6 has neither requests nor iterations.")
    return report


def _k6_time(name: str) -> bool:
    """Whether a trend is of times, where the summary does not say: k6's own ones are."""
    own = ("http_req_", "ws_", "grpc_req_", "iteration_duration", "group_duration", "browser_")
    return name.startswith(own) and not name.endswith(("_size", "_failed"))


def techempower(text: str) -> Report:
    """`results.json` of the FrameworkBenchmarks: each test at its best level of concurrency."""
    document = _document(text, "TechEmpower")
    duration_s = number(document, ("duration",), "TechEmpower")
    raw = member(document, ("rawData",), "TechEmpower")
    groups: dict[str, Report] = {}
    for test, frameworks in raw.items():
        if not isinstance(frameworks, dict):
            continue  # such as the counts of lines
        for framework, levels in frameworks.items():
            if isinstance(levels, list) and levels:
                groups[f"{test}_{framework}"] = _techempower_level(levels, duration_s)
    if not groups:
        raise ReportError("The report of TechEmpower has no result in 'rawData'.")
    return joined(groups)


def _techempower_level(levels: list[Any], duration_s: float) -> Report:
    best = max(levels, key=lambda level: number(level, ("totalRequests",), "TechEmpower"))
    requests = number(best, ("totalRequests",), "TechEmpower")
    if requests == 0:
        raise ReportError("A test of TechEmpower completed no request.")
    report = {"throughput": plain(requests / duration_s), "requests": plain(requests)}
    for name, key in (("mean", "Avg"), ("stddev", "Stdev"), ("max", "Max")):
        latency = str(member(best, (f"latency{key}",), "TechEmpower"))
        time = quantity(latency, "s")
        if time is None or time.base != "s":
            raise ReportError(f"The report of TechEmpower has '{latency}' as 'latency{key}'.")
        report[f"latency_{name}"] = time
    errors = ("connect", "read", "write", "timeout", "5xx")
    report["errors"] = plain(sum(float(best.get(key) or 0) for key in errors))
    return report


def _document(text: str, tool: str) -> Any:
    """The one JSON value of a report; fio prints notes before it."""
    start = re.search(r"^[\[{]", text, re.MULTILINE)
    try:
        if start is None:
            raise ValueError("it has no line that starts with { or [")
        return json_text.load(text[start.start() :])
    except (ValueError, RecursionError) as error:
        raise ReportError(f"This is not a report of {tool}, which is JSON: {error}.") from None
