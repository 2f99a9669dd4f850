"""download-data: fetches the data sets of the configured studies and says what they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmark.cli.output import notice, report, tell
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration
from benchmark.errors import DataError
from benchmark.store import open_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from benchmark.config import Config
    from benchmark.data.cache import Entry
    from benchmark.runs.plan import Draft


def download_data(options: argparse.Namespace) -> int:
    """Fetches, checks and stores every data set; one that cannot be had stops no other."""
    from benchmark.data import Catalogue, study_info
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
            said = _looked_at(entry, config, check=options.check)
            published.publish(store, name, entry, check=True)
        except DataError as error:
            catalogue.faults[name] = str(error)
            continue
        rows.append(study_info.row_of(entry.description, said["shape"]))
        facts.append(said)
        if not options.json:
            for text in _lines(said):
                tell(text)
    files = study_info.write(Path(options.info), rows)
    for note in catalogue.notes:
        notice(f"warning: {note}")
    for name, kind in catalogue.left_out.items():
        notice(f"{name}: left out, for it is for {kind}")
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
    report(options, total, [f"{closing}, {bad} cannot be had" if bad else closing])
    return 1 if bad else 0


def warned(wanted: Draft) -> int:
    """Say what of a draft's data is left out; returns 1 if something cannot be had, else 0."""
    for note in wanted.notes:
        notice(f"warning: {note}")
    for name, reason in wanted.faults.items():
        notice(f"warning: {with_name(name, reason)} It is left out.")
    return 1 if wanted.faults else 0


class Downloads:
    """Tells what is being fetched: names and bytes, live on a terminal, else a line each."""

    def __init__(self) -> None:
        self._bytes: dict[str, int] = {}
        self._status: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def hear(self, event: dict[str, Any]) -> None:
        name = event["name"]
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
        if not sys.stderr.isatty():
            return
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status("")
            self._status.start()
        going = [f"{name} {size(number)}" for name, number in self._bytes.items()]
        self._status.update("Fetching " + ", ".join(going))


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
    said: dict[str, Any] = {"name": dataset.name, **published.facts_of(entry)}
    said["shape"] = checks.shape(dataset)
    if check:
        seed = material.seeds(config)[0]
        try:
            said["findings"] = checks.findings(dataset, config.split, seed)
        except DataError as error:
            said["findings"] = [str(error)]
    return said


def _lines(said: dict[str, Any]) -> list[str]:
    shape = said["shape"]
    parts = [f"{said['name']}: {said['type']}", f"target {said['target']}"]
    parts += [f"{shape['rows']} rows", f"{shape['features']} features"]
    if shape["classes"]:
        smallest = f"smallest {shape['smallest_class']:.1%}"
        parts.append(f"{shape['classes']} classes ({smallest})")
    if "folds" in said:
        parts.append(counted(said["folds"], "fold") + " of its own")
    if "findings" not in said:
        return [f"{', '.join(parts)}, {said['hash']}"]
    parts += [f"{shape['categories']} of them categories ({shape['one_hot']} columns one-hot)"]
    parts += [f"{shape['missing_share']:.1%} missing", said["hash"]]
    found = [f"  ! {finding}" for finding in said["findings"]] or ["  nothing suspicious"]
    return [", ".join(parts), *found]


def with_name(name: str, reason: str) -> str:
    return (
        reason if name in reason or name.removeprefix("study ") in reason else f"{name}: {reason}"
    )
