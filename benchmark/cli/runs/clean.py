"""clean-s3: show what this program has in the store, ask, and delete it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from benchmark.cli.output import agreed, notice, report
from benchmark.cli.progress import counted
from benchmark.cli.session import configuration, stored
from benchmark.runs import clean
from benchmark.runs.clean import Found

_SHOWN = 20


def clean_s3(options: argparse.Namespace) -> int:
    from benchmark.hpo.study.deletion import forget

    config = configuration(options)
    store = stored(config)
    found = clean.find(store, options.run)
    if not options.yes and found.number:
        for text in _lines(found, store.url):
            notice(text)
        if not agreed(f"Delete {counted(found.number, 'object')} in {store.url}?"):
            notice("Nothing was deleted.")
            return 1
    deleted = clean.clean(store, found, forget)
    done = f"Deleted {counted(deleted, 'object')}" if deleted else "There is nothing to delete"
    shown = _lines(found, store.url) if options.yes or not found.number else ()
    report(options, _facts(found, store.url, deleted), [*shown, done])
    return 0


def _facts(found: Found, url: str, deleted: int) -> dict[str, Any]:
    return {
        "store": url,
        "runs": {name: len(paths) for name, paths in found.runs.items()},
        "datasets": len(found.datasets),
        "code": len(found.code),
        "left": found.left,
        "deleted": deleted,
    }


def _lines(found: Found, url: str) -> Iterator[str]:
    yield f"In {url}"
    for name, paths in found.runs.items():
        yield f"  run '{name}': {counted(len(paths), 'object')}"
    for what, paths in (("data sets", found.datasets), ("code", found.code)):
        if paths:
            yield f"  {what}: {counted(len(paths), 'object')}"
    if found.left:
        yield f"  left alone, not of this program: {counted(len(found.left), 'object')}"
        yield from (f"    {path}" for path in found.left[:_SHOWN])
        if len(found.left) > _SHOWN:
            yield f"    and {len(found.left) - _SHOWN} more"
