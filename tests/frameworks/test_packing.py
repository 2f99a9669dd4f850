"""Environments at another place: as one file that a node unpacks, and built for a disk of nodes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.compute.arrays import script
from benchmark.config import SlurmOptions
from benchmark.errors import SetupError
from benchmark.frameworks import ensure, get
from benchmark.frameworks.environments import verify
from benchmark.frameworks.packing import pack, unpacked

ROOT = Path(__file__).parents[2]


def test_a_packed_environment_runs_where_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    framework = get("constant")
    node = tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_LINK_MODE", "copy")
    file = tmp_path / "shared" / "environments.tar"
    built = ensure(framework)
    assert pack([built, built], file) > 0
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("TMPDIR", str(node))
    monkeypatch.setattr("tempfile.tempdir", None)
    job = script(SlurmOptions(cache=str(file)), ["-m", "benchmark.frameworks.packing", str(file)])
    told = [
        subprocess.run(["bash"], input=job, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert told[0] == told[1] == f"{unpacked(file)}\n"
    assert unpacked(file).is_relative_to(node)
    monkeypatch.setenv("AUTOML_BENCHMARK_CACHE", told[0].strip())
    found = ensure(framework, report=pytest.fail)
    assert found.folder.is_relative_to(node)
    assert found.hash == built.hash
    verify(framework, found)


def test_what_cannot_be_unpacked_ends_the_job_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes(b"nothing")
    with pytest.raises(SetupError, match=r"cut\.tar cannot be unpacked"):
        unpacked(tmp_path / "cut.tar")
    options = SlurmOptions(cache=str(tmp_path / "none.tar.gz"))
    job = script(options, ["-c", "print('the task')"])
    done = subprocess.run(["bash"], input=job, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "none.tar.gz cannot be unpacked" in done.stderr


def test_setup_writes_one_file(
    program: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = program("setup", "constant", "--to", "environments.tar.gz")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "work" / "environments.tar.gz"
    assert f'"cache": "{file}"' in done.stdout
    names = subprocess.run(
        [sys.executable, "-m", "tarfile", "-l", str(file)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "/.ready" in names
