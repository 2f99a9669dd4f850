"""Optuna's journal file, in which an append of several lines is there whole or not at all.

Every line but the last of such an append has the key `batch`, the place in the file at which the
append began. Optuna passes over the key. Readers hold such lines back until the last one is there,
and who takes the lock next cuts off an append that a kill left incomplete (see journal.py).
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock, get_lock_file

from benchmark.errors import StoreError
from benchmark.hpo.journal import BATCH, FlockLock
from benchmark.store.faults import diagnose

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


class _Lock(FlockLock, BaseJournalFileLock):
    """The same, as Optuna's backend wants it typed."""


class JournalFile(JournalFileBackend):
    """The backend of `open_storage`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_Lock(path))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other writers out; `append_whole` is called in it.

        Raises:
            StoreError: the journal cannot be written. The next writer cuts what there is of it.
        """
        try:
            with get_lock_file(self._lock):
                yield
        except OSError as error:
            fault = diagnose(error)
            raise StoreError(
                f"The study journal {self._file_path} cannot be written: {fault.reason}; "
                f"{fault.mend}."
            ) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self.locked():
            self.append_whole(logs)

    def append_whole(self, logs: list[dict[str, Any]]) -> None:
        """Append the logs, durable when this returns; where it raises, they are not there."""
        size = Path(self._file_path).stat().st_size
        lines = [{**log, BATCH: size} for log in logs[:-1]] + logs[-1:]
        try:
            with Path(self._file_path).open("ab") as file:
                file.write(b"".join(_line(line) for line in lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self._file_path, size)
            raise

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        held: list[dict[str, Any]] = []
        read = log_number_from
        for log in super().read_logs(log_number_from):
            held.append(log)
            if BATCH not in log:
                read += len(held)
                yield from held
                held = []
        if held:
            # These lines may be cut off, and others take their place.
            for number in [number for number in self._log_number_offset if number > read]:
                del self._log_number_offset[number]


def _line(log: dict[str, Any]) -> bytes:
    return json.dumps(log, separators=(",", ":")).encode() + b"\n"
