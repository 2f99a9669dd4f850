"""Reports that are CSV: JMeter's JTL with a row for each sample, redis-benchmark."""

from __future__ import annotations

import csv
import re
from collections import defaultdict

from benchmark.hpo.objectives.metrics.readers.report import (
    Report,
    ReportError,
    found,
    identifier,
    joined,
    of_samples,
    plain,
    seconds,
)


def jmeter(text: str) -> Report:
    """A JTL as CSV with its header: over all samples, and for each label where there are several.

    Failed samples count as errors; their times count as well.
    """
    rows = csv.DictReader(text.splitlines())
    needed = {"timeStamp", "elapsed", "label", "success"}
    if not needed <= set(rows.fieldnames or ()):
        raise ReportError(
            "This is not a JTL of JMeter as CSV: its first line does not name "
            f"{', '.join(sorted(needed))}; set jmeter.save.saveservice.output_format=csv and "
            "print_field_names=true."
        )
    samples: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)
    for line, row in enumerate(rows, 2):
        cells = [(row[key] or "").strip() for key in ("timeStamp", "elapsed", "success")]
        if not (cells[0].isdecimal() and cells[1].isdecimal() and cells[2] in ("true", "false")):
            raise ReportError(
                f"Line {line} of the JTL has {', '.join(map(repr, cells))} as time stamp, elapsed "
                "and success; whole milliseconds, and true or false, are needed."
            )
        samples[row["label"]].append((int(cells[0]), int(cells[1]), cells[2] == "true"))
    if not samples:
        raise ReportError("The JTL of JMeter has no sample.")
    report = _samples([sample for label in samples.values() for sample in label])
    if len(samples) > 1:
        report |= joined({label: _samples(part) for label, part in samples.items()})
    return report


def _samples(samples: list[tuple[int, int, bool]]) -> Report:
    begin = min(at for at, _, _ in samples)
    end = max(at + elapsed for at, elapsed, _ in samples)
    if end == begin:
        raise ReportError("All samples of the JTL are of one millisecond; measure for longer.")
    errors = sum(not good for _, _, good in samples)
    return {
        "throughput": plain(len(samples) * 1000 / (end - begin)),
        "requests": plain(len(samples)),
        "errors": plain(errors),
        "error_rate": plain(errors / len(samples)),
    } | of_samples((elapsed for _, elapsed, _ in samples), "ms")


_QUIET = re.compile(
    r"(?:^|[\r ])([A-Z][A-Z0-9_]+(?: \([^)]*\))?): ([0-9.]+) requests per second(?:, p50=([0-9.]+) "
    r"msec)?",
    re.MULTILINE,
)


def redis_benchmark(text: str) -> Report:
    """`--csv`, or `-q`; of several tests each has its name before it, such as `set_throughput`."""
    groups: dict[str, Report] = {}
    if found(r'^"test","rps"', text):
        rows = csv.DictReader(text[text.index('"test","rps"') :].splitlines())
        tests = [(row.pop("test"), row) for row in rows]
    elif found(r'^"[^"]+","[0-9.]+"$', text):  # before 7.0
        lines = re.findall(r'^"([^"]+)","([0-9.]+)"$', text, re.MULTILINE)
        tests = [(test, {"rps": rps}) for test, rps in lines]
    else:
        tests = [
            (test, {"rps": rps} | ({"p50_latency_ms": p50} if p50 else {}))
            for test, rps, p50 in _QUIET.findall(text)
        ]
    if not tests:
        raise ReportError("This is not a report of redis-benchmark with --csv or -q.")
    for test, row in tests:
        name = identifier(str(test).lower())
        if name in groups:
            raise ReportError(f"The report of redis-benchmark has the test '{test}' twice.")
        groups[name] = _redis_test(row)
    return joined(groups)


def _redis_test(row: dict[str, str]) -> Report:
    report = {}
    for key, cell in row.items():
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", cell or ""):
            raise ReportError(f"The report of redis-benchmark has {cell!r} as '{key}'.")
        name = "mean" if key.startswith("avg_") else key.partition("_")[0]
        report["throughput" if key == "rps" else f"latency_{name}"] = (
            plain(cell) if key == "rps" else seconds(cell, "ms")
        )
    return report
