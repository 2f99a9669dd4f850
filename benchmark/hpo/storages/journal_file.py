"""Optuna's journal file with atomic appends of several lines.

Every line but the last of such an append has the key `batch`, the file offset at which the append
started. Optuna ignores the key. Readers hold such lines back until the last one is there, and the
next holder of the lock cuts off an append that a kill left incomplete (see journal_lock.py).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import StoreError
from benchmark.hpo.storages.journal_lock import BATCH, FlockLock
from benchmark.hpo.storages.optuna_private import (
    BaseJournalFileLock,
    JournalFileParts,
    get_lock_file,
)
from benchmark.store.faults import diagnose


class _Lock(FlockLock, BaseJournalFileLock):
    """The lock in the type that Optuna's backend requires."""


class JournalFile(JournalFileParts):
    """The backend of `open_storage`."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), lock_obj=_Lock(path))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Exclude all other writers."""
        try:
            with get_lock_file(self.lock):
                yield
        except OSError as error:
            fault = diagnose(error)
            raise StoreError(
                f"The study journal {self.path} cannot be written: {fault.reason}; {fault.fix}."
            ) from error

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        with self._locked():
            self._append_whole(logs)

    def append_at(self, first: int, logs: list[dict[str, Any]]) -> bool:
        """Append if `first` is the end; durable when this returns.

        Raises:
            StoreError: the journal cannot be written. The next writer cuts a partial append.
        """
        with self._locked():
            size = Path(self.path).stat().st_size
            is_end = self.offsets.get(first) == size
            if not is_end and any(True for _ in self.read_logs(first)):
                return False
            self._append_whole(logs)
            end = Path(self.path).stat().st_size
            self.offsets[first + len(logs)] = end
        return True

    def read_from(self, first: int) -> list[dict[str, Any]]:
        """The logs from a number on."""
        return list(self.read_logs(first))

    def _append_whole(self, logs: list[dict[str, Any]]) -> None:
        """Append the logs, durable when this returns; if it raises, they are not in the journal."""
        size = Path(self.path).stat().st_size
        lines = [{**log, BATCH: size} for log in logs[:-1]] + logs[-1:]
        try:
            with Path(self.path).open("ab") as file:
                file.write(b"".join(_line(line) for line in lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self.path, size)
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
            for number in [number for number in list(self.offsets) if number > read]:
                del self.offsets[number]


def _line(log: dict[str, Any]) -> bytes:
    return json.dumps(log, separators=(",", ":")).encode() + b"\n"
