"""Pipes, devices and folders in place of a file that a user names: one sentence, no waiting."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.analysis.results.table import read_results
from benchmark.cli.studies import service_client
from benchmark.config.loading import load_config
from benchmark.data.download import checked
from benchmark.errors import BenchmarkError, SetupError
from benchmark.execution.own_metric import _source
from benchmark.frameworks.framework import FOLDER
from benchmark.frameworks.registry import _read, of_folder
from benchmark.hpo.formats.project import _parsed
from benchmark.hpo.service.web.guard import read_tokens
from benchmark.hpo.spec.documents import read_document
from benchmark.hpo.storages.storage import open_storage
from benchmark.hpo.study.trial_import import Mapping, read_rows
from benchmark.store.bucket import _certificates

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
    "certificates": lambda file: _certificates(str(file)),
    "journal": lambda file: open_storage(str(file), "study"),
    "own data with a hash": lambda file: checked(file, "0" * 64, str(file)),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_it_is_refused_in_a_sentence(tmp_path: Path, name: str, kind: str) -> None:
    file = tmp_path / "pipe" if kind == "pipe" else Path("/dev/zero")
    if kind == "pipe":
        os.mkfifo(file)
    with pytest.raises(
        BenchmarkError, match=f"{file}.* cannot be (read|opened).*it is a pipe or a device"
    ):
        READERS[name](file)


def test_a_framework_folder_with_a_pipe_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(FOLDER / "constant", folder)
    os.mkfifo(folder / "notes.py")
    with pytest.raises(SetupError, match=r"notes\.py cannot be read: it is a pipe or a device; "):
        _ = of_folder(folder).content_hash
    (folder / "notes.py").unlink()
    (folder / ".#adapter.py").symlink_to("nowhere")
    with pytest.raises(SetupError, match=r"\.#adapter\.py cannot be read: No such file"):
        _ = of_folder(folder).content_hash


def test_trials_with_two_byte_order_marks_are_not_imported(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("\ufeffx,value\n1,2\n", encoding="utf-8-sig")
    with pytest.raises(BenchmarkError, match="has two byte order marks; save it without them"):
        read_rows(file, Mapping())
