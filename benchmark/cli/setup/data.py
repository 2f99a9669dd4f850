"""download-data: fetch the data sets of the configured studies and describe them."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmark.cli.output import notice, report, show
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration
from benchmark.config.loading import Config
from benchmark.errors import DataError
from benchmark.files.safe_text import for_terminal
from benchmark.runs.plan import Draft
from benchmark.store import open_store

if TYPE_CHECKING:
    from benchmark.data.cache import Entry


def download_data(options: argparse.Namespace) -> int:
    """Fetch, check and store every data set; one that is unavailable does not stop the others."""
    from benchmark.data import Catalogue, checks
    from benchmark.execution import published

    config = configuration(options)
    store = open_store(config.store_url)
    with Downloads() as downloads:
        catalogue = Catalogue.of(config, downloads.hear)
        names = catalogue.names(refresh=True)
        entries = catalogue.ready(_asked(options, names, catalogue.faults), refresh=True)
    rows: list[dict[str, Any]] = []
    facts: list[dict[str, Any]] = []
    for name, entry in entries.items():
        try:
            fact = _looked_at(entry, config, check=options.check)
            published.publish(store, name, entry, check=True)
        except DataError as error:
            catalogue.faults[name] = str(error)
            continue
        rows.append(checks.info_row(entry.description, fact["shape"]))
        facts.append(fact)
        if not options.json:
            for text in _lines(fact):
                show(text)
    files = checks.write_info(Path(options.info), rows)
    for note in catalogue.notes:
        notice(f"warning: {note}")
    for name, kind in catalogue.left_out.items():
        notice(f"{name}: left out, as it is for {kind}")
    for name, reason in catalogue.faults.items():
        notice(f"error: {with_name(name, reason)}")
    total = {
        "datasets": facts,
        "left_out": catalogue.left_out,
        "faults": catalogue.faults,
        "info": [str(path) for path in files],
    }
    bad = len(catalogue.faults)
    closing = f"{counted(len(facts), 'data set')} in {store.url}"
    report(options, total, [f"{closing}, {bad} unavailable" if bad else closing])
    return 1 if bad else 0


def warned(wanted: Draft) -> int:
    """Report what of a draft's data is left out; return 1 if something is unavailable, else 0."""
    for note in wanted.notes:
        notice(f"warning: {note}")
    for name, reason in wanted.faults.items():
        notice(f"warning: {with_name(name, reason)} It is left out.")
    return 1 if wanted.faults else 0


TRYING_S = 2.0


class Downloads:
    """Shows what is being fetched: names and bytes, live on a terminal, else a line each.

    A server that has not answered for `TRYING_S` is named.
    """

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}
        self._status: Any = None
        self._trying = threading.Timer(0, str)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._trying.cancel()
        if self._status is not None:
            self._status.stop()

    def hear(self, event: dict[str, Any]) -> None:
        name = event["name"]
        self._trying.cancel()
        if "asked" in event:
            text = f"Trying {event['asked']} for {name} …"
            self._trying = threading.Timer(TRYING_S, notice, [text])
            self._trying.daemon = True
            self._trying.start()
            return
        if "bytes" in event:
            self._bytes[name] = event["bytes"]
            self._show()
            return
        number = self._bytes.pop(name, 0)
        if "done" in event and number:
            notice(f"{name}: {size(number)} fetched")
        elif "members" in event:
            notice(f"{name}: {event['title']}, {counted(len(event['members']), 'member')}")
        self._show()

    def _show(self) -> None:
        if not sys.stderr.isatty() or not (self._bytes or self._status):
            return
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status("")
            self._status.start()
        going = [f"{name} {size(number)}" for name, number in self._bytes.items()]
        self._status.update(for_terminal("Fetching " + ", ".join(going)))


def size(number: float) -> str:
    """'512 B', '1.2 MB'."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"


def _asked(options: argparse.Namespace, names: list[str], faults: Mapping[str, str]) -> list[str]:
    wanted = options.dataset
    if not wanted:
        return names
    stranger = next((name for name in wanted if name not in names), None)
    if stranger is not None and stranger in faults:
        raise DataError(faults[stranger])
    if stranger is not None:
        raise DataError(
            f"The configuration has no data set '{stranger}'; it has {', '.join(names)}."
        )
    return [name for name in names if name in wanted]


def _looked_at(entry: Entry, config: Config, *, check: bool) -> dict[str, Any]:
    from benchmark.data import checks
    from benchmark.execution import published
    from benchmark.runs import material

    dataset = entry.load()
    facts: dict[str, Any] = {"name": dataset.name, **published.facts_of(entry)}
    facts["shape"] = checks.shape(dataset)
    if check:
        seed = material.seeds(config)[0]
        try:
            facts["findings"] = checks.findings(dataset, config.split, seed)
        except DataError as error:
            facts["findings"] = [str(error)]
    return facts


def _lines(facts: dict[str, Any]) -> list[str]:
    shape = facts["shape"]
    parts = [f"{facts['name']}: {facts['type']}", f"target {facts['target']}"]
    parts += [counted(shape["rows"], "row"), counted(shape["features"], "feature")]
    if shape["classes"]:
        smallest = f"smallest {shape['smallest_class']:.1%}"
        parts.append(f"{shape['classes']} classes ({smallest})")
    if "folds" in facts:
        parts.append(counted(facts["folds"], "fold") + " of its own")
    if "findings" not in facts:
        return [f"{', '.join(parts)}, {facts['hash']}"]
    parts += [f"{shape['categories']} of them categories ({shape['one_hot']} columns one-hot)"]
    parts += [f"{shape['missing_share']:.1%} missing", facts["hash"]]
    found = [f"  ! {finding}" for finding in facts["findings"]] or ["  nothing suspicious"]
    return [", ".join(parts), *found]


def with_name(name: str, reason: str) -> str:
    return (
        reason if name in reason or name.removeprefix("study ") in reason else f"{name}: {reason}"
    )
