"""Pipes, devices and folders in place of a file that a user names: one sentence, no waiting."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli import service_client
from benchmark.config import load_config
from benchmark.errors import BenchmarkError
from benchmark.hpo.documents import read_document
from benchmark.hpo.importing import read_rows

READERS: dict[str, Callable[[Path], object]] = {
    "configuration": lambda file: load_config(str(file)),
    "study": read_document,
    "rows": lambda file: read_rows(file, {}),
    "space": service_client._read,
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_it_is_refused_in_a_sentence(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / "pipe" if kind == "pipe" else Path("/dev/zero")
    if kind == "pipe":
        os.mkfifo(file)
    with pytest.raises(BenchmarkError, match=f"{file}.* cannot be read.*it is a pipe or a device"):
        READERS[name](file)
