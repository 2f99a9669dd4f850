"""Pipes, devices and folders in place of a file that a user names: one sentence, no waiting."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.analysis.table import read_results
from benchmark.cli import service_client
from benchmark.config import load_config
from benchmark.data.download import checked
from benchmark.errors import BenchmarkError
from benchmark.execution.own_metric import _source
from benchmark.frameworks.registry import _read
from benchmark.hpo.documents import read_document
from benchmark.hpo.importing import read_rows
from benchmark.hpo.project import _parsed
from benchmark.hpo.service.guard import read_tokens

READERS: dict[str, Callable[[Path], object]] = {
    "configuration": lambda file: load_config(str(file)),
    "study": read_document,
    "rows": lambda file: read_rows(file, {}),
    "space": service_client._read,
    "results": read_results,
    "framework": lambda file: _read(file, {}),
    "tokens": read_tokens,
    "own metric": lambda file: _source("binary", file),
    "objective": _parsed,
    "own data with a hash": lambda file: checked(file, "0" * 64, str(file)),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_it_is_refused_in_a_sentence(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / "pipe" if kind == "pipe" else Path("/dev/zero")
    if kind == "pipe":
        os.mkfifo(file)
    with pytest.raises(BenchmarkError, match=f"{file}.* cannot be read.*it is a pipe or a device"):
        READERS[name](file)
