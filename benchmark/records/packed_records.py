"""Packs: copies of many records in one object, so that a large run is read by few requests.

    found = run.store.listed(f"{run.name}/out")      # paths, each with the ETag of its state
    for path, data in packs.read(run, found):
        ...

`{run}/packs/{hash}.z` holds objects of `out/` and `attempts/` as they were read, each with its
ETag. The objects remain the truth: a copy counts where the listing says that its object is still in
that state, and what no pack has is read by itself. Packs may be deleted at any time. A
driver writes them; a folder has no ETags and needs none.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from benchmark.errors import StoreError
from benchmark.records.layout import ATTEMPTS, OUT

if TYPE_CHECKING:
    from benchmark.records.tasks import Run

FULL = 1000
FEW = 64
_Entries = dict[str, tuple[str, str]]
_log = logging.getLogger("benchmark.store")


def read(run: Run, found: Mapping[str, str | None]) -> Iterator[tuple[str, bytes | None]]:
    """(path, bytes, or None if it is missing) for what a listing found, in any order."""
    left = dict(found)
    if run.store.has_e_tags and len(left) > FEW:
        for _, entries in _packs(run):
            for path, (e_tag, text) in entries.items():
                if left.get(path) == e_tag:
                    del left[path]
                    yield path, text.encode()
    yield from run.store.get_many(left)


def write(run: Run) -> None:
    """Pack the records and the ends of attempts that no pack has; for the run's driver alone.

    Packs that have become small are replaced by the new ones. A store that refuses is logged and
    does not stop the run.
    """
    if not run.store.has_e_tags:
        return
    try:
        _write(run)
    except StoreError as error:
        _log.warning("The records of run '%s' are not packed: %s", run.name, error)


def _write(run: Run) -> None:
    wanted = _wanted(run)
    entries: _Entries = {}
    small = []
    for path, held in _packs(run):
        current = {key: one for key, one in held.items() if wanted.get(key) == one[0]}
        for key in current:
            del wanted[key]
        if len(current) < FULL // 2:
            small.append(path)
            entries |= current
    if len(wanted) + len(entries) <= FEW:
        return
    new, written = False, set()
    for path, stored in run.store.stored_many(wanted):
        if stored is None or stored.e_tag is None or not _has_ended(stored.data):
            continue
        new = True
        entries[path] = (stored.e_tag, stored.data.decode())
        if len(entries) >= FULL:
            written.add(_put(run, entries))
            entries = {}
    if new or len(small) > 1:
        if entries:
            written.add(_put(run, entries))
        run.store.delete(path for path in small if path not in written)


def drop(run: Run) -> None:
    """Remove the copies before their originals are deleted; the next driver writes the rest."""
    run.store.delete(run.store.list(_folder(run)))


def _folder(run: Run) -> str:
    return f"{run.name}/packs"


def _wanted(run: Run) -> dict[str, str]:
    """The states of all records and attempts, except the last attempts of tasks with a record,
    which repeat the record."""
    records = run.store.listed(f"{run.name}/{OUT}")
    tried = run.store.listed(f"{run.name}/{ATTEMPTS}")
    last = {place.key: path for path in tried if (place := run.attempt_of(path))}
    for path in records:
        tried.pop(last.get(run.key_of(path) or "", ""), None)
    return {path: e_tag for path, e_tag in (records | tried).items() if e_tag}


def _has_ended(data: bytes) -> bool:
    """Whether it is final: a running attempt is overwritten by its end."""
    try:
        return "status" in json.loads(data)
    except (ValueError, TypeError, RecursionError):
        return False


def _packs(run: Run) -> Iterator[tuple[str, _Entries]]:
    """Each pack with its entries; a damaged one has none."""
    for path, data in run.store.get_many(run.store.list(_folder(run))):
        yield path, _parsed(path, data or b"")


def _put(run: Run, entries: _Entries) -> str:
    data = zlib.compress(json.dumps(entries, ensure_ascii=False).encode(), 1)
    path = f"{_folder(run)}/{_name(data)}"
    run.store.put(path, data)  # over one of this name that was damaged
    return path


def _parsed(path: str, data: bytes) -> _Entries:
    import orjson

    if path.rpartition("/")[2] != _name(data):
        return {}
    entries: _Entries = orjson.loads(zlib.decompress(data))
    return entries


def _name(data: bytes) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}.z"
