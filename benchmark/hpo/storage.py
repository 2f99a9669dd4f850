"""Open the storage of a study: a journal file, or any storage URL of Optuna's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmark.errors import StoreError
from benchmark.extras import install

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


def open_storage(place: str) -> BaseStorage:
    """Optuna's storage at a URL (`postgresql://…`, `sqlite:///…`), or a journal at a file's path.

    Raises:
        StoreError: it cannot be reached, or its driver is not installed.
    """
    if "://" in place:
        return _database(place)
    from optuna.storages import JournalStorage

    from benchmark.hpo.journal_file import JournalFile

    path = Path(place)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A torn last line is read over; the first append cuts it.
        return JournalStorage(JournalFile(path))
    except (OSError, ValueError) as error:
        raise StoreError(f"The study journal {path} cannot be opened: {error}.") from None


def _database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.scheme == "postgresql":
        url = "postgresql+psycopg" + url[len("postgresql") :]
    try:
        return RDBStorage(url)
    except ImportError as error:
        raise StoreError(
            f"The study storage {shown} needs the package {error.name}; name the storage of a "
            f"database whose driver is installed, or install the extra 'postgres': "
            f"{install('postgres')}"
        ) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        raise StoreError(f"The study storage {shown} cannot be opened: {reason}.") from None
