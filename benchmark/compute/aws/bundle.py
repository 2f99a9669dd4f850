"""The code bundle in the store: what a machine without an image runs, named by its hash."""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

from benchmark.compute import images
from benchmark.frameworks import registry

if TYPE_CHECKING:
    from benchmark.config.loading import Config
    from benchmark.store import Store


def publish(store: Store, config: Config) -> tuple[str, bool]:
    """Put the program into the store unless it is there; returns its path, and whether it is new.

    What is not of the program (configuration, keys, results) is never in it.
    """
    found = registry.scan(config.frameworks_path).frameworks
    own = images.own_folders(found, config.frameworks_path)
    archive = images.code_archive(own)
    path = f"code/{hashlib.sha256(archive).hexdigest()[:16]}.tar.gz"
    return path, store.create(path, gzip.compress(archive, 6, mtime=0))
