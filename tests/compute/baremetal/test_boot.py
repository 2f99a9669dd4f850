"""What a machine unpacks."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from benchmark.compute import images
from benchmark.compute.baremetal.scripts import boot
from benchmark.config.loading import Config
from benchmark.store import open_store
from tests.support.documents import ROOT


def bundle(*names: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    return data.getvalue()


def test_no_member_climbs_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    root.mkdir()
    monkeypatch.setattr(boot, "ROOT", str(root))
    boot.unpack(bundle("main.py", f"own{tmp_path}/mine/adapter.py"))
    assert (root / "bundle" / "main.py").read_text() == "x"
    assert (tmp_path / "mine" / "adapter.py").read_text() == "x"
    with pytest.raises(tarfile.OutsideDestinationError):
        boot.unpack(bundle("../../climbed"))
    assert not (tmp_path / "climbed").exists()


def test_a_python_without_filters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "ROOT", str(tmp_path))
    unpacked = tarfile.TarFile.extractall

    def without(self: tarfile.TarFile, path: str) -> None:
        unpacked(self, path, filter="data")

    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(tarfile.TarFile, "extractall", without)
    boot.unpack(bundle("main.py"))
    assert (tmp_path / "bundle" / "main.py").exists()


def test_the_harness_gets_the_packages_of_tasks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an image does, in the versions of the whole program."""
    monkeypatch.setattr(boot, "ROOT", str(tmp_path))
    monkeypatch.delenv("BENCHMARK_PYTHON", raising=False)
    commands: list[list[str]] = []
    monkeypatch.setattr(boot, "run", commands.append)
    store = open_store(str(tmp_path / "store"))
    path, _ = images.publish_code(store, Config())
    boot.unpack(store.get(path) or b"")
    python = boot.interpreter()
    listed, versions = "docker/task-requirements.txt", "requirements.txt"
    *_, last = commands
    assert last[-4:] == ["-c", f"{tmp_path}/bundle/{versions}", "-r", f"{tmp_path}/bundle/{listed}"]
    assert python in last
    for name in (listed, versions):
        assert (tmp_path / "bundle" / name).read_text() == (ROOT / name).read_text()


def test_scratch_is_on_the_root_disk_and_system_packages_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("TMPDIR", "/tmp")
    boot.scratch()
    assert os.environ["TMPDIR"] == str(tmp_path / "root/scratch")
    assert (tmp_path / "root/scratch").stat().st_mode & 0o777 == 0o700
    for name in ("dnf", "apt-get"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/said\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    packages = {"dnf": ["java"], "apt-get": ["jre"]}
    boot.install({"dnf": [], "apt-get": []})
    boot.install(packages)
    (tmp_path / "dnf").unlink()
    boot.install(packages)
    said = ["dnf -q install -y java", "apt-get -qq update", "apt-get -qq install -y jre"]
    assert (tmp_path / "said").read_text().splitlines() == said
