"""One object store: a folder, S3 or memory, with create-only objects.

    store = open_store("./runs")
    store.create("default/out/a.json", b"{}")    # True; False when it is there already
    store.get("default/out/a.json")              # None when it is not there

obstore carries all three. In a folder the writes are ours, because a record must survive a power
cut; on S3 the patience is ours, because only who tries again himself knows whose write it was that
a create found there.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from benchmark.errors import StoreError
from benchmark.store.folder import FolderStore
from benchmark.store.objects import Store

__all__ = ["FolderStore", "Store", "open_store"]


def open_store(url: str) -> Store:
    """The store at a URL: `s3://bucket/prefix`, `memory://`, or a folder's path.

    S3's endpoint, region and credentials come from the AWS SDK's own variables and files.

    Raises:
        StoreError: the URL is none of these, the folder cannot be made, or there are no
            credentials.
    """
    if url.startswith("s3://"):
        from benchmark.store.bucket import open_bucket

        return open_bucket(url)
    if url.startswith("memory://"):
        from obstore.store import MemoryStore

        return Store(url, MemoryStore())
    parts = urlsplit(url)
    if parts.scheme not in ("", "file"):
        raise StoreError(
            f"'{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}' is no store; use a "
            "folder's path or s3://bucket/folder/."
        )
    return FolderStore(Path(parts.path if parts.scheme == "file" else url).expanduser())
