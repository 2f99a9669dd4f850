"""Plays every row, prints the table; exit 1 where a promise does not hold.

.venv/bin/python -m prove --seed 1
.venv/bin/python -m prove --seed 1 --only run-kills --kills 1000
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmark.frameworks import environments, registry
from prove import (  # noqa: F401  their rows
    kills,
    limits,
    outcomes,
    rest,
    resume,
    service,
    service_kills,
    storage,
)
from prove.rows import BROKEN, HOLDS, PROMISES, ROWS, Stage, Verdict, played
from prove.table import markdown, show

KILLS = 24


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser("prove", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="of the faults, to play them again")
    parser.add_argument("--kills", type=int, default=KILLS, help=f"in all (default: {KILLS})")
    parser.add_argument("--only", action="append", metavar="ROW", help="a row by its name")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a file")
    options = parser.parse_args()
    strangers = set(options.only or ()) - {row.name for row in ROWS}
    if strangers:
        parser.error(f"there is no row '{min(strangers)}'; --list names them")
    if options.kills < 1:
        parser.error(f"--kills is {options.kills}; make it 1 or more")
    return options


def main() -> int:
    options = parse()
    # A shell that starts this in the background makes it, and all that it starts, deaf to Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.list:
        for row in ROWS:
            print(f"{row.name:20} {row.promise}. {row.fault}")
        return 0
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    # Clients whose server is killed on purpose report each of their retries.
    logging.getLogger("benchmark.hpo.client").setLevel(logging.ERROR)
    console = Console(stderr=True)
    console.print(f"seed {seed}, {options.kills} kills; the same again: --seed {seed}")
    environments.ensure(registry.get("random-forest"), console.print)
    verdicts: list[Verdict] = []
    load, begun = os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        for row in sorted(ROWS, key=lambda row: row.promise):
            if options.only and row.name not in options.only:
                continue
            stage = Stage(Path(folder) / row.name, seed, options.kills)
            stage.folder.mkdir()
            verdicts.append(played(row, stage))
            last = verdicts[-1]
            console.print(
                f"{last.verdict:9} {row.name}, {last.seconds:.0f} s: {last.figure}",
                markup=False,
                highlight=False,
            )
    took = time.monotonic() - begun
    show(verdicts, Console())
    head = (
        f"`python -m prove --seed {seed} --kills {options.kills}`: {took:.0f} s on "
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load {load:.1f} at the start."
    )
    print(head)
    if options.markdown:
        options.markdown.write_text(markdown(verdicts, head), encoding="utf-8")
    silent = set(PROMISES) - {one.row.promise for one in verdicts if one.verdict == HOLDS}
    if silent and not options.only:
        print(f"Not shown: promise {', '.join(map(str, sorted(silent)))}.", file=sys.stderr)
    return 1 if any(one.verdict == BROKEN for one in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
