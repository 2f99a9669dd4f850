"""One object store: a folder, S3 or memory, with create-only objects.

    store = open_store("./runs")
    store.create("default/out/a.json", b"{}")    # True; False if it exists
    store.get("default/out/a.json")              # None if it is missing

All three use obstore. In a folder this package writes itself, because a record must survive a power
cut; on S3 it retries itself, because only the code that retries knows whether the object that a
create found is its own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from benchmark.errors import StoreError
from benchmark.files.input_files import expanded
from benchmark.store.folder import FolderStore
from benchmark.store.objects import Store

__all__ = ["FolderStore", "Store", "open_store"]


def open_store(url: str) -> Store:
    """The store at a URL: `s3://bucket/prefix`, `memory://`, or a folder's path.

    S3's endpoint, region and credentials come from the AWS SDK's own variables and files.

    Raises:
        StoreError: the URL is not one of these, the folder cannot be created, or there are no
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
            f"'{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}' is not a store; "
            "use a "
            "folder's path or s3://bucket/folder/."
        )
    return FolderStore(expanded(parts.path if parts.scheme == "file" else url))
